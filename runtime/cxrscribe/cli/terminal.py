"""What commands print: results on stdout, everything else on stderr.

Each argument is a line: what names and words in it could do to a terminal is escaped, line ends too.
"""

from __future__ import annotations

import json

import click

from cxrscribe.printable import printable


def say(*lines: str) -> None:
    """Print results."""
    click.echo("\n".join(map(printable, lines)))


def say_json(value: object, indent: int | None = None) -> None:
    """Print a result as JSON, in ASCII."""
    say_json_text(json.dumps(value, indent=indent))


def say_json_text(text: str) -> None:
    """Print what is JSON in ASCII already. DEL is the one control character that JSON lets pass."""
    click.echo(text.replace("\x7f", "\\u007f"))


def note(*lines: str) -> None:
    """Print what isn't a result: errors, remarks, how far it is."""
    click.echo("\n".join(map(printable, lines)), err=True)
