"""`cxrscribe report`: reports for films, or for studies."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrscribe.cli.films import FilmArguments, stdin_lines
from cxrscribe.cli.indications import FILM, NOTHING_TOLD, Told, read_told
from cxrscribe.cli.options import BeamChoice, beam_options, engine_options, load, sample_options
from cxrscribe.cli.progress import progress
from cxrscribe.cli.report_documents import ReportDocuments
from cxrscribe.cli.report_file import EarlierRow, Existing, ReportFile, open_report_file
from cxrscribe.cli.report_row import ReportRow, Row, StudyRow
from cxrscribe.cli.studies import FOLDER, naming_from, studies_of, study_rows
from cxrscribe.cli.terminal import note, say, say_json_text
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError
from cxrscribe.printable import printable
from cxrscribe.report import Report

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter
    from cxrscribe.settings import BeamSettings

_IMAGE, _STUDY = "image", "study"
_MANY = {ReportRow: "films", StudyRow: "studies"}


@click.command(short_help="Write reports for films.")
@click.argument("films", nargs=-1, required=True, metavar="FILM...")
@engine_options
@beam_options
@sample_options
@click.option(
    "--batch-size",
    type=click.IntRange(1, 4096),
    default=64,
    show_default=True,
    help="Films or studies at a time.",
)
@click.option(
    "--by",
    type=click.Choice([_IMAGE, _STUDY]),
    default=_IMAGE,
    show_default=True,
    help="What gets one report: every film, or all films of a study together.",
)
@click.option(
    "--study-from",
    metavar="SOURCE",
    help="With --by study: what names a film's study. folder: the folder that it is in; dicom: its "
    "StudyInstanceUID; or FILE.csv: a table with the columns film and study.  [default: folder]",
)
@click.option(
    "--indication", metavar="TEXT", help="What is known of the patient, for a model that reads it; all films."
)
@click.option(
    "--indications",
    "indications_file",
    metavar="FILE.csv",
    help="The same a film: a table with the columns film and indication; with --by study, also study and "
    "indication.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line on stdout.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write a .jsonl or .csv file.")
@click.option(
    "--sr",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write each report as a DICOM structured report too, a draft. PATH is a file if it ends with .dcm, "
    "for one film or study, else a folder. It repeats what the film says of patient and study.",
)
@click.option("--resume", is_flag=True, help="Go on with --out: skip the films that it holds.")
@click.option("--overwrite", is_flag=True, help="Replace --out and --sr if they exist.")
def report(
    films: tuple[str, ...],
    engine: Engine,
    beam: BeamChoice,
    batch_size: int,
    by: str,
    study_from: str | None,
    indication: str | None,
    indications_file: str | None,
    as_json: bool,
    out: Path | None,
    sr: Path | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Write a report for every FILM: a PNG, JPEG or DICOM file, a folder (searched for films at any depth), a
    quoted glob, or - to read one path a line from stdin.

    Reports are printed on stdout, or written with --out, each with the disclaimer; errors go to stderr. A
    JSON object has the report's fields (null where there is none) and film, error, disclaimer, and, of a
    model that reads them, whether an indication was given, and where from, and the settings of reports that
    were drawn. A CSV file has the columns film, error, text, log_prob, score, finished, alternatives (a JSON
    array of texts) and disclaimer.

    With --by study, JSON and CSV have study, films, and left_out in the place of film: left_out are films
    that can't be read, of a study of which others can. Paths from stdin are then read to their end first.

    --sr takes DICOM films: one without the identifiers that a structured report needs is an error that names
    it, though its report is printed. With SOURCE_DATE_EPOCH set the same command writes the same bytes.

    Exit code: 0 all films done; 1 some failed, or have no structured report; 2 none could be done. With
    --resume, what --out holds counts.
    """
    from cxrscribe.search.constraints import banned_ids  # brings numpy, which the help doesn't need

    existing = _existing(out, sr, resume, overwrite)
    if by == _IMAGE and study_from is not None:
        raise InputError("--study-from is for --by study; give that too")
    told = read_told(indication, indications_file, engine.indication_from_dicom, by_study=by == _STUDY)
    reporter = load(engine)
    naming = naming_from(study_from or FOLDER, reporter) if by == _STUDY else None
    settings = beam.over(reporter.settings)
    banned_ids(settings, reporter.vocabulary)  # a wrong word must not cost the file that --overwrite replaces
    if told:
        reporter.encode_indications(())  # a model that reads none says so before anything is written
    documents = ReportDocuments(sr, reporter, settings, overwrite, resume) if sr else None
    kind: type[Row] = StudyRow if by == _STUDY else ReportRow
    shows_progress = bool(out) or not sys.stdout.isatty()  # reports that scroll by show it themselves
    with reporter, open_report_file(out, existing, kind) if out else nullcontext() as file:
        found = FilmArguments(films, stdin_lines())
        earlier = file.earlier if file else ()
        done = frozenset(_bytes_of(row.film) for row in earlier)
        rows: Iterator[Row]
        if naming is None:
            wanted, length = _films(found, done)
            rows = report_rows(reporter, wanted, settings, batch_size, told)
        else:
            studies = [
                study for study in studies_of(naming(list(found))) if _bytes_of(study.name) not in done
            ]
            rows, length = study_rows(reporter, studies, settings, batch_size, told), len(studies)
        if documents is not None:
            documents.expect(length, _MANY[kind])
        if shows_progress:
            rows = progress(rows, length, "reports")
        outcome = _Outcome.of(earlier)
        failed = outcome.failed
        untold = 0
        for row in chain(rows, unmatched_rows(reporter, found, done, kind, settings)):
            outcome.add(row)
            untold += isinstance(row.outcome, Report) and not row.indication_from
            if documents is not None and (why := documents.write(row)):  # before the row says that it is done
                note(f"Error: {printable(why)}")
            _emit(row, file, as_json)
    unused = 0 if done else told.unused()
    if unused:
        note(
            f"{unused} rows of {indications_file} name no {told.column} of this run; write "
            f"{'paths' if told.column == FILM else 'studies'} as they are given here"
        )
    if untold and engine.indication_from_dicom is not None:
        note(
            f"{untold} reports were written without an indication: their films have no text in "
            f"{engine.indication_from_dicom}, or are no DICOM"
        )
    if out:
        note(f"{outcome.done} reports in {out}; {outcome.failed} {_MANY[kind]} failed")
        if outcome.incomplete:
            note(f"{outcome.incomplete} of the reports were made without films that can't be read")
        if failed:
            note(
                f"{failed} of them failed in an earlier run and were not tried again; remove their rows, "
                "or give another --out, to try them"
            )
    if documents is not None:
        note(f"{documents.written} structured reports in {sr}; {documents.failed} reports have none")
    code = outcome.exit_code
    click.get_current_context().exit(1 if code == 0 and documents and documents.failed else code)


