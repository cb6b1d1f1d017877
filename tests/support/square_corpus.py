"""A corpus of squares: tiny films whose report says where the square is and how large."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cxrscribe_train.corpus.table import CorpusRow, write_reports
from cxrscribe_train.fitting.config import Override, TrainingConfig, build_config

SIDE = 48
TINY = (
    ("network", "backbone", "mobilenet_v1"),
    ("network", "backbone_options", {"scale": 0.125}),
    ("network", "size", 32),
    ("network", "embedding_size", 16),
    ("network", "hidden_size", 24),
    ("fit", "batch_size", 4),
    ("fit", "warmup_steps", 2),
)


def tiny_config(*changes: tuple[str, str, object], end_to_end: bool = True) -> TrainingConfig:
    """A config that trains in seconds, with changes as (section, name, value)."""
    return build_config([Override(*change) for change in (*TINY, *changes)], end_to_end=end_to_end)


def write_squares(
    folder: Path,
    train: int = 8,
    val: int = 4,
    test: int = 2,
    *,
    indications: Sequence[str] = ("",),
    views: Sequence[int] = (1,),
) -> Path:
    """Write films and `reports.csv`; returns `folder`.

    The studies have these indications in turn, and so many films: each shows the square elsewhere.
    """
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for index, split in enumerate(["train"] * train + ["val"] * val + ["test"] * test):
        left, large = bool(index & 1), bool(index & 2)
        side = 20 if large else 8
        column = 2 if left else SIDE - 2 - side
        text = f"There is a {'large' if large else 'small'} mass on the {'left' if left else 'right'}."
        if index % 3 == 0:
            text += " The heart is normal."
        told = indications[index % len(indications)]
        for view in range(views[index % len(views)]):
            film = rng.integers(0, 40, (SIDE, SIDE), dtype=np.uint8)
            film[10 + 9 * view : 10 + 9 * view + side, column : column + side] = 220
            image_id = f"SQ{index}_{view + 1 if view else 'PA'}"
            Image.fromarray(film).save(folder / "images" / f"{image_id}.png")
            rows.append(
                CorpusRow(
                    f"SQ{index}", image_id, f"images/{image_id}.png", text, "", told, "", "normal", split
                )
            )
    write_reports(folder, rows)
    return folder
