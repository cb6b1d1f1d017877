from __future__ import annotations

from pathlib import Path

import pytest

from cxrscribe.errors import InputError
from cxrscribe_train.fitting.config import Override
from cxrscribe_train.tuning.space import DEFAULT_SPACE, Dimension, read_space

SPACE = """
[network]
layers = [1, 2, 3]
hidden_size = { low = 16, high = 64, log = true }
dropout = { low = 0.0, high = 0.5 }
[fit]
learning_rate = { low = 0.001, high = 0.01, log = true }
"""


def read(text: str, folder: Path) -> tuple[Dimension, ...]:
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return read_space(path)


class Lowest:
    """A trial that takes the first choice or the low end, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def suggest_categorical(self, name: str, choices: tuple[object, ...]) -> object:
        self.asked.append(("categorical", name))
        return choices[0]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        self.asked.append(("log int" if log else "int", name))
        return low

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        self.asked.append(("log float" if log else "float", name))
        return low


def test_lists_are_choices_and_tables_are_ranges(tmp_path: Path) -> None:
    trial = Lowest()
    chosen = [dimension.suggest(trial) for dimension in read(SPACE, tmp_path)]
    assert chosen == [
        Override("network", "layers", 1),
        Override("network", "hidden_size", 16),
        Override("network", "dropout", 0.0),
        Override("fit", "learning_rate", 0.001),
    ]
    assert [kind for kind, _ in trial.asked] == ["categorical", "log int", "float", "log float"]


def test_the_usual_space_is_what_the_docs_say() -> None:
    assert {dimension.name for dimension in DEFAULT_SPACE} == {
        "layers",
        "hidden_size",
        "embedding_size",
        "dropout",
        "learning_rate",
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "holds no setting"),
        ("[network", "can't be read as TOML"),
        ("layers = [1]", "'layers' is no setting"),
        ("[network]\nwidth = [1]", r"'network\.width' is no setting"),
        ("[network]\nbackbone_options = [1]", r"'network\.backbone_options' is no setting"),
        ("[network]\nlayers = 2", r"network\.layers is 2; write a list"),
        ("[network]\nlayers = []", r"network\.layers is \[\]; write a list"),
        ("[network]\nlayers = [0]", r"layers is 0; give at least 1"),
        ("[network]\nlayers = ['two']", r"is no int"),
        ("[network]\ndropout = { low = 0.1 }", "write a list"),
        ("[network]\ndropout = { low = 0.1, high = 'x' }", "write a list"),
        ("[network]\ndropout = { low = 0.1, high = 0.2, step = 1 }", "write a list"),
        ("[network]\ndropout = { low = 0.5, high = 0.1 }", "goes from 0.5 to 0.1"),
        ("[network]\ndropout = { low = 0.5, high = 1.0 }", "dropout is 1.0"),
        ("[network]\ndropout = { low = 0.0, high = 0.5, log = true }", "no logarithm"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(text: str, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=wanted):
        read(text, tmp_path)
