"""What commands print: results on stdout, everything else on stderr.

Each argument is a line: what names and words in it could do to a terminal is escaped, line ends too.
"""

from __future__ import annotations

import json
import re
from typing import Final

import click

from cxrscribe.printable import printable

_OUTSIDE_ASCII: Final = re.compile(r"[^\n -~]")


def say(*lines: str) -> None:
    """Print results."""
    click.echo("\n".join(map(printable, lines)))


def say_json(value: object, indent: int | None = None) -> None:
    """Print a result as JSON, in ASCII."""
    say_json_text(json.dumps(value, indent=indent))


def say_json_text(text: str) -> None:
    """Print what is JSON already."""
    click.echo(_OUTSIDE_ASCII.sub(_json_escape, text))


def note(*lines: str) -> None:
    """Print what isn't a result: errors, remarks, how far it is."""
    click.echo("\n".join(map(printable, lines)), err=True)


def _json_escape(found: re.Match[str]) -> str:
    return "\\u007f" if found[0] == "\x7f" else json.dumps(found[0])[1:-1]  # DEL is nothing to JSON
