"""What is decoded in a run: which bundle, which films and features, under which settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.settings import BeamSettings

AT: Final = "@"
"""Between a precision and the device that it is measured on."""


@dataclass(frozen=True)
class Workload:
    """The same for every system. Only paths and numbers, so that each process reads its data by itself."""

    bundle: Path
    films: tuple[Path, ...]
    """Files, read into memory before anything is timed."""
    features: Path
    """An h5 file with `features` float32 [N, F]: of the films, or others."""
    settings: BeamSettings
    batch_size: int
    """Images that are searched for at a time."""
    threads: int
    device: str = "cpu"
    most_rows: int | None = None
    """Rows of features that are used, from the first; None for all."""

    def engine(self, name: str) -> tuple[str, str]:
        """Device and precision, as `cxrscribe.load` takes them, of `int8`, or `int8@openvino`.

        Without a device it is the workload's.
        """
        precision, _, device = name.partition(AT)
        return device or self.device, precision

    def film_files(self) -> list[bytes]:
        """The films' files, whole."""
        return [path.read_bytes() for path in self.films]

    def feature_rows(self) -> NDArray[np.float32]:
        """Features float32 [N, F]."""
        import h5py

        with h5py.File(self.features, "r") as file:
            rows: NDArray[np.float32] = file["features"][: self.most_rows]
        return rows
