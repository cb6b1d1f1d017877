"""Small sets of reports, and a corpus on disk."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrscribe_train.corpus.table import CorpusRow, write_reports
from cxrscribe_train.evaluation.metrics.bleu import Words

SENTENCES = (
    "the heart is normal in size .",
    "the heart is mildly enlarged .",
    "there is no pneumothorax .",
    "there is a small left pleural effusion .",
    "no effusion or pneumothorax is seen .",
    "a nodule is seen in the right upper lobe .",
    "the lungs are clear .",
)


@pytest.fixture(scope="session")
def training() -> tuple[Words, ...]:
    """Forty reports, some of them equal."""
    return made_reports(40, seed=1)


@pytest.fixture(scope="session")
def references() -> tuple[Words, ...]:
    """Twenty-five reports of films that are evaluated."""
    return made_reports(25, seed=2)


@pytest.fixture(scope="session")
def reports() -> tuple[Words, ...]:
    """What a model of moderate skill could have written for them; one report is empty."""
    return (*made_reports(24, seed=3), ())


def made_reports(count: int, seed: int) -> tuple[Words, ...]:
    chance = random.Random(seed)
    return tuple(
        tuple(" ".join(chance.sample(SENTENCES, chance.randint(1, 4))).split()) for _ in range(count)
    )


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen training studies, nine test studies with a film each; two test rows can't be evaluated."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "images").mkdir()
    chance = np.random.default_rng(0)
    rows = [
        _row(folder, f"S{place}", " ".join(words), "train" if place < 18 else "test", chance)
        for place, words in enumerate(made_reports(27, seed=4))
    ]
    rows.append(_row(folder, "S90", "", "test", chance))
    rows.append(CorpusRow("S91", "", "", "The lungs are clear.", "", "", "", "", "test"))
    write_reports(folder, rows)
    return folder


def _row(folder: Path, study: str, findings: str, split: str, chance: np.random.Generator) -> CorpusRow:
    path = f"images/{study}_PA.png"
    Image.fromarray(chance.integers(0, 256, (40, 32), dtype=np.uint8)).save(folder / path)
    return CorpusRow(study, f"{study}_PA", path, findings, "", "", "", "", split)
