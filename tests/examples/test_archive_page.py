"""docs/archive.md, and docs/sending.md for one command, name what there is, and tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cxrscribe.archive.rows.row import Row
from cxrscribe.cli.main import main
from cxrscribe.errors import Reason

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "archive.md").read_text(encoding="utf-8")
SENDING = (ROOT / "docs" / "sending.md").read_text(encoding="utf-8")
TESTS = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "runtime").rglob("test_*.py"))


def commands() -> dict[str, click.Command]:
    score = main.get_command(click.Context(main), "score")
    assert isinstance(score, click.Group)
    return score.commands


def options(command: click.Command) -> set[str]:
    return {option for each in command.params for option in each.opts if option.startswith("--")}


@pytest.mark.parametrize("name", commands())
def test_every_option_is_on_the_page(name: str) -> None:
    named = set(re.findall(r"--[a-z][a-z-]+", SENDING if name == "send" else PAGE))
    assert options(commands()[name]) <= named


@pytest.mark.parametrize("name", sorted(name for name, each in commands().items() if not each.hidden))
def test_every_command_is_on_the_page(name: str) -> None:
    assert f"| `score {name} " in PAGE


def test_every_option_on_the_page_is_one() -> None:
    of_others = {"--array", "--cpus-per-task", "--requeue", "--wrap"}
    known = set().union(*(options(command) for command in commands().values())) | of_others
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known
    assert set(re.findall(r"--[a-z][a-z-]+", SENDING)) <= known | {"--sr"}


def test_every_reason_and_field_is_on_the_page() -> None:
    assert [reason for reason in Reason if f"`{reason}`" not in PAGE] == []
    assert [name for name in Row.__dataclass_fields__ if name != "report" and f"`{name}`" not in PAGE] == []


def test_every_test_of_the_failure_table_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in TESTS] == []
