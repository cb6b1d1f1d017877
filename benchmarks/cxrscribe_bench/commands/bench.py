"""`cxrscribe bench`: measure a bundle, compare two measurements, make the benchmark model."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

_DEFAULT: Final = "run"
_COMMANDS: Final = {
    _DEFAULT: "cxrscribe_bench.commands.run:run",
    "compare": "cxrscribe_bench.commands.compare:compare_command",
    "model": "cxrscribe_bench.commands.model:model",
}


class BenchGroup(click.Group):
    """`run` is what happens where no command is named; its help is the group's. Imports what is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those that have to be named."""
        return [name for name in _COMMANDS if name != _DEFAULT]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hand everything to `run` but the commands and the group's own help."""
        own = (*_COMMANDS, *ctx.help_option_names)
        return super().parse_args(ctx, args if args and args[0] in own else [_DEFAULT, *args])

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As `run`'s, and that there are others."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] [BUNDLE]")
        others = f"{'|'.join(self.list_commands(ctx))} ..."
        formatter.write_usage(ctx.command_path, others, prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Those of `run`, then the other commands."""
        self._default(ctx).format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What `run` says of itself."""
        self._default(ctx).format_help_text(ctx, formatter)

    def _default(self, ctx: click.Context) -> click.Command:
        command = self.get_command(ctx, _DEFAULT)
        assert command is not None
        return command


bench = BenchGroup("bench", short_help="Measure latency, throughput and memory, beside other programs.")
