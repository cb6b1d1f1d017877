"""docs/runtime.md names what there is, all of it, with the right numbers."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

import cxrscribe
from cxrscribe.cli.main import main
from cxrscribe.cli.report_row import CSV_COLUMNS
from cxrscribe.films.film import FILM_SUFFIXES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "runtime.md").read_text(encoding="utf-8")
COMMANDS = ("report", "preprocess", "inspect", "tune", "cache", "demo")


def section(title: str) -> str:
    """The text below the heading that starts with `title`, up to the next heading."""
    (text,) = re.findall(rf"^#+ {re.escape(title)}\b.*?$(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_section_of_its_command(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    options = {option for each in command.params for option in each.opts if option.startswith("--")}
    heading = next(line for line in PAGE.splitlines() if line.startswith(f"### cxrscribe {name}"))
    described = heading + section(f"cxrscribe {name}")
    assert set(re.findall(r"--[a-z][a-z-]+", described)) == options


@pytest.mark.parametrize("kind", [cxrscribe.BeamSettings, cxrscribe.Report, cxrscribe.DecodingStats])
def test_every_field_is_in_the_table_of_its_class(kind: type) -> None:
    rows = re.findall(r"^\| (`.*?) \|", section(kind.__name__), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {field.name for field in fields(kind)}


def test_defaults_of_settings() -> None:
    for field in fields(cxrscribe.BeamSettings):
        default = f'"{field.default}"' if isinstance(field.default, str) else str(field.default)
        assert re.search(rf"^\| `{field.name}` \| `?{re.escape(default)}`? \|", PAGE, re.MULTILINE)


def test_every_public_call_and_property_of_a_reporter() -> None:
    text = section("Reporter")
    for name in (name for name in vars(cxrscribe.Reporter) if not name.startswith("_")):
        assert re.search(rf"`{name}[`(]", text), name


def test_every_error() -> None:
    errors = {
        name
        for name, value in vars(cxrscribe.errors).items()
        if isinstance(value, type) and issubclass(value, cxrscribe.errors.CxrscribeError)
    }
    assert set(re.findall(r"(?:── |    )(\w+Error)\b", section("Errors"))) == errors


def test_columns_and_suffixes() -> None:
    text = section("cxrscribe report")
    assert all(f"`{column}`" in text for column in CSV_COLUMNS)
    assert f"`{' '.join(FILM_SUFFIXES)}`" in text
