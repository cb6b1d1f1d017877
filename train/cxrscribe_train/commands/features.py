"""`cxrscribe features`: backbone features of every film of a corpus."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.core import ParameterSource

from cxrscribe.cli.terminal import note, say, say_json
from cxrscribe.errors import InputError


def parse_backbone_options(pairs: tuple[str, ...]) -> dict[str, int | float | str]:
    """Read `name=value` pairs; numbers become numbers. Raises InputError when one has no `=`."""
    options: dict[str, int | float | str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise InputError(f"backbone option {pair!r} is no NAME=VALUE pair; write it like scale=0.25")
        options[name] = _number_or_text(text)
    return options


def _number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@click.command()
@click.option(
    "--corpus",
    "corpus_folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with reports.csv.",
)
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The .h5 file to write."
)
@click.option("--backbone", default="resnet101", show_default=True, help="A network of paddle.vision.")
@click.option(
    "--backbone-option",
    "backbone_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of the network.",
)
@click.option("--size", default=224, show_default=True, help="Height and width the backbone sees, in pixels.")
@click.option(
    "--png-range",
    type=click.Choice(["full", "used"]),
    default="used",
    show_default=True,
    help="Black and white of 16-bit grey PNG: 0 and 65535, or the film's least and largest value.",
)
@click.option(
    "--weights",
    required=True,
    metavar="FILE|BUNDLE|imagenet|random:SEED",
    help="Where the backbone's weights come from; FILE is safetensors, .pdparams or .pth. A bundle says "
    "backbone, size and range, too.",
)
@click.option("--batch-size", default=16, show_default=True, help="Films encoded at once.")
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test", "all"]),
    help="Only this split. [default: every image]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def features(
    context: click.Context,
    /,
    corpus_folder: Path,
    out: Path,
    backbone: str,
    backbone_options: tuple[str, ...],
    size: int,
    png_range: str,
    weights: str,
    batch_size: int,
    split: str | None,
    as_json: bool,
) -> None:
    """Encode every film of a corpus once, into an HDF5 file that `cxrscribe train --features` reads.

    Interrupted, the same command goes on where it stopped.
    """
    from cxrscribe_train.paddle_warnings import ignore_paddle_warnings

    ignore_paddle_warnings()
    from cxrscribe.bundle.bundle import Bundle  # brings numpy, which the help doesn't need
    from cxrscribe.films.preprocess import Preprocessing
    from cxrscribe_train.corpus.table import read_reports
    from cxrscribe_train.features import Extraction, extract_features, films_of
    from cxrscribe_train.weights import WeightsSource

    source = WeightsSource.parse(weights)
    if source.kind == "random":
        note(
            f"WARNING: the backbone gets RANDOM weights (seed {source.seed}). It has learned nothing; its "
            "features serve trials and tests, not a model worth using."
        )
    if Path(weights).is_dir():
        _refuse_other_network(context, weights)
        extraction = Extraction.of_bundle(Bundle.open(weights).manifest, source, batch_size)
    else:
        extraction = Extraction(
            backbone=backbone,
            backbone_options=parse_backbone_options(backbone_options),
            weights=source,
            preprocessing=Preprocessing(size, size, png_range=png_range),
            batch_size=batch_size,
        )
    films = films_of(read_reports(corpus_folder), split)
    try:
        with click.progressbar(length=len(films), label="films", file=sys.stderr) as bar:
            result = extract_features(films, extraction, out, bar.update)
    except KeyboardInterrupt:
        note(f"Interrupted. The same command goes on where {out} ends.")
        context.exit(130)
    for film in result.damaged:
        note(f"left out {film}")
    if as_json:
        say_json(
            {
                "features": str(out),
                "films": result.films,
                "encoded": result.encoded,
                "feature_size": result.feature_size,
                "weights_sha256": result.weights_sha256,
                "damaged": [{"image_id": film.image_id, "reason": film.reason} for film in result.damaged],
            }
        )
    else:
        say(
            f"{out}: {result.films} films of {result.feature_size} features, {result.encoded} encoded now, "
            f"{len(result.damaged)} left out"
        )
    context.exit(1 if result.damaged else 0)


def _refuse_other_network(context: click.Context, bundle: str) -> None:
    for name in ("backbone", "backbone_options", "size", "png_range"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = "--" + name.removesuffix("s").replace("_", "-")
            raise InputError(
                f"{option} is given, but the bundle {bundle} says itself what its encoder is; leave it out"
            )
