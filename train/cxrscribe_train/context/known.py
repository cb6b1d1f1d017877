"""What a training knows of each film before the first word, fitted once and kept for a resumed training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from cxrscribe.bundle.contract import PATIENT_TEXT
from cxrscribe.errors import CxrscribeError, InputError
from cxrscribe.patient_text import PatientText
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.context.tags import FittedTags

_NUMBERS: Final = "context.safetensors"


@dataclass(frozen=True)
class Known:
    """The numbers of each patient's text, and tags, in the order of the training's films."""

    text: PatientText
    train: NDArray[np.float32]
    """[N, P]: of training films, out of fold."""
    val: NDArray[np.float32]
    """[n, P]: of validation films, as a bundle reads them."""
    tags: FittedTags | None = None

    def digest(self, indications: Sequence[str]) -> str:
        """sha256 of all this and of the texts that it was made of."""
        found = hashlib.sha256(self.text.to_bytes())
        for array in self._arrays().values():
            found.update(array.tobytes())
        for indication in indications:
            found.update(hashlib.sha256(indication.encode("utf-8", "surrogatepass")).digest())
        return found.hexdigest()

    def write(self, run: Path, checkpoint: Path) -> None:
        """Write how texts are read into the run folder, and the numbers beside its checkpoint."""
        write_atomically(run / PATIENT_TEXT, self.text.to_bytes())
        write_atomically(checkpoint / _NUMBERS, safetensors.numpy.save(self._arrays()))

    @classmethod
    def read(cls, run: Path, checkpoint: Path) -> Known:
        """Read what `write` wrote: fitted anew, last digits might differ. Raises InputError."""
        try:
            arrays = safetensors.numpy.load_file(checkpoint / _NUMBERS)
            text = PatientText.read(run / PATIENT_TEXT, error=InputError)
            tags = None
            if "tags" in arrays:
                tags = FittedTags(arrays["tag_weight"], arrays["tag_bias"], arrays["tags"])
            return cls(text, arrays["train"], arrays["val"], tags)
        except (OSError, KeyError, safetensors.SafetensorError, CxrscribeError) as error:
            raise InputError(f"{checkpoint / _NUMBERS} can't be read ({error}); start another run") from None

    def _arrays(self) -> dict[str, NDArray[np.float32]]:
        arrays = {"train": self.train, "val": self.val}
        if self.tags is not None:
            arrays |= {
                "tag_weight": self.tags.weight,
                "tag_bias": self.tags.bias,
                "tags": self.tags.out_of_fold,
            }
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}
