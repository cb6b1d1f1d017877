"""The studies that the films of a command line are of: by folder, by DICOM header, or by a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from cxrscribe.cli.indications import FILM, STUDY, Told, table_name
from cxrscribe.cli.progress import progress
from cxrscribe.cli.report_row import StudyRow
from cxrscribe.errors import CxrscribeError, FilmError, InputError

if TYPE_CHECKING:
    from cxrscribe.archive.text_table import TextTable
    from cxrscribe.films.isolation import Isolation
    from cxrscribe.reporter import Reporter
    from cxrscribe.settings import BeamSettings

FOLDER: Final = "folder"
DICOM: Final = "dicom"
_READ_AHEAD: Final = 64

Named: TypeAlias = tuple[str, "str | CxrscribeError"]
"""A film, and the study that it is of, or why that isn't known."""


@dataclass(frozen=True)
class StudyFiles:
    """The films of one study, each once, in the order in which they were given."""

    study: str | None
    """What names it; None for a film whose study isn't known."""
    films: tuple[str, ...]
    error: CxrscribeError | None = None
    """Why these films are none of one study that can be reported."""

    @property
    def name(self) -> str:
        """What names the row of it."""
        return self.films[0] if self.study is None else self.study


Naming: TypeAlias = Callable[[Sequence[str]], Iterator[Named]]
"""Names the study of each film, in order."""


def naming_from(source: str, reporter: Reporter) -> Naming:
    """What `--study-from` asks for: `folder`, `dicom`, or a CSV file with the columns film and study.

    Headers are read as `reporter` reads films. Raises InputError when `source` is nothing of that, or no such
    table.
    """
    if source == FOLDER:
        return _by_folder
    if source == DICOM:
        return partial(_by_dicom, isolation=reporter.isolation, readers=reporter.threads)
    if Path(source).suffix.lower() != ".csv":
        raise InputError(f"--study-from {source}: give folder, dicom, or the path of a .csv file")
    return partial(_by_table, table=_studies_in(source))


def studies_of(named: Iterable[Named]) -> list[StudyFiles]:
    """The studies, in the order of their first films; a film without one stands by itself."""
    from cxrscribe.study import MOST_FILMS

    films: dict[str, dict[str, str]] = {}
    whole: list[StudyFiles | str] = []
    for film, study in named:
        if isinstance(study, CxrscribeError):
            whole.append(StudyFiles(None, (film,), study))
            continue
        if study not in films:
            films[study] = {}
            whole.append(study)
        films[study].setdefault(os.path.normpath(film), film)
    found = []
    for each in whole:
        if isinstance(each, str):
            its_films = tuple(films[each].values())
            error = None
            if len(its_films) > MOST_FILMS:
                error = FilmError(
                    f"{its_films[0]}: one study would have it and {len(its_films) - 1} other films, more "
                    f"than the {MOST_FILMS} that one may have; see whether --study-from says studies"
                )
            each = StudyFiles(each, its_films, error)
        found.append(each)
    return found


def study_rows(
    reporter: Reporter, studies: Sequence[StudyFiles], settings: BeamSettings, batch_size: int, told: Told
) -> Iterator[StudyRow]:
    """One row a study, in order, as they get done.

    Raises InputError before the first one where what is told of a study's films isn't the same.
    """
    from cxrscribe.study import Study

    texts = [told.of_study(each.name, each.films) for each in studies]
    wanted = [
        Study(each.films, text) for each, text in zip(studies, texts, strict=True) if each.error is None
    ]
    stream = reporter.report_stream(wanted, settings, batch_size=batch_size)
    for each, text in zip(studies, texts, strict=True):
        outcome = next(stream) if each.error is None else each.error
        source = told.source(text, outcome)
        yield StudyRow(
            each.study,
            each.films,
            outcome,
            reporter.disclaimer,
            reporter.reads_indications,
            source,
            settings if settings.draws else None,
        )


def _by_folder(films: Sequence[str]) -> Iterator[Named]:
    for film in films:
        yield film, os.path.normpath(os.path.dirname(film) or ".")  # noqa: PTH120 (of each film)


def _by_table(films: Sequence[str], table: TextTable) -> Iterator[Named]:
    for film in films:
        study = table.text(table_name(film))
        yield (
            film,
            study or FilmError(f"{film}: {table.source} has no row that names it; add its study there"),
        )


def _by_dicom(films: Sequence[str], isolation: Isolation, readers: int) -> Iterator[Named]:
    from cxrscribe.films.read_ahead import read_ahead
    from cxrscribe.films.study_uid import read_study_uid

    def read(film: object) -> str:
        assert isinstance(film, str)
        return read_study_uid(film, isolation)

    headers = read_ahead(((film, film) for film in films), read, readers, _READ_AHEAD)
    for study, film in progress(headers, len(films), "headers"):
        yield film, study


def _studies_in(source: str) -> TextTable:
    """A table of the study of each film. Raises InputError at a film without one."""
    import numpy as np

    from cxrscribe.archive.text_table import TextTable

    table = TextTable(source, [FILM], STUDY, table_name)
    if table.texts < len(table):
        row = int(np.argmin(table.has_text(np.arange(len(table))))) + 2
        raise InputError(f"{source}, row {row} names no study; fill it in, or remove the row")
    return table
