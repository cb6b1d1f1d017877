"""The stored values of DICOM, held against pydicom's own pipeline and against what was compressed."""

from __future__ import annotations

import builtins
import struct
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, convert_color_space, pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from cxrscribe.errors import FilmError
from cxrscribe.films import frames
from cxrscribe.films.dicom import read_dicom
from cxrscribe.films.film import read_film
from cxrscribe.films.frames import StoredValues, stored_values
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.films.rules import FilmRules
from support.compressed import jpeg, jpeg_2000
from support.dicom_file import RAMP, dicom, encapsulated, shown_dicom, written

BITS = {"BitsStored": 12, "HighBit": 11}
DEEP = {**BITS, "WindowCenter": 2048, "WindowWidth": 4096}
SHALLOW = {"WindowCenter": 128, "WindowWidth": 256}
ALL = FilmRules(modalities=())
SHIPPED = Path(str(get_testdata_file("CT_small.dcm"))).parent
# Small ones, of several frames, or of 16-bit colours: no films, and refused as such.
NO_FILMS = ("too small", "multi-frame", "colours of more than 8 bits", "without a picture", "is a multi")


def picture(bits: int = 12, height: int = 60, width: int = 52, *, is_signed: bool = False) -> np.ndarray:
    """A smooth picture with a little noise, which uses all the bits."""
    rows, columns = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    noise = np.random.default_rng(bits).normal(0, 0.004, (height, width))
    values = np.clip((rows + columns * columns) / 2 + noise, 0, 1) * ((1 << bits) - 1)
    stored = np.rint(values).astype(np.int64) - (1 << (bits - 1)) * is_signed
    kind = ("i" if is_signed else "u") + ("1" if bits <= 8 else "2")
    return stored.astype(kind)


def frame_of(values: np.ndarray, syntax: str, bits: int) -> bytes:
    """A picture compressed by the codecs' own libraries."""
    samples = values.view(f"u{values.itemsize}") & np.array((1 << bits) - 1, f"u{values.itemsize}")
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        predictor = 1 if syntax == JPEGLosslessSV1 else 6
        return bytes(
            imagecodecs.jpeg8_encode(samples, lossless=True, predictor=predictor, bitspersample=bits)
        )
    if syntax in (JPEGLSLossless, JPEGLSNearLossless):
        return bytes(imagecodecs.jpegls_encode(samples, level=2 if syntax == JPEGLSNearLossless else 0))
    reversible = syntax == JPEG2000Lossless
    return bytes(
        imagecodecs.jpeg2k_encode(
            values,
            codecformat="j2k",
            bitspersample=bits,
            reversible=reversible,
            level=0 if reversible else 60,
        )
    )


def run_lengths(values: np.ndarray) -> bytes:
    """RLE: a segment for the high bytes, if there are any, and one for the low ones."""
    planes = values.view(np.uint8).reshape(-1, values.itemsize).T[::-1]
    segments = [bytes(imagecodecs.packbits_encode(plane.tobytes())) for plane in planes]
    starts = [64 + sum(map(len, segments[:place])) for place in range(len(segments))]
    head = struct.pack("<16L", len(segments), *starts, *[0] * (15 - len(segments)))
    return head + b"".join(segments)


