"""Which precisions of encoder and decoder are measured on which engines."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

import cxrscribe
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.precision_pair import BF16, FP16, INT8, PrecisionPair
from cxrscribe.errors import DeviceError
from cxrscribe.sessions.device import CPU, CUDA, OPENVINO

_ENGINES: Final = (CPU.name, OPENVINO.name)
"""Devices of which each computes int8 in its own way."""


@dataclass(frozen=True)
class Combination:
    """Precisions of encoder and decoder, and where their words are found out."""

    device: str
    """What reports are written on."""
    pair: PrecisionPair
    devices: tuple[str, ...]
    """What the record is for."""


def engines_here() -> tuple[str, ...]:
    """The engines that work on this machine; the CPU's own always."""
    return tuple(name for name in _ENGINES if name == CPU.name or _opens(name, FP32))


def check_bf16() -> None:
    """Raise DeviceError, with the reason, where no engine of this machine computes in bf16."""
    try:
        _open(OPENVINO.name, BF16)
    except DeviceError as error:
        raise DeviceError(
            f"the cost of {BF16} can't be measured here, for nothing computes in it: {error}"
        ) from error


def combinations(
    names: Sequence[str], graphs: Container[str], engines: Sequence[str]
) -> tuple[Combination, ...]:
    """What to measure for the precisions `names`, the whole ones on the CPU first.

    int8 is measured whole and mixed with fp32 on each engine, fp16 on the CPU in place of a GPU, and bf16
    with each decoder that the bundle has.

    Args:
        names: of the precisions that are asked for.
        graphs: precisions of the bundle's graphs.
        engines: those that are there.
    """
    found: list[Combination] = []
    for name in names:
        if name == FP16:
            found.append(Combination(CPU.name, PrecisionPair(FP16, FP16), (CUDA.name,)))
        elif name == BF16:
            decoders = [decoder for decoder in (FP32, INT8) if decoder in graphs]
            pairs = [PrecisionPair(BF16, decoder) for decoder in decoders]
            found += [Combination(OPENVINO.name, pair, (OPENVINO.name,)) for pair in pairs]
        else:
            mixed = ((name, name), (name, FP32), (FP32, name))
            pairs = [PrecisionPair(*both) for both in mixed]
            found += [Combination(engine, pair, (engine,)) for engine in engines for pair in pairs]
    return tuple(dict.fromkeys(found))


def _opens(device: str, precision: str) -> bool:
    try:
        _open(device, precision)
    except DeviceError:
        return False
    return True


def _open(device: str, precision: str) -> None:
    """Open a small bundle there: whether an engine works, only trying it says."""
    cxrscribe.load(cxrscribe.demo_bundle(), device=device, precision=precision, cache=False).close()
