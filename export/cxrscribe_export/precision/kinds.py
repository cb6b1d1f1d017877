"""The lower precisions that export can make graphs of, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, DECODER_INIT, ENCODER
from cxrscribe.bundle.precision_pair import FP16, INT8
from cxrscribe_export.graphs.runner import GraphRunner
from cxrscribe_export.precision.cost import Calibration
from cxrscribe_export.precision.decoder_int8 import quantize_beam_step, quantize_initial_state
from cxrscribe_export.precision.encoder_int8 import quantize_encoder
from cxrscribe_export.precision.half_precision import halve

GRAPHS: Final = (ENCODER, DECODER_INIT, BEAM_INIT, BEAM_STEP)
"""What each precision has: all that a report needs, and the initial state in both of its forms."""
_FILMS_AT_ONCE: Final = 8

Models = Mapping[str, onnx.ModelProto]
"""Graphs by name, of those in `GRAPHS`."""
Films = NDArray[np.uint8]
Starts = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From features [M, F] of the training films to what searches start from."""


@dataclass(frozen=True)
class PrecisionKind:
    """One precision."""

    name: str
    is_calibrated: bool
    """Whether it needs training films."""
    make: Callable[[Models, Films, Starts], Models]
    """From the fp32 graphs, training films uint8 [M, H, W], and what makes starts of their features."""

    def calibration(self, films: int) -> Calibration:
        """How its scales are found on so many training films."""
        if not self.is_calibrated:
            return Calibration()
        return Calibration(
            f"smallest and largest activation over {films} films of the training split; weights by the "
            "largest of each output channel; h of the LSTM by its bounds, -1 and 1",
            films,
        )


def _int8(models: Models, films: Films, starts: Starts) -> Models:
    runner = GraphRunner(models[ENCODER])
    features = np.concatenate(
        [
            runner.run(films[start : start + _FILMS_AT_ONCE])[0]
            for start in range(0, len(films), _FILMS_AT_ONCE)
        ]
    )
    rows = starts(features)
    return {
        ENCODER: quantize_encoder(models[ENCODER], films),
        DECODER_INIT: quantize_initial_state(models[DECODER_INIT], rows),
        BEAM_INIT: quantize_initial_state(models[BEAM_INIT], rows),
        BEAM_STEP: quantize_beam_step(models[BEAM_STEP]),
    }


def _fp16(models: Models, films: Films, starts: Starts) -> Models:
    return {name: halve(models[name]) for name in GRAPHS}


KINDS: Final = {
    kind.name: kind
    for kind in (
        PrecisionKind(INT8, True, _int8),
        PrecisionKind(FP16, False, _fp16),
    )
}
"""By name."""
