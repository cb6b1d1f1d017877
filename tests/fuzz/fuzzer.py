"""Reads damaged films until all are done, and prints one JSON object of what became of them.

    python tests/fuzz/fuzzer.py FILMS [SEED]

Film number i is the same under the same seed, whatever the number of films. A film that is no FilmError and
isn't read is listed with its number and encoding, and so is one that ended its decoder's process or took more
than it may; a process that ends takes this program with it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from cxrscribe.errors import FilmError, Reason
from cxrscribe.films import isolation
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_bench.timing.memory import peak_bytes
from fuzz.mutations import mutated
from fuzz.seeds import seeds

LIMITS = Isolation(cpu_seconds=10, wall_seconds=60, memory_bytes=1 << 30)
PREPROCESSING = Preprocessing(48, 48)
_STOPPED = {Reason.KILLED_THE_READER: "crashed", Reason.TIMED_OUT: "over a limit"}


def run(films: int, seed: int) -> dict[str, object]:
    """Read films 0 to `films` - 1 on two threads."""
    originals = seeds()
    names = list(originals)
    outcomes: Counter[str] = Counter()
    escaped: list[str] = []
    stopped: list[str] = []
    slow: list[str] = []

    def read(number: int) -> None:
        random = np.random.default_rng([seed, number])
        name = names[number % len(names)]
        content = mutated(originals[name], random)
        began, outcome = time.thread_time(), "read"
        try:
            PREPROCESSING.read(content, LIMITS)
        except FilmError as error:
            outcome = _STOPPED.get(error.reason, "refused")
            if outcome != "refused":
                stopped.append(f"film {number}, {name}: {error}")
        except BaseException as error:
            outcome = "escaped"
            escaped.append(f"film {number}, {name}: {type(error).__name__}: {error}")
        if time.thread_time() - began > LIMITS.cpu_seconds:
            slow.append(f"film {number}, {name}")
        outcomes[outcome] += 1

    for name, content in originals.items():  # each of them is a film before it is damaged
        try:
            PREPROCESSING.read(content, LIMITS)
        except FilmError as error:
            escaped.append(f"whole film, {name}: {error}")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(read, range(films)))
    isolation.end_processes()  # their memory counts once they have ended
    peaks = {
        # Not of `getrusage`: that counts what the program had that started this one.
        "own_peak_mb": peak_bytes() / 1e6,
        "decoders_peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }
    return {
        "films": films,
        "outcomes": outcomes,
        "escaped": escaped,
        "stopped": stopped,
        "slow": slow,
        **peaks,
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0), indent=1))