def stored(content: bytes, hint: tuple[int, int] | None = None) -> np.ndarray:
    """What `stored_values` makes of a file."""
    found: list[StoredValues] = []

    def kept(*arguments: Any) -> StoredValues:
        found.append(stored_values(*arguments))
        return found[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxrscribe.films.dicom.stored_values", kept)
        read_dicom(content, hint, ALL)
    values = found[-1]
    assert values.values.ndim == 3 or (values.least, values.largest) == (
        values.values.min(),
        values.values.max(),
    )
    return values.values


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
def test_lossless_pictures_come_out_to_the_bit(syntax: str, bits: int, is_signed: bool) -> None:
    values = picture(bits, is_signed=is_signed)
    content = encapsulated(frame_of(values, syntax, bits), values, syntax, BitsStored=bits, HighBit=bits - 1)
    assert np.array_equal(stored(content), values)


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("is_signed", [False, True])
def test_rle_comes_out_to_the_bit(bits: int, is_signed: bool) -> None:
    values = picture(bits, is_signed=is_signed)
    dataset = dicom(values, bits)
    dataset.compress(RLELossless, generate_instance_uid=False)
    assert np.array_equal(stored(written(dataset)), values)


@pytest.mark.parametrize("syntax", [JPEG2000, JPEGLSNearLossless])
def test_lossy_pictures_come_out_as_pydicom_decodes_them(syntax: str) -> None:
    values = picture(12)
    content = encapsulated(frame_of(values, syntax, 12), values, syntax, BitsStored=12, HighBit=11)
    theirs = pixel_array(pydicom.dcmread(BytesIO(content)))
    assert np.abs(stored(content).astype(int) - theirs.astype(int)).max() <= 1  # other versions of OpenJPEG
    assert np.abs(stored(content).astype(int) - values.astype(int)).max() < 40


def test_jpeg_of_12_bits() -> None:
    values = picture(12)
    frame = bytes(imagecodecs.jpeg8_encode(values, level=98, bitspersample=12))
    content = encapsulated(frame, values, JPEGExtended12Bit, BitsStored=12, HighBit=11)
    assert np.abs(stored(content).astype(int) - values.astype(int)).max() < 40


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 9, 11, 13, 15, 17, 255])
def test_jpeg_of_bits_that_no_decoder_knows_reaches_none(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDCM throws where nobody can catch it."""
    monkeypatch.setattr(frames, "_by_gdcm", lambda *_: pytest.fail("it was reached"))
    frame = bytearray(jpeg(RAMP))
    frame[frame.index(b"\xff\xc0") + 4] = bits
    content = encapsulated(bytes(frame), RAMP.astype(np.uint16), JPEGBaseline8Bit, bits=16)
    with pytest.raises(FilmError, match=rf"pixels of {bits} bits"):
        read_film(content)


def test_jpeg_of_16_bits_is_read_where_gdcm_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of no standard; GDCM writes it."""
    gdcm = pytest.importorskip("gdcm")
    values = picture(12) // 2 + 1000
    (tmp_path / "raw.dcm").write_bytes(written(dicom(values, 12, WindowCenter=2048, WindowWidth=4096)))
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(tmp_path / "raw.dcm"))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(tmp_path / "film.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    content = (tmp_path / "film.dcm").read_bytes()
    assert np.abs(stored(content).astype(int) - values.astype(int)).max() < 200
    monkeypatch.setitem(sys.modules, "gdcm", None)
    with pytest.raises(FilmError, match=r"JPEG pixels of 16 bits, .* install python-gdcm"):
        shown_dicom(content)


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("bits", [8, 12])
def test_pixels_that_are_not_compressed_are_not_copied(syntax: str, bits: int) -> None:
    values = picture(bits)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    content = written(dicom(values.astype(values.dtype.newbyteorder(order)), bits, syntax))
    found = stored(content)
    assert np.array_equal(found, values)
    assert (not found.flags.owndata) or (bits, syntax) == (8, ExplicitVRBigEndian)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.dcm")), ids=lambda path: path.name)
def test_what_pydicom_ships_comes_out_as_pydicom_decodes_it(path: Path) -> None:
    """All of the pictures in pydicom's package that are of a film's size and one frame."""
    try:
        theirs = pixel_array(pydicom.dcmread(path, force=True))
    except Exception:
        theirs = None  # no picture, or no decoder: ours may still have one
    refused = ""
    try:
        ours = stored(path.read_bytes())
    except FilmError as error:
        refused = str(error)
    if refused:
        assert theirs is None or any(reason in refused for reason in NO_FILMS), refused
    elif theirs is not None:
        assert np.array_equal(ours, theirs)


def test_deflated_files_are_read_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values = picture(12)
    content = written(dicom(values, 12, DeflatedExplicitVRLittleEndian))
    assert np.array_equal(stored(content), values)
    with pytest.raises(FilmError, match="cut off"):
        shown_dicom(content[:-40])
    length = 12 + int.from_bytes(content[140:144], "little")  # of the group's first element and of all others
    with pytest.raises(FilmError, match="damaged deflated DICOM file"):
        shown_dicom(content[: 132 + length] + b"\xff" * 500)
    monkeypatch.setattr("cxrscribe.films.dicom._MOST_INFLATED", 3000)
    with pytest.raises(FilmError, match="more than 3,000 bytes"):
        shown_dicom(content)


def test_palette_is_looked_up() -> None:
    path = get_testdata_file("examples_palette.dcm")
    dataset = pydicom.dcmread(path)
    colours = (apply_color_lut(dataset.pixel_array, dataset) >> 8).astype(np.uint8)
    expected = np.asarray(Image.fromarray(colours).convert("L"))
    shown = read_dicom(Path(str(path)).read_bytes(), (50, 50), ALL)
    assert np.abs(shown.pixels.astype(int) - expected).max() <= 1  # 65535 is white here, and 65280 there
    assert shown.display == "palette"


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEG2000])
@pytest.mark.parametrize(
    ("hint", "shape"),
    [((60, 52), (240, 210)), ((60, 53), (240, 210)), ((120, 105), (120, 105)), ((61, 20), (120, 105))],
)
def test_jpeg_2000_is_decoded_at_a_reduced_size(
    syntax: str, is_signed: bool, hint: tuple[int, int], shape: tuple[int, int]
) -> None:
    values = picture(12, 240, 210, is_signed=is_signed)
    if shape == (240, 210):
        hint = (121, 20)
    content = encapsulated(frame_of(values, syntax, 12), values, syntax, **DEEP)
    reduced = stored(content, hint)
    assert reduced.shape == shape
    times = 240 // shape[0]
    means = values[: shape[0] * times, : shape[1] * times].reshape(shape[0], times, shape[1], times)
    assert np.abs(reduced - means.mean(axis=(1, 3))).max() < 120  # of 4096; the noise has 16