def _films(found: FilmArguments, done: frozenset[bytes]) -> tuple[Iterator[str], int | None]:
    """The films that aren't done, and how many they are; None where that can't be known."""
    wanted = (film for film in found if _bytes_of(film) not in done)
    if found.is_endless:
        return wanted, None
    listed = list(wanted)
    return iter(listed), len(listed)


def report_rows(
    reporter: Reporter,
    films: Iterable[str],
    settings: BeamSettings,
    batch_size: int,
    told: Told = NOTHING_TOLD,
) -> Iterator[ReportRow]:
    """One row a film, in order, as they get done; bounded memory."""
    pending: deque[tuple[str, str | None]] = deque()
    texts: deque[str | None] = deque()
    reads = reporter.reads_indications

    def remembered() -> Iterator[str]:
        for film in films:
            text = told.of(film)
            texts.append(text)
            pending.append((film, text))
            yield film

    # A film is asked for right before its text.
    indications = iter(texts.popleft, object()) if reads else None
    stream = reporter.report_stream(remembered(), settings, indications=indications, batch_size=batch_size)
    for outcome in stream:
        film, text = pending.popleft()
        source, drawn = told.source(text, outcome), settings if settings.draws else None
        yield ReportRow(film, outcome, reporter.disclaimer, reads, source, drawn)


def _bytes_of(name: str) -> bytes:
    """What a name is on the disk, whatever the locale was that it was read in."""
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:  # no file has such a name
        return name.encode("utf-8", "surrogatepass")


def unmatched_rows(
    reporter: Reporter, found: FilmArguments, done: frozenset[bytes], kind: type[Row], settings: BeamSettings
) -> Iterator[Row]:
    """One row an argument that gave no film; known once all films are found."""
    reads, drawn = reporter.reads_indications, settings if settings.draws else None
    for argument, error in found.unmatched.items():
        if _bytes_of(argument) in done:
            continue
        if kind is StudyRow:
            yield StudyRow(None, (argument,), error, reporter.disclaimer, reads, None, drawn)
        else:
            yield ReportRow(argument, error, reporter.disclaimer, reads, None, drawn)


@dataclass
class _Outcome:
    """How many films or studies were done and how many failed, those of an interrupted run included."""

    done: int
    failed: int
    incomplete: int
    """Of those done: reports that were made without films of their study."""

    @classmethod
    def of(cls, earlier: Sequence[EarlierRow]) -> _Outcome:
        """What a file says that is gone on with."""
        failed = sum(row.failed for row in earlier)
        return cls(len(earlier) - failed, failed, sum(row.left_out for row in earlier))

    def add(self, row: Row) -> None:
        self.incomplete += bool(row.left_out)
        if isinstance(row.outcome, Report):
            self.done += 1
        else:
            self.failed += 1

    @property
    def exit_code(self) -> int:
        if self.failed == self.incomplete == 0:
            return 0
        return 1 if self.done else 2


def _existing(out: Path | None, sr: Path | None, resume: bool, overwrite: bool) -> Existing:
    if resume and overwrite:
        raise InputError("--resume and --overwrite contradict each other; give one")
    if out is None and resume:
        raise InputError("--resume is for --out; give --out FILE too")
    if out is None and sr is None and overwrite:
        raise InputError("--overwrite is for --out and --sr; give one of them too")
    if resume:
        return Existing.RESUME
    return Existing.OVERWRITE if overwrite else Existing.REFUSE


def _emit(row: Row, file: ReportFile | None, as_json: bool) -> None:
    """Write the row to where it was asked for, and an error to stderr in any case."""
    if row.error is not None:
        note(f"Error: {row.error}")
    for error in row.left_out.values():
        note(f"Left out of its study: {error}")
    if file is not None:
        file.write(row)
    if as_json:
        say_json_text(row.to_json_line())
    elif file is None and row.error is None:
        say(*row.to_lines())
