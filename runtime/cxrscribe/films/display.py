"""Showing the stored values of a DICOM radiograph as a viewer would.

The steps and their order are those of DICOM PS3.4, N.2 (grey scale transformation sequence): modality LUT or
rescaling; then the first VOI LUT or else the first window; then inversion where the photometric
interpretation is MONOCHROME1 or the Presentation LUT Shape is INVERSE (both together mean one inversion,
PS3.3, C.8.11.3).

The rules have versions, for a network has to be shown what it was trained on; a bundle's manifest names its
own. Version 2 differs from 1 in this:

- without a window, and where a window leaves nothing to tell apart, the range that the pixels have is shown,
  not the range that the stored bits allow;
- pixels of the padding's value are background and black, and count for no range;
- a LUT whose largest value needs fewer bits than it claims is scaled by that value; a first value below 0 may
  be written unsigned; an item without data, and a window of width 0, count as absent;
- pixels that aren't square are made so, by their ratio or their spacing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from cxrscribe.errors import FilmError, Reason
from cxrscribe.films.frames import StoredValues
from cxrscribe.films.levels import Picture, look_up, luma, stretched
from cxrscribe.films.limits import check_size
from cxrscribe.films.resample import resample
from cxrscribe.films.rules import NEWEST_RULES

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Heights and widths of pixels or of what they show; the first that tells (PS3.3, C.7.6.3.1.7 and 10.7.1.3).
_RATIOS: Final = ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_SAME_SIDES: Final = 0.01

RANGE: Final = "range"
"""How a picture's display is called that shows the range that it has."""


def shown(stored: StoredValues, dataset: Dataset, rules: int = NEWEST_RULES) -> Picture:
    """Brightness of grey stored values, and by which of the steps.

    Worked out for all stored values that there can be, and looked up for every pixel. Raises FilmError when
    attributes leave the pixels' meaning open.
    """
    bits = int(dataset.BitsStored)
    if not 1 <= bits <= 16:
        raise FilmError(f"has DICOM pixels of {bits} bits; 1 to 16 are read", Reason.UNSUPPORTED)
    is_signed = bool(int(dataset.get("PixelRepresentation", 0)))
    lowest = -(1 << (bits - 1)) if is_signed else 0
    codes = np.arange(lowest, lowest + (1 << bits), dtype=np.int64)
    if rules == 1:
        padding = np.zeros(len(codes), np.bool_)
        brightness, display = _brightness_1(codes, dataset)
    else:
        padding = _padding(codes, dataset, is_signed)
        present = _present(stored, codes, padding, dataset)
        if not (present & ~padding).any():  # a picture that is nothing else isn't padding
            padding[:] = False
        brightness, display = _brightness(codes, present & ~padding, dataset)
    if _is_inverse(dataset):
        brightness = 1.0 - brightness
    table = np.rint(brightness * 255.0).astype(np.uint8)
    table[padding] = 0
    if not is_signed:
        is_same = stored.values.dtype == np.uint8 and np.array_equal(table, np.arange(len(table)))
        return Picture(
            stored.values if is_same else look_up(table, stored.values), display, stored.resolution
        )
    by_pattern = np.zeros(1 << 16, np.uint8)  # of bits: two's complement
    by_pattern[codes & 0xFFFF] = table
    patterns = stored.values.astype(np.int16, copy=False).view(np.uint16)
    return Picture(look_up(by_pattern, patterns), display, stored.resolution)


def through_palette(stored: StoredValues, dataset: Dataset) -> Picture:
    """Luma of places in a palette (PS3.3, C.7.6.3.1.5 and C.7.9)."""
    codes = np.arange(1 << int(dataset.BitsStored))
    colours = np.empty((1, len(codes), 3), np.uint8)
    for band, name in enumerate(("Red", "Green", "Blue")):
        item = _palette(dataset, name)
        looked_up, highest = _look_up(codes.astype(np.float64), item, dataset)
        colours[0, :, band] = np.rint(looked_up / highest * 255.0)
    return Picture(look_up(luma(colours)[0], stored.values), "palette")


def _palette(dataset: Dataset, colour: str) -> Dataset:
    """A colour's table, as an item of a LUT sequence is."""
    from pydicom.dataset import Dataset

    name = f"{colour}PaletteColorLookupTable"
    item = Dataset()
    item.LUTDescriptor = dataset[f"{name}Descriptor"].value
    item.add_new("LUTData", "OW", dataset[f"{name}Data"].value)
    return item


