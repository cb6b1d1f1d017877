"""Runs a file that `one_file` made, and reads its outputs as lists of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe import BeamSettings, Report
from cxrscribe.errors import FilmError

Film = NDArray[np.uint8]
Films = NDArray[np.uint8]


def session_on(model: onnx.ModelProto | Path, threads: int = 1) -> Any:
    """An onnxruntime session on so many threads of the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Result:
    """One hypothesis of one film."""

    tokens: tuple[int, ...]
    finished: bool
    score: float


class OneFile:
    """An onnxruntime session on one file, on one thread of the CPU."""

    def __init__(self, model: onnx.ModelProto | Path, threads: int = 1) -> None:
        self.session = session_on(model, threads)

    def run(
        self, films: Films, patient: NDArray[np.float32] | None = None, **settings: float
    ) -> list[NDArray[np.generic]]:
        """All outputs. `settings` are those to override."""
        types = {"length_penalty": np.float32}
        given = {name: np.array(value, types.get(name, np.int64)) for name, value in settings.items()}
        given |= {} if patient is None else {"patient": patient}
        outputs: list[NDArray[np.generic]] = self.session.run(None, {"image": films, **given})
        return outputs

    def results(self, films: Films, settings: BeamSettings | None = None) -> list[list[Result]]:
        """What it finds for each film, best first; `settings` but for what a file holds fixed."""
        names = ("beam_width", "max_length", "min_length", "length_penalty")
        given = {name: getattr(settings, name) for name in names} if settings else {}
        return read_results(self.run(films, **given))


def read_results(outputs: list[NDArray[np.generic]]) -> list[list[Result]]:
    """Results of each film. Checks that what isn't used is as the file promises."""
    tokens, lengths, scores, finished = outputs[:4]
    assert [output.dtype for output in outputs[:4]] == [np.int64, np.int64, np.float64, np.bool_]
    assert lengths.shape == scores.shape == finished.shape == tokens.shape[:2]
    beyond = np.arange(tokens.shape[2]) >= lengths[:, :, None]
    assert not tokens[beyond].any()
    missing = np.isneginf(scores)
    assert not np.isnan(scores).any()
    assert not lengths[missing].any()
    assert not finished[missing].any()
    assert (np.diff(missing.astype(int), axis=1) >= 0).all()  # what is missing stands behind
    return [
        [
            Result(tuple(row[:length].tolist()), bool(end), float(score))
            for row, length, score, end in zip(*film, strict=True)
            if score > -np.inf
        ]
        for film in zip(tokens, lengths, scores, finished, strict=True)
    ]


def results_of(outcome: Report | FilmError) -> list[Result]:
    """The same of what the runtime gives for a film."""
    if isinstance(outcome, FilmError):
        return []
    return [
        Result(report.tokens, report.finished, report.score) for report in (outcome, *outcome.alternatives)
    ]