@pytest.mark.parametrize("height", [960, 481])
def test_reduced_and_whole_pictures_lie_in_the_same_place(height: int) -> None:
    rows, columns = np.arange(height)[:, None], np.arange(400)
    values = np.rint(2048 + 1900 * np.sin(rows / 9) * np.sin(columns / 9)).astype(np.uint16)
    content = encapsulated(frame_of(values, JPEG2000Lossless, 12), values, JPEG2000Lossless, **DEEP)
    here = Isolation("none")
    reduced = Preprocessing(64, 64).read(content, here).astype(int)
    whole = Preprocessing(64, 64, display=2).read(content, here).astype(int)
    assert stored(content, (128, 128)).shape != values.shape
    assert np.abs(reduced - whole).mean() < 0.8  # 1.1 and 2.1, where it is taken to lie elsewhere


@pytest.mark.parametrize(
    "attributes",
    [
        {"PixelPaddingValue": 0},
        {"BitsStored": 14, "HighBit": 13},
        {"PixelRepresentation": 1},
        {"WindowWidth": None},
        {"WindowCenter": 60000},
        {"PixelSpacing": [1, 2]},
    ],
)
def test_jpeg_2000_whose_average_means_nothing_is_decoded_whole(attributes: dict[str, Any]) -> None:
    values = picture(12, 240, 210)
    attributes = {**DEEP, **attributes}
    content = encapsulated(frame_of(values, JPEG2000Lossless, 12), values, JPEG2000Lossless, **attributes)
    assert stored(content, (30, 30)).shape == values.shape


def test_jpeg_2000_of_few_levels_is_reduced_as_far_as_it_goes() -> None:
    values = picture(8, 240, 200)
    content = encapsulated(jpeg_2000(values, num_resolutions=2), values, JPEG2000Lossless, **SHALLOW)
    assert stored(content, (20, 20)).shape == (120, 100)
    content = encapsulated(jpeg_2000(values, num_resolutions=1), values, JPEG2000Lossless, **SHALLOW)
    assert np.array_equal(stored(content, (20, 20)), values)


