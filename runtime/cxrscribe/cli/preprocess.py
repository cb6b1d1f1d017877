"""`cxrscribe preprocess`: a film as the network sees it, for programs in other languages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrscribe.cli.options import bundle_option, bundle_or_demo, modality_option
from cxrscribe.cli.terminal import note
from cxrscribe.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@click.command(short_help="Write a film as the network reads it, as PGM.")
@click.argument("film")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.pgm",
    help="File to write; - for stdout.",
)
@bundle_option
@modality_option
def preprocess(film: str, out: Path, bundle: Path | None, modalities: tuple[str, ...]) -> None:
    """Read FILM, fit it into the size that the bundle's network takes, and write it as binary PGM ("P5").

    The pixels are exactly the input `image` of encoder.onnx. An existing file is replaced.
    """
    from cxrscribe.bundle.manifest import Manifest

    to_stdout = str(out) == "-"
    if not to_stdout and out.suffix.lower() != ".pgm":
        raise InputError(f"--out {out}: the file is a PGM; give a name in .pgm")
    preprocessing = Manifest.read(bundle_or_demo(bundle)).preprocessing
    pgm = to_pgm(preprocessing.read(film, modalities=modalities))
    if to_stdout:
        sys.stdout.buffer.write(pgm)
        return
    try:
        out.write_bytes(pgm)
    except OSError as error:
        raise InputError(f"{out} can't be written ({error.strerror}); check folder and rights") from None
    note(f"{out}: {preprocessing.width} x {preprocessing.height} pixels")


def to_pgm(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels uint8 [h, w] as a binary PGM file ("P5", 255 grey levels, rows from the top).

    The header is three lines, `P5`, `<width> <height>` and `255`; `h * w` bytes follow.
    """
    import numpy as np  # which the help doesn't need

    height, width = pixels.shape
    return b"P5\n%d %d\n255\n" % (width, height) + np.ascontiguousarray(pixels, dtype=np.uint8).tobytes()
