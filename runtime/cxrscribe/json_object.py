"""One object of a JSON document, read field by field, so that whatever is wrong is named by its path."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Never, ParamSpec, SupportsFloat, TypeAlias, TypeVar

from cxrscribe.arguments import is_flag
from cxrscribe.errors import CxrscribeError, InputError
from cxrscribe.printable import unprintable
from cxrscribe.regular_file import open_regular

Made = TypeVar("Made")
Given = ParamSpec("Given")
ErrorKind: TypeAlias = Callable[[str], CxrscribeError]
_Fields: TypeAlias = dict[str, object]

_DEEPEST: Final = 64
"""Objects and arrays within each other: Python recurses to show, hash or write them."""
_REMEDY: Final = "the file is damaged or from another version of cxrscribe: make it again"


class JsonObject:
    """The fields of `value`, which stands at `place` in its document (say `manifest.json: architecture`).

    Each reading method takes a field's name and gives its value in the type that its own name says. A field
    that is missing or of another type raises the document's error, and so does, at `finish`, a field that
    nobody read.

    Values that are written to JSON have `to_json`, and a class method `from_json` that takes a JsonObject:

        @classmethod
        def from_json(cls, fields: JsonObject) -> NearTie:
            return fields.make(cls, image=fields.text("image"), step=fields.integer("step"))
    """

    def __init__(self, value: object, place: str, error: ErrorKind = InputError) -> None:
        """`error`: what to raise for whatever is wrong in the document; `from_json` raises it too."""
        self.place = place
        self._error = error
        if not isinstance(value, Mapping):
            raise error(f"{place} is {_shown(value)}, not a JSON object; {_REMEDY}")
        self._fields: Mapping[str, object] = value
        self._read: set[str] = set()

    def value(self, name: str) -> object:
        """Whatever the field holds."""
        self._read.add(name)
        if name not in self._fields:
            raise self._error(f"{self.place} has no field {name!r}; {_REMEDY}")
        return self._fields[name]

    def text(self, name: str) -> str:
        """A string, possibly empty."""
        value = self.value(name)
        return value if isinstance(value, str) else self.refuse(name, "a string")

    def integer(self, name: str, minimum: int = 0) -> int:
        """A whole number of at least `minimum`."""
        value = self.value(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= minimum:
            return value
        return self.refuse(name, f"a whole number of at least {minimum}")

    def number(self, name: str) -> float:
        """A finite number."""
        number = finite_number(self.value(name))
        return number if number is not None else self.refuse(name, "a finite number")

    def boolean(self, name: str) -> bool:
        """True or false."""
        value = self.value(name)
        return value if isinstance(value, bool) else self.refuse(name, "true or false")

    def numbers(self, name: str) -> tuple[float, ...]:
        """An array of finite numbers."""
        numbers = tuple(map(finite_number, self.array(name)))
        found = tuple(number for number in numbers if number is not None)
        return found if len(found) == len(numbers) else self.refuse(name, "an array of finite numbers")

    def array(self, name: str) -> list[object]:
        """An array of anything."""
        value = self.value(name)
        return value if isinstance(value, list) else self.refuse(name, "an array")

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of strings."""
        values = self.array(name)
        texts = tuple(value for value in values if isinstance(value, str))
        return texts if len(texts) == len(values) else self.refuse(name, "an array of strings")

    def mapping(self, name: str) -> Mapping[str, object]:
        """An object whose fields someone else reads."""
        value = self.value(name)
        return value if isinstance(value, Mapping) else self.refuse(name, "an object")

    def object(self, name: str) -> JsonObject:
        """An object to be read further."""
        return JsonObject(self.value(name), self._path(name), self._error)

    def objects(self, name: str) -> list[JsonObject]:
        """An array of objects to be read further."""
        values = enumerate(self.array(name))
        return [JsonObject(value, f"{self._path(name)}[{place}]", self._error) for place, value in values]

    def names(self) -> tuple[str, ...]:
        """The names of all fields, in the document's order."""
        return tuple(self._fields)

    def is_null(self, name: str) -> bool:
        """Whether the field is there and holds `null`."""
        return self.value(name) is None

    def skip(self, *names: str) -> None:
        """Leave these fields alone: whoever reads the document has no use for them."""
        self._read.update(names)

    def without(self, name: str) -> _Fields:
        """All fields but that one, as they stand in the document."""
        return {each: value for each, value in self._fields.items() if each != name}

    def check_printable(self, allowed: str) -> None:
        """Refuse control characters and their like in every name and text, nested ones too.

        `allowed`: those that may be there.
        """
        for place, text in _texts(self._fields, ""):
            found = unprintable(text, allowed)
            if found is not None:
                where = self._path(place.removeprefix(".")) if place else self.place
                raise self._error(f"{where} has the control character {found} in {_shown(text)}; {_REMEDY}")

    def make(self, kind: Callable[Given, Made], *values: Given.args, **named: Given.kwargs) -> Made:
        """`kind` of these values, once all fields are read.

        What `kind` itself refuses (a CxrscribeError or another ValueError) becomes the document's error,
        which names this place.
        """
        self.finish()
        try:
            return kind(*values, **named)
        except (CxrscribeError, ValueError) as error:
            raise self._error(f"{self.place}: {error}") from None

    def refuse(self, name: str, wanted: str) -> Never:
        """Raise the error that says what field `name` holds and what it should hold."""
        raise self._error(f"{self._path(name)} is {_shown(self._fields[name])}, not {wanted}; {_REMEDY}")

    def finish(self) -> None:
        """Refuse the fields that nothing has read: a misspelt name must not pass for a default."""
        unknown = [name for name in self._fields if name not in self._read]
        if unknown:
            raise self._error(f"{self.place} has the unknown field {unknown[0]!r}; {_REMEDY}")

    def _path(self, name: str) -> str:
        return f"{self.place}.{name}" if ": " in self.place else f"{self.place}: {name}"