def test_jpeg_2000_whose_grid_does_not_begin_at_0() -> None:
    """Its halves have other sizes than those of a picture that does: it is decoded whole."""
    values = picture(8, 240, 201)
    frame = bytearray(jpeg_2000(values))
    for place in (8, 16, 32):  # width, left, and left of the tiles
        (before,) = struct.unpack_from(">I", frame, place)
        struct.pack_into(">I", frame, place, before + 1)
    content = encapsulated(bytes(frame), values, JPEG2000Lossless, **SHALLOW)
    assert stored(content, (20, 20)).shape == (240, 201)


def test_jpeg_inside_dicom_is_decoded_as_a_jpeg_file_is() -> None:
    values = picture(8, 240, 200)
    frame = jpeg(values, quality=90)
    content = encapsulated(frame, values, JPEGBaseline8Bit, **SHALLOW)
    hint = (50, 50)
    assert np.array_equal(stored(content, hint), read_film(frame, hint))
    assert stored(content, hint).shape == (60, 50)


@pytest.mark.parametrize("entries", [17, 256, 4096])
@pytest.mark.parametrize("bits", [8, 16])
def test_palette_of_any_size(entries: int, bits: int) -> None:
    places = picture(12)
    table = (np.arange(entries) * ((1 << bits) - 1) // (entries - 1)).astype("<u2")
    attributes = {
        f"{name}PaletteColorLookupTable{part}": value
        for name in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [entries, 0, bits]), ("Data", table.tobytes()))
    }
    content = written(dicom(places, 12, PhotometricInterpretation="PALETTE COLOR", **attributes))
    expected = table[np.minimum(places, entries - 1)] / ((1 << bits) - 1) * 255
    assert np.abs(shown_dicom(content, ALL) - expected).max() <= 1


