"""What a tuning may choose among: ranges and choices of settings of a training."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cxrscribe.errors import InputError
from cxrscribe_train.fitting.config import Override, build_config, options

_RANGE: Final = frozenset({"low", "high", "log"})
_REMEDY: Final = "write a list of values, or { low = 0.0, high = 0.5 }, with log = true for a logarithm"


@dataclass(frozen=True)
class Dimension:
    """One setting, `section.name`, and its values: `choices`, or the range from `low` to `high`.

    Raises InputError for an empty range, and for a value that the setting can't have.
    """

    section: str
    name: str
    choices: tuple[int | float | str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    def __post_init__(self) -> None:
        ends = self.choices or (self.low, self.high)
        place = f"tuning space: {self.section}.{self.name}"
        if not self.choices and not self.low < self.high:
            raise InputError(f"{place} goes from {self.low!r} to {self.high!r}; {_REMEDY}")
        if self.log and self.low <= 0:
            raise InputError(f"{place} begins at {self.low!r}, which has no logarithm; begin above 0")
        for value in ends:
            build_config([Override(self.section, self.name, value)], end_to_end=True)

    def suggest(self, trial: Any) -> Override:
        """Let an Optuna trial choose."""
        if self.choices:
            value = trial.suggest_categorical(self.name, self.choices)
        elif isinstance(self.low, int) and isinstance(self.high, int):
            value = trial.suggest_int(self.name, self.low, self.high, log=self.log)
        else:
            value = trial.suggest_float(self.name, self.low, self.high, log=self.log)
        return Override(self.section, self.name, value)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        values: dict[str, object] = (
            {"choices": list(self.choices)}
            if self.choices
            else {"low": self.low, "high": self.high, "log": self.log}
        )
        return {"setting": f"{self.section}.{self.name}", **values}


DEFAULT_SPACE: Final = (
    Dimension("network", "layers", choices=(1, 2)),
    Dimension("network", "hidden_size", choices=(128, 192, 256, 384, 512)),
    Dimension("network", "embedding_size", choices=(64, 128, 256)),
    Dimension("network", "dropout", low=0.0, high=0.5),
    Dimension("fit", "learning_rate", low=5e-4, high=1e-2, log=True),
)


def read_space(path: Path) -> tuple[Dimension, ...]:
    """Read a TOML file with tables as a training's config has them, and ranges or lists as values.

    Raises InputError when it can't be read, or names a setting or a value that doesn't exist.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} can't be read as TOML: {error}; correct that place") from None
    known = {(section, setting.name) for section, setting in options()}
    found = []
    for section, table in document.items():
        for name, values in table.items() if isinstance(table, Mapping) else [("", table)]:
            if (section, name) not in known:
                raise InputError(
                    f"{path}: {f'{section}.{name}'.rstrip('.')!r} is no setting of a training; "
                    "docs/training.md lists them"
                )
            found.append(_dimension(section, name, values, path))
    if not found:
        raise InputError(f"{path} holds no setting to choose; {_REMEDY}")
    return tuple(found)


def _dimension(section: str, name: str, values: object, path: Path) -> Dimension:
    if isinstance(values, list) and values:
        return Dimension(section, name, choices=tuple(values))
    if isinstance(values, dict) and {"low", "high"} <= values.keys() <= _RANGE:
        ends = (values["low"], values["high"])
        if all(type(end) in (int, float) for end in ends) and type(values.get("log", False)) is bool:
            return Dimension(section, name, low=ends[0], high=ends[1], log=values.get("log", False))
    raise InputError(f"{path}: {section}.{name} is {values!r}; {_REMEDY}")
