"""METEOR, computed by the Java program that pycocoevalcap carries, where Java is present.

The program gives counts for each film; the score of a corpus is the score of their sum. So a resample is a
sum here too, and one line of input scores many. The protocol is that of METEOR 1.5 with `-stdio`.
M. Denkowski and A. Lavie, "Meteor Universal", WMT 2014.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.bootstrap import Statistic, Weights

TIMEOUT: Final = 300.0
"""Seconds that one call may take; the program is ended when it takes longer."""
_JAR: Final = "meteor-1.5.jar"
_OPTIONS: Final = ("-", "-", "-stdio", "-l", "en", "-norm")
_MEMORY: Final = "-Xmx2G"
# Java reads a whole line before it answers, so that a line has to stay below what both pipes hold.
_EVALUATED_AT_ONCE: Final = 100
_NO_WORDS: Final = "."


class MeteorError(Exception):
    """METEOR can't be computed here; the message says why."""


class Meteor:
    """The running Java program. A context manager; raises MeteorError when there is no Java or it fails."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        java, jar = shutil.which("java"), _jar()
        if java is None:
            raise MeteorError("no `java` on the path")
        self._timeout = timeout
        self._process = subprocess.Popen(
            [java, "-jar", _MEMORY, jar.name, *_OPTIONS],
            cwd=jar.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )

    def counts(self, reports: Sequence[Words], references: Sequence[Words]) -> NDArray[np.float64]:
        """METEOR's counts of each film, float64 [N, 23]; they add up to those of a corpus."""
        lines = [
            f"SCORE ||| {' '.join(reference)} ||| {' '.join(report) or _NO_WORDS}"
            for report, reference in zip(reports, references, strict=True)
        ]
        answers = self._ask(lines, answers_to_a_line=1)
        try:
            return np.array([[float(count) for count in answer.split()] for answer in answers])
        except ValueError as error:
            raise MeteorError(f"the Java program gave no counts ({error})") from None

    def scores(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """METEOR of B corpora given by their summed counts, float64 [B, 23] -> [B]."""
        lines = [" ".join(repr(float(count)) for count in row) for row in counts]
        scores: list[float] = []
        for start in range(0, len(lines), _EVALUATED_AT_ONCE):
            chunk = lines[start : start + _EVALUATED_AT_ONCE]
            answers = self._ask([" ||| ".join(["EVAL", *chunk])], answers_to_a_line=len(chunk) + 1)
            scores += [float(answer) for answer in answers[:-1]]  # the last one is that of all together
        return np.array(scores)

    def statistic(self, counts: NDArray[np.float64]) -> Statistic:
        """METEOR of any resample of the films that `counts` [N, 23] are of."""

        def measure(weights: Weights) -> NDArray[np.float64]:
            return self.scores(weights @ counts)

        return measure

    def _ask(self, lines: Sequence[str], answers_to_a_line: int) -> list[str]:
        late = threading.Timer(self._timeout, self._process.kill)
        late.start()
        try:
            return [answer for line in lines for answer in self._answers(line, answers_to_a_line)]
        except OSError as error:
            raise MeteorError(f"the Java program ended early ({error})") from None
        finally:
            late.cancel()

    def _answers(self, line: str, count: int) -> list[str]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(line + "\n")
        stdin.flush()
        answers = [stdout.readline() for _ in range(count)]
        if not all(answers):
            raise MeteorError(f"the Java program ended early or took more than {self._timeout:g} s")
        return [answer.strip() for answer in answers]

    def __enter__(self) -> Meteor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # what was not yet written has no reader any more
        self._process.wait()


def _jar() -> Path:
    package = find_spec("pycocoevalcap")
    for folder in (package.submodule_search_locations or []) if package else []:
        jar = Path(folder) / "meteor" / _JAR
        if jar.is_file():
            return jar
    raise MeteorError(f"pycocoevalcap is installed without {_JAR}")
