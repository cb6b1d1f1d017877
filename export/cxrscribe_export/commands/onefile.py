"""`cxrscribe onefile`: a bundle as one ONNX file, for programs in any language."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrscribe.cli.terminal import say, say_json
from cxrscribe.disclaimer import with_disclaimer
from cxrscribe.errors import InputError

if TYPE_CHECKING:
    from cxrscribe.bundle.manifest import Manifest
    from cxrscribe.settings import BeamSettings


@click.command(short_help="Write a bundle as one ONNX file, search included.")
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.onnx",
    help="File to write.",
)
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    help="Precision of the graphs, as `cxrscribe inspect` lists them.",
)
@click.option(
    "--input",
    "given",
    type=click.Choice(["image", "film"]),
    default="image",
    show_default=True,
    help="What it reads: films as `cxrscribe preprocess` fits them, or one of any size.",
)
@click.option(
    "--settings",
    "kept",
    type=click.Choice(["defaults", "inputs"]),
    default="defaults",
    show_default=True,
    help="Whether settings and patient may be left out, or have to be given: some bindings can't override.",
)
@click.option(
    "--weights",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="How weights are stored; fp16 halves the file.",
)
@click.option(
    "--part",
    type=click.Choice(["whole", "encoder", "search"]),
    default="whole",
    show_default=True,
    help="From pixels to words, from pixels to features, or from features to words.",
)
@click.option("--beam-width", type=int, metavar="K", help="Default of the input beam_width.")
@click.option("--max-length", type=int, metavar="N", help="Default of the input max_length.")
@click.option("--min-length", type=int, metavar="N", help="Default of the input min_length.")
@click.option("--length-penalty", type=float, metavar="A", help="Default of the input length_penalty.")
@click.option("--no-repeat-ngram", type=int, metavar="N", help="Never repeat N words in a row; 0 allows it.")
@click.option(
    "--ban", "banned_words", metavar="WORD", multiple=True, help="Word never to produce; may be repeated."
)
@click.option("--overwrite", is_flag=True, help="Replace --out if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def onefile(
    bundle: Path | None,
    out: Path,
    precision: str,
    given: str,
    kept: str,
    weights: str,
    part: str,
    beam_width: int | None,
    max_length: int | None,
    min_length: int | None,
    length_penalty: float | None,
    no_repeat_ngram: int | None,
    banned_words: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write BUNDLE as one ONNX graph that goes from pixels to words: encoder, decoder and beam search.

    It runs wherever ONNX Runtime does, without any code of cxrscribe. The settings given here take the place
    of the bundle's own. The first four are inputs with these defaults; the others can't be changed later.
    """
    _check_out(out, overwrite)
    from dataclasses import replace

    from cxrscribe.bundle.bundle import Bundle
    from cxrscribe.cli.options import BeamChoice, bundle_or_demo
    from cxrscribe_export.onefile.file import one_file
    from cxrscribe_export.onefile.variant import Variant
    from cxrscribe_train.atomic import write_atomically

    variant = Variant(part, given, kept, weights)
    folder = bundle_or_demo(bundle)
    opened = Bundle.open(folder)
    if any(out.resolve() == (folder / entry.path).resolve() for entry in opened.manifest.files):
        raise InputError(f"{out} is a file of the bundle itself; give another --out")
    chosen = BeamChoice(
        beam_width=beam_width,
        max_length=max_length,
        min_length=min_length,
        length_penalty=length_penalty,
        no_repeat_ngram=no_repeat_ngram,
        banned_words=banned_words or None,
    )
    # All results are outputs: n_best doesn't matter, and mustn't forbid a narrower beam.
    settings = chosen.over(replace(opened.manifest.settings, n_best=1))
    content = one_file(opened, precision=precision, settings=settings, variant=variant).SerializeToString()
    write_atomically(out, content)
    written = _record(out, content, precision, settings, opened.manifest)
    if as_json:
        say_json(written, indent=2)
    else:
        say(*_as_text(written).split("\n"))


def _check_out(out: Path, overwrite: bool) -> None:
    if out.suffix.lower() != ".onnx":
        raise InputError(f"--out {out}: the file is an ONNX graph; give a name in .onnx")
    if out.exists() and not overwrite:
        raise InputError(f"{out} is there already; give another --out, or --overwrite to replace it")


def _record(
    out: Path, content: bytes, precision: str, settings: BeamSettings, manifest: Manifest
) -> dict[str, object]:
    picture, patient = manifest.preprocessing, manifest.architecture.patient_size
    chosen = settings.to_json()
    del chosen["n_best"]  # the file gives all
    return {
        "file": str(out),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "precision": precision,
        "image": f"uint8 [N, {picture.height}, {picture.width}]",
        **({"patient": f"float32 [N, {patient}]"} if patient else {}),
        "settings": chosen,
        "licence": manifest.licence,
        "disclaimer": with_disclaimer(manifest.disclaimer),
    }


def _as_text(record: dict[str, object]) -> str:
    return (
        f"{record['file']}: {record['bytes']} bytes, precision {record['precision']}, "
        f"sha256 {record['sha256']}\n"
        f"image {record['image']} -> tokens, lengths, scores, finished; defaults "
        f"{json.dumps(record['settings'], ensure_ascii=False)}\n"
        f"{record['disclaimer']}"
    )
