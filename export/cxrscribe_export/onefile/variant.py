"""Which of the files that can be made of a bundle: what it takes, what it gives, how it is stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from cxrscribe.arguments import shown
from cxrscribe.bundle.files import FP32
from cxrscribe.errors import InputError

FP16: Final = "fp16"
WHOLE: Final = "whole"
ENCODER: Final = "encoder"
SEARCH: Final = "search"
IMAGE: Final = "image"
FILM: Final = "film"
DEFAULTS: Final = "defaults"
INPUTS: Final = "inputs"

CHOICES: Final = {
    "part": (WHOLE, ENCODER, SEARCH),
    "input": (IMAGE, FILM),
    "settings": (DEFAULTS, INPUTS),
    "weights": (FP32, FP16),
}
"""What each field of a Variant may be, what it is without a choice first."""


@dataclass(frozen=True)
class Variant:
    """One of the files. Raises InputError where a field isn't one of `CHOICES`, or two contradict."""

    part: str = WHOLE
    """`whole` goes from pixels to words; `encoder` from pixels to features, `search` from there to words."""
    input: str = IMAGE
    """`image`: films as `Preprocessing` fits them, uint8 [N, H, W]; `film`: one of any size, uint8 [h, w]."""
    settings: str = DEFAULTS
    """`defaults`: settings, and what is known of the patient, can be left out; `inputs`: none."""
    weights: str = FP32
    """How weights are stored. Those in `fp16` are made float32 once, when the file is loaded."""

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"{name} is {shown(value)}; it has to be one of {', '.join(allowed)}")
        if self.part == SEARCH and self.input == FILM:
            raise InputError(
                f"part {SEARCH!r} takes features and no film; leave input {FILM!r} out, or give it to part "
                f"{ENCODER!r}"
            )
        if self.part == ENCODER and self.settings == INPUTS:
            raise InputError(
                f"part {ENCODER!r} has no settings; leave settings {INPUTS!r} out, or give it to part "
                f"{SEARCH!r}"
            )

    def to_json(self) -> dict[str, str]:
        """The fields by name."""
        return asdict(self)
