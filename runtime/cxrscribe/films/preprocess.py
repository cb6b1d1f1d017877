"""From a grey film of any size to the fixed-size picture that a network reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cxrscribe.arguments import shown
from cxrscribe.errors import InputError
from cxrscribe.films.film import FilmSource, decode, naming, open_source
from cxrscribe.films.isolation import Isolation, read_isolated
from cxrscribe.films.levels import Picture
from cxrscribe.films.limits import check_visible
from cxrscribe.films.resample import Resolution, resample
from cxrscribe.films.rules import FILM_MODALITIES, NEWEST_RULES, FilmRules, PngRange
from cxrscribe.json_object import JsonObject, finite_number

LETTERBOX: Final = "letterbox"
LARGEST_SIDE: Final = 4096

# Channel statistics of ImageNet for pixels in [0, 1], which every paddle.vision backbone was trained with.
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)

# Blocks of pixels are averaged first, while the film stays this many times larger than the target. From 3 on,
# Pillow's documentation calls the result indistinguishable from that of the filter alone.
REDUCING_GAP: Final = 3.0


@dataclass(frozen=True)
class Preprocessing:
    """How a film becomes the input of an encoder.

    `height`, `width`: pixels of the network's input. `resize`: `"letterbox"`, the only way there is: the
    whole film keeps its aspect ratio, is fitted in, centred, and padded with black. `mean`, `std`: per
    channel, for pixels in [0, 1]; the encoder graph applies them, they stand here so that one value
    describes all of it. `display`: version of the rules by which files become grey pixels, see
    `cxrscribe.films.rules`; the newest is for networks that are trained from now on. `png_range`: what is
    black and white in 16-bit grey, see `PngRange`.

    Raises InputError when a value is out of range.
    """

    height: int
    width: int
    resize: str = LETTERBOX
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    display: int = NEWEST_RULES
    png_range: str = PngRange.USED

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            side = getattr(self, name)
            if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= LARGEST_SIDE:
                raise InputError(f"{name} is {shown(side)}; give a whole number from 1 to {LARGEST_SIDE}")
        if self.resize != LETTERBOX:
            raise InputError(f"resize is {shown(self.resize)}; this version knows only {LETTERBOX!r}")
        for name in ("mean", "std"):
            object.__setattr__(self, name, _channels(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise InputError(f"std is {list(self.std)}; every channel's must be above 0")
        object.__setattr__(self, "png_range", self.rules().png_range)

    def rules(self, modalities: Iterable[str] = FILM_MODALITIES, text: str | None = None) -> FilmRules:
        """By which films of these modalities are read, with the text of this attribute of DICOM."""
        return FilmRules(self.display, self.png_range, modalities, text)

    def read(
        self,
        source: FilmSource,
        isolation: Isolation | None = None,
        modalities: tuple[str, ...] = FILM_MODALITIES,
    ) -> npt.NDArray[np.uint8]:
        """Read a film and fit it: uint8 [height, width].

        Training and inference both come through here. Files that `isolation` names, compressed DICOM by
        default, are decoded in a process of their own. `modalities`: which DICOM is read, see `FilmRules`.
        Raises FilmError, also where there is nothing to see: fewer than 8 grey levels, or a standard
        deviation under 2 of 255.
        """
        return self.read_shown(source, isolation, modalities).pixels

    def read_shown(
        self,
        source: FilmSource,
        isolation: Isolation | None = None,
        modalities: tuple[str, ...] = FILM_MODALITIES,
        text: str | None = None,
    ) -> Picture:
        """As `read`, how the film's samples are shown, and the text of this attribute of DICOM, if any."""
        limits = isolation if isolation is not None else Isolation()
        with naming(source):
            opened = open_source(source, limits.concerns)
            if isinstance(opened, Path) or (isinstance(opened, bytes) and limits.concerns(opened)):
                return read_isolated(opened, self.to_json(), modalities, limits, text)
            return self.picture(opened, modalities, text)

    def picture(
        self, opened: FilmSource, modalities: tuple[str, ...] = FILM_MODALITIES, text: str | None = None
    ) -> Picture:
        """As `read_shown`, of what `open_source` gave, in this process."""
        film = decode(opened, self.size_hint, self.rules(modalities, text))
        fitted = self._fitted(film.pixels, film.resolution)
        check_visible(fitted)
        return Picture(self._letterboxed(fitted), film.display, text=film.text)

    @property
    def size_hint(self) -> tuple[int, int]:
        """(height, width) that a film should at least be decoded at, where its format lets one choose."""
        times = self.rules().enlargement
        return times * self.height, times * self.width

    def apply(self, film: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Fit a grey film uint8 [h, w] into a new uint8 [height, width].

        By `cxrscribe.films.resample`, with `REDUCING_GAP`: the same film gives the same pixels anywhere.
        """
        return self._letterboxed(self._fitted(film))

    def _fitted(
        self, film: npt.NDArray[np.uint8], resolution: Resolution | None = None
    ) -> npt.NDArray[np.uint8]:
        if film.ndim != 2 or film.dtype != np.uint8 or 0 in film.shape:
            raise InputError(
                f"preprocessing takes a grey film uint8 [h, w], not {film.dtype} {list(film.shape)}; "
                "read it with cxrscribe.films.film.read_film"
            )
        whole = film.shape if resolution is None else (resolution.height, resolution.width)
        height, width = self.fitted_size(*whole)
        return resample(film, height, width, REDUCING_GAP, resolution)

    def _letterboxed(self, fitted: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        height, width = fitted.shape
        canvas = np.zeros((self.height, self.width), dtype=np.uint8)
        top, left = (self.height - height) // 2, (self.width - width) // 2
        canvas[top : top + height, left : left + width] = fitted
        return canvas

    def fitted_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of a film of this size once it is fitted in: at least 1 pixel, halves round up."""
        if width * self.height >= height * self.width:
            return max(1, (2 * height * self.width + width) // (2 * width)), self.width
        return self.height, max(1, (2 * width * self.height + height) // (2 * height))

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, which `from_json` reads back."""
        fields = asdict(self) | {"mean": list(self.mean), "std": list(self.std)}
        if self.png_range == PngRange.FULL:  # as it is said by those who know of no other
            del fields["png_range"]
        return fields

    @classmethod
    def from_json(cls, fields: JsonObject) -> Preprocessing:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls,
            height=fields.integer("height"),
            width=fields.integer("width"),
            resize=fields.text("resize"),
            mean=fields.numbers("mean"),
            std=fields.numbers("std"),
            # Whoever wrote nothing of them was trained before there was a choice.
            display=fields.integer("display") if "display" in fields.names() else 1,
            png_range=fields.text("png_range") if "png_range" in fields.names() else PngRange.FULL,
        )


def _channels(name: str, values: object) -> tuple[float, float, float]:
    """Three finite numbers, or InputError."""
    if isinstance(values, list | tuple) and len(values) == 3:
        red, green, blue = map(finite_number, values)
        if red is not None and green is not None and blue is not None:
            return red, green, blue
    raise InputError(f"{name} is {shown(values)}; give three numbers, one a channel")