def finite_number(value: object) -> float | None:
    """`value` as a float; None where it is no number, not finite, or beyond what a float can hold."""
    if not isinstance(value, SupportsFloat) or is_flag(value):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def read_json_object(
    path: Path,
    max_bytes: int = 64 << 20,
    *,
    place: str | None = None,
    error: ErrorKind = InputError,
    remedy: str = "check the path",
) -> JsonObject:
    """Parse the document in file `path`, whose root has to be an object.

    `place`: what errors call the document, by default the file's name; `error`: what they are.

    Raises `error` when the file is missing, no regular file, larger than `max_bytes`, not UTF-8 or not strict
    JSON (a name that stands twice in an object, NaN and Infinity are refused).
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(size) if size <= max_bytes else b""  # no more, even if it grows meanwhile
    except OSError as problem:
        raise error(f"{path} can't be read ({problem.strerror}); {remedy}") from None
    if size > max_bytes:
        raise error(f"{path} has {size} bytes, more than the {max_bytes} a description may have; {_REMEDY}")
    return parse_json_object(content, str(path), place=path.name if place is None else place, error=error)


def parse_json_object(
    content: bytes, name: str, *, place: str | None = None, error: ErrorKind = InputError
) -> JsonObject:
    """Parse a document whose root has to be an object, and which errors call `name`, or within it `place`.

    Raises `error` when it is not UTF-8 or not strict JSON, as `read_json_object` says.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"{name} is not UTF-8 (byte {problem.start}); {_REMEDY}") from None
    try:
        value = json.loads(text, object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise error(f"{name} is not valid JSON ({problem}); {_REMEDY}") from None
    if _deeper(value, _DEEPEST):
        raise error(f"{name} is not a description (nested deeper than {_DEEPEST} levels); {_REMEDY}")
    return JsonObject(value, name if place is None else place, error)


def _unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        twice = repeated(name for name, _ in pairs)
        raise ValueError(f"the field {twice!r} stands twice in one object")
    return fields


def repeated(names: Iterable[str]) -> str | None:
    """The first name that has been there before; None where each stands once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _deeper(value: object, levels: int) -> bool:
    """Whether objects and arrays stand more than so many levels within each other."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Every name and every text in a value, each with its place as errors call it."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield place, name
            yield from _texts(inner, f"{place}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{number}]")


def _refuse_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is not a JSON number")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