@pytest.mark.parametrize("times", [2, 4, 8])
@pytest.mark.parametrize("left_over", range(8))
def test_every_size_has_resolutions(left_over: int, times: int) -> None:
    """Pillow rounds their sides to the nearest, and the standard up."""
    values = picture(8, 400 + left_over, 320 + (3 * left_over) % 8)
    content = encapsulated(jpeg_2000(values), values, JPEG2000Lossless, **SHALLOW)
    found = stored(content, (400 // times, 320 // times))
    assert found.shape == tuple(-(-side // times) for side in values.shape)


@pytest.mark.parametrize("photometric", ["YBR_FULL", "RGB"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_colours_become_luma_whatever_they_are_stored_as(syntax: str, photometric: str) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    expected = np.asarray(Image.fromarray(rgb).convert("L")).astype(int)
    samples = convert_color_space(rgb, "RGB", "YBR_FULL") if photometric == "YBR_FULL" else rgb
    dataset = dicom(samples, PhotometricInterpretation=photometric)
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
        content = written(dataset)
    elif syntax == ExplicitVRLittleEndian:
        content = written(dataset)
    else:
        frame = (
            imagecodecs.jpegls_encode(samples)
            if syntax == JPEGLSLossless
            else imagecodecs.jpeg2k_encode(samples, codecformat="j2k", reversible=True, level=0, mct=False)
        )
        content = encapsulated(bytes(frame), samples, syntax, PhotometricInterpretation=photometric)
    assert np.abs(shown_dicom(content, ALL).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize(
    "syntax", [JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless]
)
def test_pictures_that_are_cut_off_are_refused(syntax: str, bits: int, share: float) -> None:
    values = picture(bits, 200, 160)
    frame = run_lengths(values) if syntax == RLELossless else frame_of(values, syntax, bits)
    cut = frame[: 2 * int(share * len(frame) / 2)]
    content = encapsulated(cut, values, syntax, BitsStored=bits, HighBit=bits - 1)
    with pytest.raises(FilmError, match=r"cut off|can't be decoded|another size"):
        stored(content)


def test_run_lengths_of_more_than_the_picture_are_cut() -> None:
    values = picture(12)
    longer = np.concatenate((values, values[:1]))
    content = encapsulated(run_lengths(longer), values, RLELossless, BitsStored=12, HighBit=11)
    assert np.array_equal(stored(content), values)


def test_bytes_in_words_of_big_endian_are_as_pydicom_reads_them() -> None:
    values = picture(8)
    for kind in ("OB", "OW"):
        dataset = dicom(values, syntax=ExplicitVRBigEndian)
        dataset["PixelData"].VR = kind
        content = written(dataset)
        assert np.array_equal(stored(content), pixel_array(pydicom.dcmread(BytesIO(content))))


@pytest.mark.filterwarnings("ignore:Expected implicit VR")
def test_vrs_that_the_syntax_does_not_have_are_read() -> None:
    values = picture(12)
    explicit = written(dicom(values, 12))
    content = explicit.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0")
    assert np.array_equal(stored(content), values)


def test_items_where_nothing_is_compressed_are_refused() -> None:
    values = picture(12)
    content = encapsulated(values.tobytes(), values, JPEGLSLossless, BitsStored=12, HighBit=11)
    content = content.replace(JPEGLSLossless.encode(), b"1.2.840.10008.1.2.1\0\0\0")
    with pytest.raises(FilmError, match="in items, as only compressed ones are"):
        shown_dicom(content)


def test_a_size_that_is_hidden_is_found_before_it_is_decoded() -> None:
    values = picture(8)
    frame = jpeg(np.zeros((3000, 3000), np.uint8))
    for hidden in (frame[:2] + b"\xff\x00\x00\x02\x00" + frame[2:], b"\0" + frame):
        with pytest.raises(FilmError, match="can't be understood"):
            shown_dicom(encapsulated(hidden + b"\0" * (len(hidden) % 2), values, JPEGBaseline8Bit))


def test_older_rules_decode_dicom_whole() -> None:
    values = picture(8, 240, 200)
    content = encapsulated(jpeg(values), values, JPEGBaseline8Bit, **SHALLOW)
    for version, shape in ((1, (240, 200)), (2, (240, 200)), (3, (60, 50))):
        assert read_dicom(content, (60, 50), FilmRules(version=version)).pixels.shape == shape


def test_delimiter_among_the_bytes_of_a_picture_ends_nothing() -> None:
    values = np.tile(np.frombuffer(b"\xfe\xff\xdd\xe0\0\0\0\0", np.uint8), (32, 4))
    frame = bytes(imagecodecs.jpegls_encode(values))
    marker = frame[:2] + b"\xff\xfe\x00\x0a\xfe\xff\xdd\xe0\0\0\0\0" + frame[2:]  # a comment
    assert np.array_equal(stored(encapsulated(marker, values, JPEGLSLossless)), values)


def test_items_are_limited_and_whole() -> None:
    values = picture(8)
    frame = jpeg_2000(values)
    dataset = dicom(values, syntax=JPEG2000Lossless)
    dataset.PixelData = encapsulate([frame], fragments_per_frame=20)
    many = written(dataset)
    assert np.array_equal(stored(many), values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxrscribe.films.frames._MOST_ITEMS", 20)
        with pytest.raises(FilmError, match="cut off or damaged"):
            shown_dicom(many)
    with pytest.raises(FilmError, match="cut off or damaged"):
        shown_dicom(many[:-30])


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, RLELossless])
def test_without_the_decoders_the_extra_is_named(syntax: UID, monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def absent(name: str, *more: Any, **options: Any) -> Any:
        if name == "imagecodecs":
            raise ModuleNotFoundError(name)
        return found(name, *more, **options)

    values = picture(12)
    dataset = dicom(values, 12)
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
        content = written(dataset)
    else:
        content = encapsulated(frame_of(values, syntax, 12), values, syntax, BitsStored=12, HighBit=11)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(FilmError, match=r"needs .*dicom"):
        read_film(content)


def test_decoded_values_beyond_the_bits_are_refused() -> None:
    values = picture(12)
    content = encapsulated(
        frame_of(values, JPEGLSLossless, 12), values, JPEGLSLossless, BitsStored=10, HighBit=9
    )
    with pytest.raises(FilmError, match="beyond the 10 bits"):
        shown_dicom(content)
