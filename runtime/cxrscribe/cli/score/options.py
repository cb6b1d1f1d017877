"""How films are scored: options that the scoring commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import click

from cxrscribe.errors import InputError

Command: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class WayChoice:
    """By whom and how films are scored, which changes no report."""

    batch_size: int = 64
    workers: int | None = None
    scheduler: str = "processes"
    address: str | None = None
    part: str | None = None
    score_duplicates: bool = False
    max_quarantined: float = 0.0
    accept: str | None = None

    def own_shards(self, shards: Sequence[int]) -> list[int]:
        """Those of `shards` that this job has. Raises InputError when `--part` isn't one."""
        if self.part is None:
            return list(shards)
        number, _, count = self.part.partition("/")
        if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
            raise InputError(f"--part is {self.part!r}; give I/N, with I from 1 to N: 3/16 for job 3 of 16")
        return [shard for shard in shards if shard % int(count) == int(number) - 1]


_OPTIONS: Final = (
    click.option(
        "--batch-size", type=click.IntRange(1, 4096), default=64, show_default=True, help="Films at a time."
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Processes that score. They share the cores, and are replaced when they die. With Ray the most "
        "actors. [default: 1, with Ray as many as there is room for]",
    ),
    click.option(
        "--scheduler",
        type=click.Choice(["processes", "ray"]),
        default="processes",
        show_default=True,
        help="Who hands out shards: this command, to processes on this machine, or Ray Data (extra 'ray').",
    ),
    click.option(
        "--address",
        metavar="ADDRESS",
        help="Of the Ray cluster, or auto for that of this machine. [default: one that is started here]",
    ),
    click.option(
        "--part",
        metavar="I/N",
        help="Score every Nth shard only, from the Ith on: for job I (1 to N) of N jobs.",
    ),
    click.option(
        "--score-duplicates",
        is_flag=True,
        help="Score films anew whose bytes an earlier film of the shard has, instead of copying its report.",
    ),
    click.option(
        "--max-quarantined",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=True,
        metavar="SHARE",
        help="Share of films without a report up to which the exit code is 0. The run stops early where it "
        "is above this, and above 0.2, among the first 2,000 films.",
    ),
    click.option(
        "--accept",
        type=click.Choice(["runtime"]),
        help="Go on with other versions of libraries than the run was begun with; each part says its own.",
    ),
)


def way_options(command: Command) -> Command:
    """Add the options of WayChoice, one each; the command gets `way: WayChoice`."""

    @functools.wraps(command)
    def packed(
        *,
        batch_size: int,
        workers: int | None,
        scheduler: str,
        address: str | None,
        part: str | None,
        score_duplicates: bool,
        max_quarantined: float,
        accept: str | None,
        **others: Any,
    ) -> Any:
        if address is not None and scheduler != "ray":
            raise InputError("--address is that of a Ray cluster; give --scheduler ray too")
        way = WayChoice(
            batch_size, workers, scheduler, address, part, score_duplicates, max_quarantined, accept
        )
        return command(way=way, **others)

    for option in reversed(_OPTIONS):
        packed = option(packed)
    return packed
