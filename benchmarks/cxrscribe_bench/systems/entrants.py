"""Who takes part: each system at each of its precisions, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cxrscribe.bundle.files import FP32
from cxrscribe.errors import InputError
from cxrscribe_bench.groups import (
    OPENVINO_F32,
    OPENVINO_FREE,
    OURS,
    PADDLE_DYNAMIC,
    PADDLE_INFERENCE,
    PLAIN_ONNX,
    TORCH_COMPILED,
    TORCH_EAGER,
)
from cxrscribe_bench.systems.openvino_native import open_openvino
from cxrscribe_bench.systems.ours import open_cxrscribe
from cxrscribe_bench.systems.paddle_dynamic import open_paddle_dynamic
from cxrscribe_bench.systems.paddle_inference import open_paddle_inference
from cxrscribe_bench.systems.plain_onnxruntime import open_plain_onnxruntime
from cxrscribe_bench.systems.pytorch import open_pytorch_compiled, open_pytorch_eager
from cxrscribe_bench.systems.system import System
from cxrscribe_bench.workload import Workload

AS_IT_COMES: Final = "as-it-comes"
"""The precision that an engine chooses by itself."""


@dataclass(frozen=True)
class Entrant:
    """One system at one precision."""

    system: str
    precision: str
    opener: Callable[[Workload, str], System]
    few: bool = False
    """Whether a round gives it few images, in turn, because it takes seconds for each."""

    @property
    def name(self) -> str:
        """Of its measurements: `system/precision`."""
        return f"{self.system}/{self.precision}"

    @property
    def is_strict(self) -> bool:
        """Whether it computes in float32 and so has to find the same words."""
        return self.precision == FP32


_PEERS: Final = (
    Entrant(PADDLE_DYNAMIC, FP32, open_paddle_dynamic, few=True),
    Entrant(PADDLE_INFERENCE, FP32, open_paddle_inference),
    Entrant(PLAIN_ONNX, FP32, open_plain_onnxruntime),
    Entrant(OPENVINO_F32, FP32, open_openvino),
    Entrant(OPENVINO_FREE, AS_IT_COMES, open_openvino),
    Entrant(TORCH_EAGER, FP32, open_pytorch_eager),
    Entrant(TORCH_COMPILED, FP32, open_pytorch_compiled),
)
PEERS: Final = tuple(peer.system for peer in _PEERS)
"""Names of all systems but ours."""


def ours(precisions: Iterable[str]) -> tuple[Entrant, ...]:
    """Our runtime at these precisions."""
    return tuple(Entrant(OURS, precision, open_cxrscribe) for precision in precisions)


def peers(names: Sequence[str]) -> tuple[Entrant, ...]:
    """These systems. Raises InputError for a name that none has."""
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise InputError(f"no peer is called {unknown[0]!r}; there are {', '.join(PEERS)}")
    return tuple(peer for peer in _PEERS if peer.system in names)
