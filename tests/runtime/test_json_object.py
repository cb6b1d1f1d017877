from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from cxrscribe.errors import BundleError, InputError
from cxrscribe.json_object import JsonObject, read_json_object


@dataclass(frozen=True)
class Share:
    of: str
    value: float

    def __post_init__(self) -> None:
        if self.value > 1:
            raise ValueError("a share is at most 1")


def fields(value: object) -> JsonObject:
    return JsonObject(value, "file.json", BundleError)


def test_each_method_gives_its_type() -> None:
    read = fields(
        {"a": "x", "b": 3, "c": 0.5, "d": True, "e": [1, 2.5], "f": ["x"], "g": None, "h": {"i": 1}}
    )
    assert (read.text("a"), read.integer("b"), read.number("c")) == ("x", 3, 0.5)
    assert read.boolean("d") is True
    assert read.numbers("e") == (1.0, 2.5)
    assert read.texts("f") == ("x",)
    assert read.is_null("g")
    assert read.object("h").integer("i") == 1
    read.finish()


@pytest.mark.parametrize(
    ("method", "value", "wanted"),
    [
        ("text", 1, "a string"),
        ("integer", True, "a whole number of at least 0"),
        ("integer", -1, "a whole number of at least 0"),
        ("integer", 1.0, "a whole number of at least 0"),
        ("number", True, "a finite number"),
        ("number", 10**400, "a finite number"),
        ("number", "1", "a finite number"),
        ("boolean", 1, "true or false"),
        ("numbers", [1, "2"], "an array of finite numbers"),
        ("numbers", [1, float("nan")], "an array of finite numbers"),
        ("array", {}, "an array"),
        ("texts", ["a", 1], "an array of strings"),
        ("mapping", [], "an object"),
    ],
)
def test_another_type_is_named_with_its_place(method: str, value: object, wanted: str) -> None:
    with pytest.raises(BundleError, match=rf"^file\.json: it is .*, not {wanted}; "):
        getattr(fields({"it": value}), method)("it")


def test_missing_and_unread_fields_are_errors() -> None:
    with pytest.raises(BundleError, match="has no field 'b'"):
        fields({"a": 1}).integer("b")
    read = fields({"a": 1, "note": "for people"})
    read.integer("a")
    with pytest.raises(BundleError, match="unknown field 'note'"):
        read.finish()
    read.skip("note")
    read.finish()


def test_places_go_down_to_the_element() -> None:
    with pytest.raises(BundleError, match=r"^file\.json: list\[1\]\.a has no|^file\.json: list\[1\] has no"):
        fields({"list": [{"a": 1}, {}]}).objects("list")[1].integer("a")


def test_make_reads_all_and_names_the_place_of_what_is_refused() -> None:
    read = fields({"of": "films", "value": 0.5})
    assert read.make(Share, read.text("of"), value=read.number("value")) == Share("films", 0.5)
    with pytest.raises(BundleError, match=r"^file\.json: a share is at most 1$"):
        read.make(Share, "films", value=2.0)
    unread = fields({"of": "films", "value": 0.5, "more": 1})
    with pytest.raises(BundleError, match="unknown field"):
        unread.make(Share, unread.text("of"), unread.number("value"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ("[1]", "not a JSON object"),
        ("{", "not valid JSON"),
    ],
)
def test_documents_that_are_not_strict_json_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_json_object(path)


def test_document_that_is_missing_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="check the path"):
        read_json_object(tmp_path / "none.json", error=BundleError)
    (tmp_path / "file.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="8 bytes, more than the 7"):
        read_json_object(tmp_path / "file.json", max_bytes=7)