def _present(stored: StoredValues, codes: npt.NDArray[np.int64], padding: Mask, dataset: Dataset) -> Mask:
    """Which codes, bool [codes], the picture has.

    Only the least and the largest one, where those between them make no difference: they do where some don't
    count, and where a table may bring them into any order.
    """
    present = np.zeros(len(codes), np.bool_)
    if padding.any() or _table(dataset, "ModalityLUTSequence") is not None:
        for row in stored.values:
            present[row.astype(np.int64) - codes[0]] = True
    else:
        present[[stored.least - codes[0], stored.largest - codes[0]]] = True
    return present


def square(pixels: npt.NDArray[np.uint8], dataset: Dataset) -> npt.NDArray[np.uint8]:
    """The picture with square pixels: the side is lengthened along which pixels are longer.

    By the Pixel Aspect Ratio, or else the spacing of the pixels. What can't be used counts as absent, and so
    does a difference under 1 %. Raises FilmError when the picture would be too large.
    """
    if is_square(dataset):
        return pixels
    ratio = _pixel_ratio(dataset)
    height, width = pixels.shape
    if ratio > 1:
        height = round(height * ratio)
    else:
        width = round(width / ratio)
    check_size(height, width)
    return resample(pixels, height, width)


def is_square(dataset: Dataset) -> bool:
    """Whether pixels count as square."""
    return abs(_pixel_ratio(dataset) - 1) < _SAME_SIDES


def _pixel_ratio(dataset: Dataset) -> float:
    return next(filter(None, (_ratio(dataset, name) for name in _RATIOS)), 1.0)


def _ratio(dataset: Dataset, name: str) -> float | None:
    """Height over width of a pixel; None where two numbers above 0 don't tell it."""
    try:
        vertical, horizontal = (float(side) for side in dataset.get(name))  # parsed here: it may be no number
    except (TypeError, ValueError):
        return None
    return vertical / horizontal if 0 < vertical < np.inf and 0 < horizontal < np.inf else None


