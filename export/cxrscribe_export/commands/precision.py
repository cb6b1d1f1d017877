"""`cxrscribe precision`: lower precisions for a bundle that is there already."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from cxrscribe.cli.terminal import note, say, say_json
from cxrscribe_export.commands.precision_options import PrecisionChoice, precision_lines, precision_options

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(short_help="Give a bundle lower precisions: int8, fp16, bf16.")
@click.argument("bundle_folder", metavar="BUNDLE", type=_FOLDER)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the new bundle; BUNDLE itself with --overwrite.",
)
@click.option(
    "--corpus",
    "corpus_folder",
    required=True,
    type=_FOLDER,
    help="Corpus whose test split the model has not seen: reports are compared on it.",
)
@click.option(
    "--training-corpus",
    "training_folder",
    type=_FOLDER,
    help="Corpus whose training split int8 is calibrated on; default: that of --corpus.",
)
@precision_options
@click.option("--overwrite", is_flag=True, help="Replace the bundle at --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the precisions as JSON.")
def precision(
    bundle_folder: Path,
    out: Path,
    corpus_folder: Path,
    training_folder: Path | None,
    precision: PrecisionChoice,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write BUNDLE with graphs at lower precisions, and measure what they cost. Paddle is not needed.

    A bundle without fused graphs gets them too, and without --precision only those. Where a precision loses
    too much, nothing is written.
    """
    from cxrscribe.errors import MissingExtraError

    for module in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("cxrscribe precision", "export")
    from cxrscribe.bundle.bundle import Bundle
    from cxrscribe_export.bundle_folder import check_out
    from cxrscribe_export.precision.extension import extend_bundle, has_fused_graphs
    from cxrscribe_train.corpus.table import read_reports

    check_out(out, overwrite=overwrite)
    precision.check()
    opened = Bundle.open(bundle_folder)
    if not precision.names and has_fused_graphs(opened.manifest):
        raise click.UsageError(
            "Say which --precision the bundle gets, int8, fp16 or bf16; fused graphs it has."
        )
    corpus = read_reports(corpus_folder)
    order = precision.order(
        read_reports(training_folder) if training_folder else corpus,
        corpus,
        opened.manifest.preprocessing,
        None,
    )
    manifest = extend_bundle(opened, order, out, overwrite=overwrite, stage=lambda name: note(f"{name} ..."))
    if as_json:
        records = [record.to_json() for record in manifest.precisions]
        say_json({"bundle": str(out), "precisions": records}, indent=2)
    else:
        say(f"{out}:", *precision_lines(manifest), manifest.disclaimer)
