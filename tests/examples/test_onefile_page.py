"""docs/onefile.md names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cxrscribe.cli.main import main

pytest.importorskip("onnx", reason="needs onnx, to make the file")

from cxrscribe.bundle.bundle import Bundle
from cxrscribe_export.onefile.file import one_file
from cxrscribe_export.onefile.variant import CHOICES, Variant
from support.small_bundle import SmallBundle

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "onefile.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text below the heading `title`, up to the next heading."""
    (text,) = re.findall(rf"^#+ {re.escape(title)}$(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def named_in_rows(title: str) -> set[str]:
    """What stands in code in the first cells of the tables of a section."""
    rows = re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"(?:^|, )`(\S+?)[ `]", row)}


def test_every_option() -> None:
    command = main.get_command(click.Context(main), "onefile")
    assert command is not None
    options = {option for each in command.params for option in each.opts if option.startswith("--")}
    assert named_in_rows("Options") == options


def test_every_choice_of_a_variant() -> None:
    told = re.findall(r"^\| `--(\w+)` \| (.*)$", section("Variants"), re.MULTILINE)
    assert {option: set(re.findall(r"`(\w+)`", text)) & set(CHOICES[option]) for option, text in told} == {
        option: set(choices) for option, choices in CHOICES.items()
    }


def test_every_input_output_and_key(small_bundle: Path, tmp_path: Path) -> None:
    """Of a model with a context, which has all that one without has, and two things more."""
    bare = one_file(Bundle.open(small_bundle))
    model = one_file(Bundle.open(SmallBundle(patient=4).write(tmp_path / "bundle")))
    ports = {value.name for value in (*model.graph.input, *model.graph.output)}
    of_a_film = one_file(Bundle.open(small_bundle), variant=Variant(part="encoder", input="film"))
    others = {value.name for value in (*of_a_film.graph.input, *of_a_film.graph.output)}
    assert others == {"film", "features"}
    assert named_in_rows("Inputs and outputs") == ports | others
    keys = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", section("Metadata"), re.MULTILINE)))
    assert set(keys) == {entry.key for entry in model.metadata_props}
    assert ports - {value.name for value in (*bare.graph.input, *bare.graph.output)} == {"patient"}
    assert set(keys) - {entry.key for entry in bare.metadata_props} == {"patient_text"}