def _padding(codes: npt.NDArray[np.int64], dataset: Dataset, is_signed: bool) -> Mask:
    """Which stored values, bool [codes], mean that nothing was there (PS3.3, C.7.5.1.1.2)."""
    given = [_first(dataset.get(name)) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if given[0] is None:
        return np.zeros(len(codes), np.bool_)
    ends = sorted(_as_stored(value, is_signed) for value in given if value is not None)
    padding: Mask = (codes >= ends[0]) & (codes <= ends[-1])
    return padding


def _as_stored(value: float, is_signed: bool) -> float:
    """A 16-bit number that was written as signed where pixels are unsigned, or the other way round."""
    if is_signed:
        return value - 65536 if value > 32767 else value
    return value + 65536 if value < 0 else value


def _brightness(codes: npt.NDArray[np.int64], seen: Mask, dataset: Dataset) -> tuple[Values, str]:
    """Brightness 0 to 1 of each stored value, by the rules of version 2, before inversion; and how."""
    table = _table(dataset, "ModalityLUTSequence")
    if table is not None:
        values, _ = _look_up(codes.astype(np.float64), table, dataset, by_largest=True)
    else:
        values = _rescaled(codes, dataset)
    table = _table(dataset, "VOILUTSequence")
    if table is not None:
        looked_up, highest = _look_up(values, table, dataset, by_largest=True)
        return looked_up / max(highest, 1.0), "LUT"
    center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if center is not None and width:
        brightness = window(values, center, width, _function(dataset))
        if np.ptp(brightness[seen]) > 0:
            return brightness, f"window {center:g} {width:g}"
    least, largest = values[seen].min(), values[seen].max()
    return stretched(values, least, largest), f"{RANGE} {least:g} {largest:g}"


def _brightness_1(codes: npt.NDArray[np.int64], dataset: Dataset) -> tuple[Values, str]:
    """As `_brightness`, by the rules of version 1."""
    if dataset.get("ModalityLUTSequence"):
        values, highest = _look_up(codes.astype(np.float64), dataset.ModalityLUTSequence[0], dataset)
        lowest = 0.0
    else:
        values = _rescaled(codes, dataset)
        lowest, highest = float(values.min()), float(values.max())
    if dataset.get("VOILUTSequence"):
        values, highest = _look_up(values, dataset.VOILUTSequence[0], dataset)
        return values / highest, "LUT"
    center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if center is None or width is None:
        return stretched(values, lowest, highest), f"{RANGE} {lowest:g} {highest:g}"
    return window(values, center, width, _function(dataset)), f"window {center:g} {width:g}"


def _rescaled(codes: npt.NDArray[np.int64], dataset: Dataset) -> Values:
    slope, intercept = (
        default if (given := _first(dataset.get(name))) is None else given
        for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    with np.errstate(over="ignore", invalid="ignore"):
        values: Values = codes.astype(np.float64) * slope + intercept
        is_finite = np.isfinite(np.ptp(values))
    if slope == 0 or not is_finite:
        raise FilmError(
            f"has a DICOM rescale slope of {slope:g} and intercept of {intercept:g}, which no film can have; "
            "correct them"
        )
    return values


def _function(dataset: Dataset) -> str:
    return str(dataset.get("VOILUTFunction") or "LINEAR").upper()


def _table(dataset: Dataset, sequence: str) -> Dataset | None:
    """The first item of a sequence of LUTs; None where it has nothing to look up."""
    item: Dataset | None = next(iter(dataset.get(sequence) or ()), None)
    if item is None or not item.get("LUTDescriptor") or not len(item.get("LUTData") or ()):
        return None
    return item


def window(values: Values, center: float, width: float, function: str = "LINEAR") -> Values:
    """Brightness 0 to 1 of `values` under a window, DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3.

    `function` is the VOI LUT Function: LINEAR, LINEAR_EXACT or SIGMOID. Raises FilmError for another one and
    for a width that the standard forbids (under 1 for LINEAR, not above 0 otherwise).
    """
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise FilmError("has a DICOM VOI LUT Function that the standard does not define; correct it")
    if not np.isfinite([center, width]).all() or width <= 0 or (function == "LINEAR" and width < 1):
        raise FilmError(f"has a DICOM window of width {width:g}, which the standard forbids; correct it")
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700.0, 700.0)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return np.where(values > center - 0.5, 1.0, 0.0)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _look_up(
    values: Values, table: Dataset, dataset: Dataset, *, by_largest: bool = False
) -> tuple[Values, float]:
    """Values through a LUT of DICOM PS3.3, C.11.1.1, and the value that is white.

    That is the highest one that its bits allow, or, `by_largest`, its largest one if that needs fewer bits.
    """
    entries, first, bits = (int(number) for number in table.LUTDescriptor)
    entries = entries or 65536  # the standard writes 65536 as 0
    if not 8 <= bits <= 16:
        raise FilmError(f"has a DICOM LUT of {bits} bits; the standard allows 8 to 16")
    if by_largest and first > 32767 and values.min() < 0:
        first -= 65536
    data = table.LUTData
    if isinstance(data, bytes):
        # Written as OW; 8-bit entries may be packed two to a word.
        word = np.uint8 if len(data) < 2 * entries else _word(dataset)
        numbers = np.frombuffer(data, dtype=word).astype(np.int64)
    else:
        numbers = np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF
    if len(numbers) < entries:
        raise FilmError(
            "has a DICOM LUT that is shorter than it says; fetch the file again", Reason.TRUNCATED
        )
    highest = (1 << bits) - 1
    if by_largest and (largest := int(numbers[:entries].max())).bit_length() < bits:
        highest = largest
    places = np.clip(np.rint(values) - first, 0, entries - 1).astype(np.int64)
    return np.clip(numbers[places].astype(np.float64), 0.0, highest), float(highest)


def _word(dataset: Dataset) -> str:
    """The numpy type of a 16-bit word in this file."""
    return "<u2" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">u2"


def _is_inverse(dataset: Dataset) -> bool:
    return (
        str(dataset.PhotometricInterpretation) == "MONOCHROME1"
        or str(dataset.get("PresentationLUTShape", "")).upper() == "INVERSE"
    )


def _first(value: Any) -> float | None:
    """The first of one or several numbers: of several windows a viewer shows the first."""
    if value is None or value == "":
        return None
    if isinstance(value, str | int | float):
        return float(value)
    return float(value[0]) if len(value) else None
