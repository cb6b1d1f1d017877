"""`cxrscribe onefile`: a bundle as one ONNX file, for programs in any language."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cxrscribe.cli.terminal import say, say_json
from cxrscribe.disclaimer import with_disclaimer
from cxrscribe.errors import InputError

if TYPE_CHECKING:
    from cxrscribe.settings import BeamSettings
    from cxrscribe_export.onefile.check import Agreement
    from cxrscribe_export.onefile.variant import Variant

_OF_SEARCH = (
    "beam_width",
    "max_length",
    "min_length",
    "length_penalty",
    "no_repeat_ngram",
    "banned_words",
)
"""Parameters of the command that only a search has a use for."""


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

    Before the file is written, it has to write the runtime's words of some drawn films. Of weights in fp16,
    on how many films it does is told.
    """
    _check_out(out, overwrite)
    from dataclasses import replace

    from cxrscribe.bundle.bundle import Bundle
    from cxrscribe.cli.options import BeamChoice, bundle_or_demo
    from cxrscribe_export.onefile.bundle_graphs import tensors
    from cxrscribe_export.onefile.check import check
    from cxrscribe_export.onefile.file import one_file
    from cxrscribe_export.onefile.variant import Variant
    from cxrscribe_train.atomic import write_atomically

    variant = Variant(part, given, kept, weights)
    if part == "encoder":
        _refuse_settings(click.get_current_context())
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
    model = one_file(opened, precision=precision, settings=settings, variant=variant)
    content = model.SerializeToString()
    agreement = check(content, opened, precision, settings, variant)
    write_atomically(out, content)
    written = {
        "file": str(out),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "precision": precision,
        "variant": variant.to_json(),
        "inputs": tensors(model.graph.input),
        "outputs": tensors(model.graph.output),
        "settings": _searched_with(settings),
        "checked": agreement.to_json(),
        "licence": opened.manifest.licence,
        "disclaimer": with_disclaimer(opened.manifest.disclaimer),
    }
    if part == "encoder":
        del written["settings"]
    if as_json:
        say_json(written, indent=2)
    else:
        say(*_as_text(written, variant, agreement))


def _check_out(out: Path, overwrite: bool) -> None:
    if out.suffix.lower() != ".onnx":
        raise InputError(f"--out {out}: the file is an ONNX graph; give a name in .onnx")
    if out.exists() and not overwrite:
        raise InputError(f"{out} is there already; give another --out, or --overwrite to replace it")


def _refuse_settings(context: click.Context) -> None:
    """Refuse what the encoder has no use for."""
    options = [option for option in context.command.params if option.name in _OF_SEARCH]
    told = [option.opts[0] for option in options if context.params[str(option.name)] not in (None, ())]
    if told:
        raise InputError(f"--part encoder searches for nothing; leave {' and '.join(told)} out")


def _searched_with(settings: BeamSettings) -> dict[str, object]:
    chosen = settings.to_json()
    del chosen["n_best"]  # the file gives all
    return chosen


def _as_text(written: dict[str, Any], variant: Variant, agreement: Agreement) -> Iterator[str]:
    yield (
        f"{written['file']}: {written['bytes']} bytes, precision {written['precision']}, weights in "
        f"{variant.weights}, sha256 {written['sha256']}"
    )
    inputs = ", ".join(f"{name} {kind}" for name, kind in written["inputs"].items())
    yield f"{inputs} -> {', '.join(written['outputs'])}"
    if "settings" in written:
        given = "defaults" if variant.settings == "defaults" else "all settings have to be given, such as"
        yield f"{given} {json.dumps(written['settings'], ensure_ascii=False)}"
    yield (
        f"checked on {agreement.films} drawn films: the best report has the runtime's words on "
        f"{agreement.same_best}, all results on {agreement.same_words}"
    )
    yield written["disclaimer"]
