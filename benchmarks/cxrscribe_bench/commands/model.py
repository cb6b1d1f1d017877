"""`cxrscribe bench model`: make the benchmark model."""

from __future__ import annotations

from pathlib import Path

import click

from cxrscribe.cli.terminal import say


@click.command(short_help="Make the benchmark model: ResNet-101, random weights.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--backbone", default="resnet101", show_default=True, help="A network of paddle.vision.models.")
@click.option(
    "--side", type=click.IntRange(min=32), default=224, show_default=True, help="Pixels of its input."
)
def model(folder: Path | None, backbone: str, side: int) -> None:
    """Make the benchmark model in FOLDER, or where `cxrscribe bench` looks for it.

    It has the size of a real one, reports as long as real ones, fp32 and int8, and random weights: its words
    mean nothing. Takes about two minutes. What is there already is kept.
    """
    from cxrscribe_bench.material.model import ModelSize, default_folder, model_at

    made = model_at(folder or default_folder(), ModelSize(backbone=backbone, side=side))
    say(str(made.bundle))
