"""From thickness to grey: how a film was exposed and developed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.phantom.drawing.noise import Stream, grain

_DEEPEST: Final = 12288  # 1/16 mm; all that is thicker looks the same
_DECAY: Final = 494  # share of 2^20 of the rays that 1/16 mm of tissue stops


@dataclass(frozen=True)
class Exposure:
    """Settings of one film."""

    gain: int  # of the thickness, 256 is neutral
    black: int  # grey of the open air
    white: int  # grey of metal
    bend: int  # how much the middle tones are lifted or lowered, of 256
    noise: int  # amplitude of the grain, of 256

    @classmethod
    def drawn(cls, stream: Stream) -> Exposure:
        """A random exposure."""
        return cls(
            gain=stream.between(290, 350),
            black=stream.between(2, 10),
            white=stream.between(244, 255),
            bend=stream.between(-190, -130),
            noise=stream.between(8, 16),
        )

    def develop(self, thickness: NDArray[np.int32], stream: Stream) -> NDArray[np.uint8]:
        """uint8 [h, w] of grey from int32 [h, w] of tissue in 1/16 mm; h = w."""
        grey = self._table()[np.clip(thickness, 0, _DEEPEST - 1)]
        grain_of_film = grain(stream, len(grey)) * np.int16(self.noise) >> 4
        grey += grain_of_film
        return np.clip(grey >> 4, 0, 255).astype(np.uint8)

    def _table(self) -> NDArray[np.int16]:
        """int16 [12288]: grey in sixteenths for each thickness."""
        index = np.minimum(np.arange(_DEEPEST) * self.gain >> 8, _DEEPEST - 1)
        absorbed = _ABSORBED[index]  # of 4096
        absorbed = absorbed + (absorbed * (4096 - absorbed) >> 12) * self.bend // 256
        return (self.black * 16 + absorbed * (self.white - self.black) // 256).astype(np.int16)


def _absorbed() -> NDArray[np.int64]:
    """int64 [12288]: share of 4096 of the rays that a thickness stops: 1 - exp(-thickness)."""
    passed = 1 << 40
    table = []
    for _ in range(_DEEPEST):
        table.append(4096 - (passed >> 28))
        passed -= (passed >> 20) * _DECAY
    return np.array(table, dtype=np.int64)


_ABSORBED: Final = _absorbed()
