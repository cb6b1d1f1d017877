"""A `cxrscribe serve` in a process of its own: started, watched and stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import IO, Any, Final, Self

from cxrscribe.errors import InputError

HOST: Final = "127.0.0.1"
CXRSCRIBE: Final = (sys.executable, "-m", "cxrscribe")
_STOP_SECONDS: Final = 120.0
"""After which a service that was asked to end is killed."""


@dataclass(frozen=True)
class Memory:
    """Bytes in RAM: of the process that serves, those of it that are no file's, and of all its children."""

    resident: int
    anonymous: int
    readers: int

    def to_json(self) -> dict[str, float]:
        """In megabytes."""
        return {
            "resident_mb": self.resident / 1e6,
            "anonymous_mb": self.anonymous / 1e6,
            "readers_mb": self.readers / 1e6,
        }


class ServedProcess:
    """A service that is ready; use it in a `with` block, which ends it."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str], start_seconds: float, url: str) -> None:
        self.process = process
        self.start_seconds = start_seconds
        """From the start of the process until it was ready."""
        self.port = int(url.rpartition(":")[2])
        self._log = log

    @classmethod
    def start(
        cls, bundle: Path, folder: Path, options: Sequence[str] = (), program: Sequence[str] = CXRSCRIBE
    ) -> Self:
        """Start it at a free port; `options` are further ones of `cxrscribe serve`. The log goes to `folder`.

        `program` is the command that is `cxrscribe`. Raises InputError when it ends before it is ready.
        """
        command = [*program, "serve", "--bundle", str(bundle)]
        began = perf_counter()
        log = (folder / "serve.log").open("w+", encoding="utf-8")
        process = subprocess.Popen(
            [*command, "--port", "0", "--json", *options], stdout=subprocess.PIPE, stderr=log, text=True
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            with process.stdout, log:
                process.wait()
                log.seek(0)
                raise InputError(f"cxrscribe serve ended before it was ready: {log.read().strip()[-500:]}")
        return cls(process, log, perf_counter() - began, json.loads(line)["url"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()

    def ask_to_end(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(_STOP_SECONDS)

    def events(self) -> list[dict[str, Any]]:
        """The lines of its log so far."""
        self._log.flush()
        text = Path(self._log.name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def memory(self) -> Memory:
        """What it takes now; zeros where the system doesn't tell."""
        own = _status(self.process.pid)
        readers = sum(_status(child).get("VmRSS", 0) for child in _children(self.process.pid))
        return Memory(own.get("VmRSS", 0), own.get("RssAnon", 0), readers)


@contextmanager
def served(
    bundle: Path, options: Sequence[str] = (), program: Sequence[str] = CXRSCRIBE
) -> Iterator[ServedProcess]:
    """A service with a log of its own, until the block ends."""
    with (
        TemporaryDirectory(prefix="cxrscribe-bench-") as folder,
        ServedProcess.start(bundle, Path(folder), options, program) as service,
    ):
        yield service


def _status(process: int) -> dict[str, int]:
    """Its fields in bytes."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(number) * 1024 for name, number, _ in fields}


def _children(process: int) -> list[int]:
    found: list[int] = []
    tasks = Path(f"/proc/{process}/task")
    for task in tasks.iterdir() if tasks.is_dir() else ():
        try:
            own = [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
        except OSError:  # it has ended
            continue
        for child in own:
            found += [child, *_children(child)]
    return found
