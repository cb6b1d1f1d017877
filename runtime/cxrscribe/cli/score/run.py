"""The commands that look at a run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrscribe.cli.options import engine_options, load
from cxrscribe.cli.score.bar import progress_line
from cxrscribe.cli.score.films import KEY_OPTION, RUN, TABLE_OPTION
from cxrscribe.cli.score.send import sent_lines
from cxrscribe.cli.score.summary import counts, documents, duration, exit_code, outcome
from cxrscribe.cli.terminal import note, say, say_json
from cxrscribe.engine import Engine

if TYPE_CHECKING:
    from cxrscribe.archive.comparison import Comparison
    from cxrscribe.archive.status import Status
    from cxrscribe.archive.verify import Verdict

_SHOWN_PROBLEMS = 20
_OPTIONAL = frozenset({"told", "sr_documents", "sr_not_possible", "sr_left_out"})
"""Fields that are None in runs that have no such thing."""


@click.command(short_help="Show how far a run is.")
@click.argument("path", type=RUN, metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def status(path: str, as_json: bool) -> None:
    """Show how far RUN is, how fast it goes, and how long it will take.

    Any machine that sees the folder can tell, also while the run goes on.
    """
    from cxrscribe.archive.run import open_run
    from cxrscribe.archive.sending.ledger import Sent, ledgers
    from cxrscribe.archive.status import Watch

    run = open_run(path)
    found = Watch(run).look()
    sent = [Sent.of(each.destination, each.records().values()) for each in ledgers(run.place, run.run_id)]
    if as_json:
        known = {"sent": [asdict(each) for each in sent]} if sent else {}
        say_json({"run": run.run_id, "started": run.started, **_fields(found), **known})
        return
    say(progress_line(found))
    say(f"shards: {found.shards_done:,} of {found.shards:,}, {found.open_attempts:,} begun and not done")
    if found.reasons:
        say(f"quarantined: {counts(found.reasons)}")
    if found.shards_redone:
        say(f"shards begun more than once: {found.shards_redone:,}")
    if found.duplicates:
        say(f"films with the bytes of another one of their shard: {found.duplicates:,}")
    if found.told is not None:
        say(f"reports written with an indication: {found.told:,}")
    if found.sr_documents is not None:
        say(documents(found.sr_documents, found.sr_not_possible or {}))
    if found.retries:
        say(f"retries: {found.retries}")
    if found.pace is not None:
        say(f"films a second: {found.pace.recent:.1f} lately, {found.pace.overall:.1f} since {run.started}")
        say(f"left: {duration(found.pace.seconds_left)}")
    for each in sent:
        say(*sent_lines(each))


def _fields(found: Status | Verdict) -> dict[str, object]:
    """As ever of runs that give no indications and make no structured reports."""
    fields = {**asdict(found), "reasons": dict(found.reasons)}  # `asdict` makes something else of a Counter
    return {name: value for name, value in fields.items() if name not in _OPTIONAL or value is not None}


@click.command(short_help="Check that no film of a run is lost, twice, or changed.")
@click.argument("path", type=RUN, metavar="RUN")
@click.option("--deep", is_flag=True, help="Read all films again, and compare their contents.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Score N films again, and compare their reports.",
)
@click.option("--drop-broken", is_flag=True, help="Put damaged parts aside, so that they are scored anew.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option(
    "--max-quarantined",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Share of films without a report up to which the exit code is 0.",
)
@KEY_OPTION
@TABLE_OPTION
@engine_options
def verify(
    path: str,
    deep: bool,
    sample: int | None,
    drop_broken: bool,
    as_json: bool,
    max_quarantined: float,
    key: Path | None,
    indications: str | None,
    engine: Engine,
) -> None:
    """Check every part of RUN against its plan: each film has one row, and each row is what was written. Of a
    run with --sr: each report of a film that can have one has its structured report.

    The fingerprint stands for all rows: it is the same whoever scored the films, and however often they were
    killed. The options of the model are for --sample.

    Exit code: 0 whole and complete; 1 films are missing or have no report; 2 something is broken (it is
    named).
    """
    from cxrscribe.archive import comparison
    from cxrscribe.archive import verify as checks
    from cxrscribe.archive.run import open_run

    run = open_run(path, key, indications)
    verdict = checks.verify(run)
    comparisons = []
    if deep:
        comparisons.append(("read again", comparison.verify_contents(run)))
    if sample is not None:
        with load(engine) as reporter:
            comparisons.append(("scored again", comparison.verify_sample(run, reporter, sample)))
    problems = [*verdict.problems, *(problem for _, each in comparisons for problem in each.problems)]
    if drop_broken:
        checks.drop_broken(run, verdict)
    if as_json:
        say_json({**_fields(verdict), "quarantined": verdict.quarantined, "missing": verdict.missing})
    else:
        say(f"planned {verdict.planned:,} = {outcome(verdict.ok, verdict.reasons, verdict.missing)}")
        say(f"repeated {verdict.repeated:,}; fingerprint {verdict.fingerprint}")
        if verdict.sr_documents is not None:
            say(documents(verdict.sr_documents, verdict.sr_not_possible or {}))
        _say_more(comparisons, len(verdict.damaged) if drop_broken else 0)
    for problem in problems[:_SHOWN_PROBLEMS]:
        note(f"Error: {problem}")
    if len(problems) > _SHOWN_PROBLEMS:
        note(f"Error: and {len(problems) - _SHOWN_PROBLEMS:,} more")
    broken = bool(problems) or not verdict.is_whole
    code = exit_code(verdict.quarantined, verdict.planned, verdict.missing, max_quarantined)
    click.get_current_context().exit(2 if broken else code)


@click.command(short_help="Write all rows of a run into one file.")
@click.argument("path", type=RUN, metavar="RUN")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="A .csv, .jsonl, .jsonl.gz or .parquet file.",
)
@click.option("--overwrite", is_flag=True, help="Replace --out if it exists.")
def export(path: str, out: Path, overwrite: bool) -> None:
    """Write the row of every film of RUN that is done into one file, in the order of the plan.

    A retry's row counts in place of an earlier one. Exit code: 0 all films are in it; 1 some aren't done yet.
    """
    from cxrscribe.archive.export import export as write
    from cxrscribe.archive.run import open_run

    run = open_run(path)
    count = write(run, out, overwrite=overwrite)
    missing = run.plan.films - count
    left = f"; {missing:,} films aren't done yet" if missing else ""
    note(f"{count:,} rows in {out}{left}")
    click.get_current_context().exit(1 if missing else 0)


@click.command(short_help="Write the rows of a run into fewer, larger files.")
@click.argument("path", type=RUN, metavar="RUN")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder for the files, outside RUN.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=250_000,
    show_default=True,
    metavar="N",
    help="Rows a file.",
)
def compact(path: str, out: Path, rows: int) -> None:
    """Write the rows of RUN, which has to be done, into files of N rows, in the format of its parts.

    RUN stays as it is. Files that are there are kept: an interrupted command can be given again.
    """
    from cxrscribe.archive.export import compact as write
    from cxrscribe.archive.run import open_run

    written = write(open_run(path), out, rows)
    note(f"{len(written):,} files in {out}")


def _say_more(comparisons: list[tuple[str, Comparison]], dropped: int) -> None:
    for how, comparison in comparisons:
        say(f"{how}: {comparison.compared:,} films, {len(comparison.problems):,} differ")
    if dropped:
        say(f"put aside: {dropped:,} files; give the command that scored the run again")
