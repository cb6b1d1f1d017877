"""`cxrscribe report`: reports for films."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrscribe.cli.films import FilmArguments, stdin_lines
from cxrscribe.cli.indications import NOTHING_TOLD, Told, read_told
from cxrscribe.cli.options import BeamChoice, beam_options, engine_options, load, sample_options
from cxrscribe.cli.progress import progress
from cxrscribe.cli.report_file import Existing, ReportFile, open_report_file
from cxrscribe.cli.report_row import ReportRow
from cxrscribe.cli.terminal import note, say, say_json_text
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError
from cxrscribe.report import Report

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter
    from cxrscribe.settings import BeamSettings


@click.command(short_help="Write reports for films.")
@click.argument("films", nargs=-1, required=True, metavar="FILM...")
@engine_options
@beam_options
@sample_options
@click.option(
    "--batch-size", type=click.IntRange(1, 4096), default=32, show_default=True, help="Films at a time."
)
@click.option(
    "--indication", metavar="TEXT", help="What is known of the patient, for a model that reads it; all films."
)
@click.option(
    "--indications",
    "indications_file",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="The same a film: a table with the columns film and indication.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line on stdout.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write a .jsonl or .csv file.")
@click.option("--resume", is_flag=True, help="Go on with --out: skip the films that it holds.")
@click.option("--overwrite", is_flag=True, help="Replace --out if it exists.")
def report(
    films: tuple[str, ...],
    engine: Engine,
    beam: BeamChoice,
    batch_size: int,
    indication: str | None,
    indications_file: Path | None,
    as_json: bool,
    out: Path | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Write a report for every FILM: a PNG, JPEG or DICOM file, a folder (searched for films at any depth), a
    quoted glob, or - to read one path a line from stdin.

    Reports are printed on stdout, or written with --out, each with the disclaimer; errors go to stderr. A
    JSON object has the report's fields (null where there is none) and film, error, disclaimer, and, of a
    model that reads them, whether an indication was given, and the settings of reports that were drawn. A
    CSV file has the columns film, error, text, log_prob, score, finished, alternatives (a JSON array of
    texts) and disclaimer.

    Exit code: 0 all films done; 1 some failed; 2 none could be done. With --resume, what --out holds counts.
    """
    from cxrscribe.search.constraints import banned_ids  # brings numpy, which the help doesn't need

    existing = _existing(out, resume, overwrite)
    told = read_told(indication, indications_file)
    reporter = load(engine)
    settings = beam.over(reporter.settings)
    banned_ids(settings, reporter.vocabulary)  # a wrong word must not cost the file that --overwrite replaces
    if told:
        reporter.encode_indications(())  # a model that reads none says so before anything is written
    with reporter, open_report_file(out, existing) if out else nullcontext() as file:
        found = FilmArguments(films, stdin_lines())
        earlier = file.earlier if file else ()
        done = frozenset(_bytes_of(row.film) for row in earlier)
        wanted: Iterator[str] = (film for film in found if _bytes_of(film) not in done)
        length = None
        if not found.is_endless:
            listed = list(wanted)
            wanted, length = iter(listed), len(listed)
        rows = report_rows(reporter, wanted, settings, batch_size, told)
        # Reports that scroll by on the same terminal show the progress themselves.
        if out or not sys.stdout.isatty():
            rows = progress(rows, length, "reports")
        failed = sum(row.failed for row in earlier)
        outcome = _Outcome(len(earlier) - failed, failed)
        for row in chain(rows, unmatched_rows(reporter, found, done)):
            outcome.add(row)
            _emit(row, file, as_json)
    unused = 0 if done else told.unused()
    if unused:
        note(f"{unused} rows of {told.source} name no film of this run; write paths as they are given here")
    if out:
        note(f"{outcome.done} reports in {out}; {outcome.failed} films failed")
        if failed:
            note(
                f"{failed} of them failed in an earlier run and were not tried again; remove their rows, "
                "or give another --out, to try them"
            )
    click.get_current_context().exit(outcome.exit_code)


def report_rows(
    reporter: Reporter,
    films: Iterable[str],
    settings: BeamSettings,
    batch_size: int,
    told: Told = NOTHING_TOLD,
) -> Iterator[ReportRow]:
    """One row a film, in order, as they get done; bounded memory."""
    pending: deque[tuple[str, bool | None]] = deque()
    texts: deque[str | None] = deque()
    reads = reporter.reads_indications

    def remembered() -> Iterator[str]:
        for film in films:
            text = told.of(film)
            texts.append(text)
            pending.append((film, text is not None if reads else None))
            yield film

    # A film is asked for right before its text.
    indications = iter(texts.popleft, object()) if reads else None
    stream = reporter.report_stream(remembered(), settings, indications=indications, batch_size=batch_size)
    for outcome in stream:
        film, is_told = pending.popleft()
        yield ReportRow(film, outcome, reporter.disclaimer, is_told, settings if settings.draws else None)


def _bytes_of(name: str) -> bytes:
    """What a name is on the disk, whatever the locale was that it was read in."""
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:  # no file has such a name
        return name.encode("utf-8", "surrogatepass")


def unmatched_rows(reporter: Reporter, found: FilmArguments, done: frozenset[bytes]) -> Iterator[ReportRow]:
    """One row an argument that gave no film; known once all films are found."""
    for argument, error in found.unmatched.items():
        if _bytes_of(argument) not in done:
            yield ReportRow(argument, error, reporter.disclaimer)


class _Outcome:
    """How many films were done and how many failed, those of an interrupted run included."""

    def __init__(self, done: int, failed: int) -> None:
        self.done = done
        self.failed = failed

    def add(self, row: ReportRow) -> None:
        if isinstance(row.outcome, Report):
            self.done += 1
        else:
            self.failed += 1

    @property
    def exit_code(self) -> int:
        if self.failed == 0:
            return 0
        return 1 if self.done else 2


def _existing(out: Path | None, resume: bool, overwrite: bool) -> Existing:
    if resume and overwrite:
        raise InputError("--resume and --overwrite contradict each other; give one")
    if out is None and (resume or overwrite):
        raise InputError(f"{'--resume' if resume else '--overwrite'} is for --out; give --out FILE too")
    if resume:
        return Existing.RESUME
    return Existing.OVERWRITE if overwrite else Existing.REFUSE


def _emit(row: ReportRow, file: ReportFile | None, as_json: bool) -> None:
    """Write the row to where it was asked for, and an error to stderr in any case."""
    if row.error is not None:
        note(f"Error: {row.error}")
    if file is not None:
        file.write(row)
    if as_json:
        say_json_text(row.to_json_line())
    elif file is None and row.error is None:
        say(*row.to_lines())
