"""`cxrscribe score` and its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cxrscribe.cli.score.films import films, retry
from cxrscribe.cli.score.run import compact, export, status, verify
from cxrscribe.cli.score.send import send

_FILMS: Final = "films of an archive"
"""The name of the command that scores: no word, so that no folder has it."""


class ScoreGroup(click.Group):
    """A group whose first word is one of its commands, or else belongs to the command that scores."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the command that scores where none stands."""
        if args and args[0] not in ctx.help_option_names and not self._begins_with_command(args):
            args = [_FILMS, *args]
        return super().parse_args(ctx, args)

    def _begins_with_command(self, args: list[str]) -> bool:
        """Whether the first word is a command, and not a folder of that name: only scoring takes --run."""
        has_run = any(arg == "--run" or arg.startswith("--run=") for arg in args)
        return args[0] in self.commands and not (has_run and Path(args[0]).exists())

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help of the command that scores, then the other commands."""
        scoring = click.Context(films, parent=ctx.parent, info_name=ctx.info_name)
        films.format_usage(scoring, formatter)
        films.format_help_text(scoring, formatter)
        films.format_options(scoring, formatter)
        self.format_commands(ctx, formatter)


@click.group(cls=ScoreGroup, short_help="Score an archive of films; can be resumed.")
def score() -> None:
    """Score an archive of films."""


score.add_command(films, _FILMS)
for command in (status, verify, retry, export, compact, send):
    score.add_command(command)
