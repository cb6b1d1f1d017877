"""Scoring in real processes that are killed, the whole group at once, at random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cxrscribe.archive import open_run
from cxrscribe.archive.verify import Verdict, verify

_MOST_KILLS = 4
_PATIENCE = 300.0


@dataclass
class KilledRun:
    """A run that is scored by a command, killed and started again, until it is done."""

    archive: Path
    path: Path
    workers: int
    chance: random.Random
    kills: int = 0
    parts: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Inode and content of each part and file of structured reports, as it was when it was first seen."""
    replaced: list[str] = field(default_factory=list)
    options: tuple[object, ...] = ()
    """Of the command, besides."""

    def score(self) -> Verdict:
        """Kill the command up to four times, let it end, and verify what it has left."""
        for _ in range(self.chance.randint(1, _MOST_KILLS)):
            self._run(killed=True)
        self.run_once()
        return verify(open_run(self.path))

    def run_once(self) -> None:
        """Let the command end by itself."""
        self._run(killed=False)

    def _run(self, killed: bool) -> None:
        command = [sys.executable, "-m", "cxrscribe", "score", self.archive, "--run", self.path]
        command += ["--device", "cpu", "--shard-films", "3", "--workers", self.workers, "--no-spinning"]
        command += self.options
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            if killed:
                self._wait_for_a_moment(process)
            else:
                process.wait(_PATIENCE)
        finally:
            if process.poll() is None:
                self.kills += 1
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._look()

    def _wait_for_a_moment(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until there are some parts more, and for a moment; or at the beginning, for any moment."""
        wanted = len(self._names()) + self.chance.randint(0, 5)
        if wanted == len(self._names()):
            time.sleep(self.chance.uniform(0.0, 1.0))
            return
        ends = time.monotonic() + _PATIENCE
        while process.poll() is None and len(self._names()) < wanted and time.monotonic() < ends:
            time.sleep(0.002)
        time.sleep(self.chance.uniform(0.0, 0.03))

    def _names(self) -> list[Path]:
        found = [*(self.path / "parts").rglob("part-*"), *(self.path / "sr").rglob("sr-*")]
        return [path for path in found if path.is_file()]

    def _look(self) -> None:
        for path in self._names():
            seen = (path.stat().st_ino, path.read_bytes())
            if self.parts.setdefault(path.name, seen) != seen:
                self.replaced.append(path.name)
