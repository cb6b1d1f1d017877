"""The `cxrscribe` command: finds all others, and turns their errors into messages and exit codes.

Exit codes: 0 all done; 1 some inputs failed; 2 wrong usage, nothing could be done, or the work could not go
on; 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

import click

from cxrscribe.cli.interruption import Interruption, interruptible
from cxrscribe.cli.streams import StdoutLostError, own_streams
from cxrscribe.cli.terminal import note
from cxrscribe.errors import CxrscribeError, MissingExtraError
from cxrscribe.printable import printable
from cxrscribe.version import __version__

ENTRY_POINT_GROUP: Final = "cxrscribe.commands"

# The runtime's own commands. Higher packages announce theirs as entry points: nothing here may import them.
_OWN: Final = {
    "demo": "cxrscribe.cli.demo:demo",
    "report": "cxrscribe.cli.report:report",
    "serve": "cxrscribe.cli.serve:serve:serve",  # the last one is the extra that it needs
    "score": "cxrscribe.cli.score.group:score",
    "preprocess": "cxrscribe.cli.preprocess:preprocess",
    "inspect": "cxrscribe.cli.inspect:inspect",
    "tune": "cxrscribe.cli.tune:tune",
    "cache": "cxrscribe.cli.cache:cache",
}

NOT_DONE: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count


@dataclass(frozen=True)
class CommandSource:
    """Where one command's code is, and which extra of the distribution it needs, if any."""

    name: str
    module: str
    attribute: str
    extra: str | None = None

    def load(self) -> click.Command:
        """Import the command. Raises whatever its module raises."""
        command = getattr(importlib.import_module(self.module), self.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.module}:{self.attribute} is not a click command")
        return command

    def missing(self, error: ModuleNotFoundError) -> CxrscribeError | None:
        """The error to show for a missing module; None where it is not a matter of installing something."""
        if self.extra is None or (error.name or "").partition(".")[0].startswith("cxrscribe"):
            return None
        return MissingExtraError(f"cxrscribe {self.name} (module {error.name})", self.extra)


def command_sources() -> dict[str, CommandSource]:
    """All commands by name: the runtime's own first, then those that entry points announce, by name."""
    from importlib.metadata import entry_points  # which brings 2 MB, and `report` doesn't need it

    sources = {name: CommandSource(name, *value.split(":")) for name, value in _OWN.items()}
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        extra = point.extras[0] if point.extras else None
        sources.setdefault(point.name, CommandSource(point.name, point.module, point.attr, extra))
    return sources


def command_source(name: str) -> CommandSource | None:
    """The command of that name; None where there is none."""
    own = _OWN.get(name)
    return command_sources().get(name) if own is None else CommandSource(name, *own.split(":"))


class CommandLine(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, without importing any."""
        return list(command_sources())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; one that can't be imported becomes one that says why."""
        source = command_source(cmd_name)
        if source is None:
            return None
        try:
            return source.load()
        except ModuleNotFoundError as error:
            return _unavailable(source, source.missing(error) or error)
        except Exception as error:
            return _unavailable(source, error)

    def main(self, *args: Any, standalone_mode: bool = True, **named: Any) -> Any:
        """Run the program, and end it with its exit code, whatever becomes of its output and by whatever end.

        Without `standalone_mode`: as click does it, for programs that have this one within them.
        """
        run: Any = super().main
        if not standalone_mode:
            return run(*args, standalone_mode=False, **named)
        with own_streams(), interruptible() as interruption:
            code = _exit_code(partial(run, *args, standalone_mode=False, **named), interruption)
        sys.exit(code)

    def make_context(self, *args: Any, **named: Any) -> click.Context:
        """As click does it, which prints the help in here."""
        try:
            return super().make_context(*args, **named)
        except KeyboardInterrupt:
            raise click.Abort from None  # of which click says nothing by itself

    def invoke(self, ctx: click.Context) -> int:
        """Run the command that was asked for; 0, the exit code, unless its context exits with another one."""
        try:
            super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None
        except CxrscribeError as error:
            _fail(ctx, error)
        except ModuleNotFoundError as error:
            source = command_source(ctx.invoked_subcommand or "")
            missing = source.missing(error) if source else None
            if missing is None:
                raise
            _fail(ctx, missing)
        return 0


def _exit_code(run: Callable[[], int], interruption: Interruption) -> int:
    """Run, and say what there is to say of how it ended."""
    try:
        code = run()
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        return _interrupted()
    except click.ClickException as error:
        vars(error)["message"] = printable(error.message)
        error.show()
        return error.exit_code
    except StdoutLostError as error:
        if not error.reader_has_gone:
            note(f"Error: {error}")
        return NOT_DONE
    except Exception as error:
        if interruption.has_come:  # in the middle of an import, say
            return _interrupted()
        no_thread = isinstance(error, RuntimeError) and "start new thread" in str(error)
        if no_thread or isinstance(error, OSError | MemoryError):  # of the machine, no defect here
            what = str(error) or "there is not enough memory"
            note(f"Error: {what}; free some room, or check the rights")
            return NOT_DONE
        raise
    return _interrupted() if interruption.has_come and code not in (0, INTERRUPTED) else code


def _fail(ctx: click.Context, error: CxrscribeError) -> NoReturn:
    note(f"Error: {error}")
    ctx.exit(NOT_DONE)


def _interrupted() -> int:
    note("Interrupted.")
    return INTERRUPTED


def _unavailable(source: CommandSource, error: Exception) -> click.Command:
    """A stand-in that is listed in the help and raises `error` when it is called."""

    def refuse(**_: object) -> None:
        if isinstance(error, CxrscribeError):
            raise error
        raise CxrscribeError(
            f"cxrscribe {source.name} can't be loaded ({type(error).__name__}: {error}); "
            "install cxrscribe again"
        ) from error

    extra = f"needs the extra '{source.extra}'" if isinstance(error, MissingExtraError) else "can't be loaded"
    return click.Command(
        source.name,
        callback=refuse,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        short_help=f"({extra})",
        help=f"Not available: {error}",
    )


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cxrscribe")
def main() -> None:
    """Chest X-ray in, FINDINGS paragraph out.

    Every report is a draft made by a program: not for diagnostic use, to be reviewed by a radiologist.
    """
