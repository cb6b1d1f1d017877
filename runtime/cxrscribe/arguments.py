"""Values that callers give, checked where they come in, so that nothing else is raised far inside."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, SupportsIndex

from cxrscribe.errors import CxrscribeError, InputError

MOST_AT_ONCE: Final = 4096
"""Films that are searched for at a time."""
MOST_THREADS: Final = 1024

ErrorKind = Callable[[str], CxrscribeError]

_SHOWN: Final = 100


def shown(value: object) -> str:
    """`value` as an error shows it: not all of it where that is long."""
    try:
        text = repr(value)
    except Exception:  # whatever a caller's class does
        text = f"of type {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def whole_number(
    name: str, value: object, least: int, most: int | None = None, error: ErrorKind = InputError
) -> int:
    """`value` as an int, of numpy's kinds too, but no truth value. Raises `error` when it is out of range."""
    number = None
    if isinstance(value, SupportsIndex) and not is_flag(value):
        try:
            number = operator.index(value)
        except TypeError:  # an array
            number = None
    if number is None or number < least or (most is not None and number > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise error(f"{name} is {shown(value)}; give a whole number {limits}")
    return number


def is_flag(value: object) -> bool:
    """Whether it is True or False, numpy's too."""
    kind = type(value)
    return isinstance(value, bool) or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"))


def flag(name: str, value: object, error: ErrorKind = InputError) -> bool:
    """`value` as a bool. Raises `error` when it is anything else: the text "False" would count as true."""
    if not is_flag(value):
        raise error(f"{name} is {shown(value)}; give True or False")
    return bool(value)


def text(name: str, value: object, error: ErrorKind = InputError) -> str:
    """`value`, a str. Raises `error` when it is anything else."""
    if not isinstance(value, str):
        raise error(f"{name} is {shown(value)}; give a text")
    return value


def path(name: str, value: object, error: ErrorKind = InputError) -> Path:
    """`value` as a path. Raises `error` when it is neither a str nor an os.PathLike, or no possible path."""
    try:
        given = os.fspath(value)  # type: ignore[call-overload]
        if isinstance(given, str) and "\0" not in given:
            return Path(given)
    except TypeError:
        pass
    raise error(f"{name} is {shown(value)}; give a path")


def none_or(kind: type, name: str, value: object, error: ErrorKind = InputError) -> None:
    """Raise `error` unless `value` is None or of this kind."""
    if value is not None and not isinstance(value, kind):
        raise error(f"{name} is {shown(value)}; give a {kind.__name__}, or None")


def several(name: str, value: object, of: str, error: ErrorKind = InputError) -> None:
    """Raise `error` unless one can iterate over `value`. In place of `of`, a text's letters would pass."""
    if isinstance(value, str | bytes | bytearray | memoryview | os.PathLike):
        raise error(f"{name} is {shown(value)}; give a list of {of}")
    if not isinstance(value, Iterable) and not hasattr(type(value), "__getitem__"):
        raise error(f"{name} is {shown(value)}; give {of}, in a list say")
