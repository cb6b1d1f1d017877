"""Tries all attacks on bundles and the cache, and prints a table of how many got somewhere.

    python tests/attacks/run.py [TOPIC...]

Topics: manifests, graphs, links, caches. They run in a process of their own, which may hang, crash, take
long or run out of memory: each of these is a fault, and so is whatever isn't an error of cxrscribe.
"""

from __future__ import annotations

import importlib
import json
import resource
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import pytest

from attacks.attack import Attack

TOPICS = ("manifests", "graphs", "links", "caches")
_SECONDS = 60.0
_PROCESSOR_SECONDS = 8.0
_MEMORY_BYTES = 6 << 30


def attacks(topic: str) -> tuple[Attack, ...]:
    """All of one topic."""
    found: tuple[Attack, ...] = importlib.import_module(f"attacks.{topic}").ATTACKS
    return found


def run(topic: str) -> list[tuple[str, str]]:
    """Name and outcome of each attack; an outcome is `held`, `not tried: ...`, or the fault."""
    names = [attack.name for attack in attacks(topic)]
    outcomes: list[str] = []
    while len(outcomes) < len(names):
        outcomes += _some(topic, len(outcomes), len(names))
    return list(zip(names, outcomes, strict=True))


def _some(topic: str, first: int, count: int) -> list[str]:
    """Outcomes from attack number `first` on, up to the first that ends its process."""
    command = [sys.executable, __file__, "--from", str(first), topic]
    outcomes: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while len(outcomes) < count - first:
                line = child.stdout.readline() if selector.select(_SECONDS) else None
                if line:
                    outcomes.append(str(json.loads(line)))
                    continue
                child.kill()
                return [*outcomes, "hung" if line is None else "ended the process"]
    return outcomes


def _try(topic: str, first: int) -> None:
    with suppress(ValueError, OSError):  # a system that doesn't know this limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for attack in attacks(topic)[first:]:
        folder = Path(tempfile.mkdtemp(prefix="attack-"))
        began = time.process_time()
        try:
            attack.attempt(folder)
            used = time.process_time() - began
            outcome = "held" if used < _PROCESSOR_SECONDS else f"took {used:.0f} seconds of the processor"
        except pytest.skip.Exception as reason:
            outcome = f"not tried: {reason}"
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"[:200]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(outcome), flush=True)


def main(topics: list[str]) -> None:
    """Print the faults of each topic, and a table at the end."""
    table = []
    for topic in topics or TOPICS:
        found = run(topic)
        faults = [(name, outcome) for name, outcome in found if outcome != "held"]
        for name, outcome in faults:
            print(f"{topic}: {name}: {outcome.encode('ascii', 'backslashreplace').decode()}")
        skipped = sum(outcome.startswith("not tried") for _, outcome in faults)
        table.append(f"| {topic} | {len(found) - skipped} | {len(faults) - skipped} |")
    print("\n| topic | tried | faults |\n| --- | --- | --- |", *table, sep="\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--from"]:
        _try(sys.argv[3], int(sys.argv[2]))
    else:
        main(sys.argv[1:])
