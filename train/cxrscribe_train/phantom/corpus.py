"""A corpus of phantoms on disk, in the layout of the Indiana collection.

DIR/ecgen-radiology/<n>.xml    the report, as the collection writes it; <n> is the last number of the study
                               id, or all of the id where several studies end in that number
DIR/images/<image_id>.png      a film, 512 x 512, 8-bit grey
DIR/findings.csv               what was drawn: the truth that a labeller is held against
DIR/phantom.json               which phantoms these are
DIR/reports.csv, summary.json  made by the code that tables the Indiana collection
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from string import digits
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe.version import __version__
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.corpus.archive import REPORTS_FOLDER, open_collection
from cxrscribe_train.corpus.images import IMAGE_ENDING, IMAGES_FOLDER
from cxrscribe_train.corpus.nlmcxr import read_studies, tabulate
from cxrscribe_train.corpus.split import Split
from cxrscribe_train.corpus.study import Study, write_study
from cxrscribe_train.corpus.summary import SUMMARY_FILE, Summary
from cxrscribe_train.phantom.coverage import Coverage
from cxrscribe_train.phantom.recipe import Recipe, mesh_recipe, sampled_recipe

FINDINGS_FILE: Final = "findings.csv"
FINDINGS_COLUMNS: Final = ("study_id", "image_id", "finding", "side", "zone", "severity")
IDENTITY_FILE: Final = "phantom.json"

_PNG_COMPRESSION = 4  # noise hardly compresses; more effort costs time and saves next to nothing
_FILMS_A_TASK = 8


@dataclass(frozen=True)
class PhantomCorpus:
    """What will be drawn: the recipes, and a name that two different corpora never share.

    `malformed` names each real report that can't be read, and why.
    """

    identity: str
    recipes: tuple[Recipe, ...]
    malformed: tuple[str, ...] = ()


def sampled_corpus(studies: int, seed: int, views: int = 1) -> PhantomCorpus:
    """Studies 1 .. `studies` of `seed`, of `views` films each. Raises InputError for numbers out of range."""
    if studies < 1 or seed < 0:
        raise InputError(f"{studies} studies of seed {seed}: give at least one study and a seed of 0 or more")
    return PhantomCorpus(
        f"seed {seed}{_of_views(views)}",
        tuple(sampled_recipe(seed, index, views) for index in range(1, studies + 1)),
    )


def mesh_corpus(root: Path, seed: int, studies: int | None = None, views: int = 1) -> PhantomCorpus:
    """`views` films for each real study under `root` that has FINDINGS, or for the first `studies` of them.

    Malformed files are skipped and named in the result. Raises InputError where no report has FINDINGS.
    """
    reports = read_studies(open_collection(root))
    originals = [study for study in reports.studies if study.findings]
    if not originals:
        first = f"; the first problem: {reports.malformed[0]}" if reports.malformed else ""
        raise InputError(
            f"no report with FINDINGS in {root}{first}; give the folder or archive of the real reports"
        )
    files = _report_files(originals)
    recipes = (mesh_recipe(seed, study, files[study.study_id], views) for study in originals[:studies])
    identity = f"seed {seed}{_of_views(views)}, headings of reports {_digest(originals)}"
    return PhantomCorpus(identity, tuple(recipes), reports.malformed)


def write_films(corpus: PhantomCorpus, directory: Path, workers: int) -> Iterator[str]:
    """Draw the films and write films and XML of each study; yields its first image's id once they are there.

    Studies that are complete are kept, so an interrupted run goes on where it was. Raises InputError where
    `directory` holds other phantoms, or more of these.
    """
    _claim(corpus, directory)
    tasks = [_task(recipe, directory) for recipe in corpus.recipes]
    waiting = [task for task in tasks if not task.complete]
    yield from (task.image_id for task in tasks if task.complete)
    if workers == 1 or len(waiting) <= _FILMS_A_TASK:
        yield from map(_make, waiting)
        return
    # Children start afresh: forking a process that has threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(waiting)), mp_context=context) as pool:
        try:
            yield from pool.map(_make, waiting, chunksize=_FILMS_A_TASK)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def write_tables(corpus: PhantomCorpus, directory: Path, split: Split | None) -> tuple[Summary, Coverage]:
    """Write `findings.csv`, `reports.csv` and `summary.json` of films that are there.

    `summary.json` is that of a real collection and has the coverage under `phantom`.
    """
    write_atomically(directory / FINDINGS_FILE, _findings_table(corpus.recipes).encode())
    summary = tabulate(directory, directory, split=split)
    coverage = Coverage.of(corpus.recipes)
    content = json.loads(summary.to_json()) | {"phantom": asdict(coverage)}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(directory / SUMMARY_FILE, text.encode())
    return summary, coverage


def film_file(recipe: Recipe, directory: Path) -> Path:
    """Where the first film of `recipe` lies in a corpus."""
    return directory / IMAGES_FOLDER / f"{recipe.image_id}{IMAGE_ENDING}"


@dataclass(frozen=True)
class _Task:
    """A study to draw and the files to write; the XML comes last and marks the study as complete."""

    recipe: Recipe
    images: Path
    """The folder of the films."""
    report: Path

    @property
    def image_id(self) -> str:
        return self.recipe.image_id

    @property
    def complete(self) -> bool:
        return self.report.is_file() and all(film.is_file() for film, _ in self.films)

    @property
    def films(self) -> list[tuple[Path, int]]:
        """The file of each film, and the seed of its drawing."""
        drawings = self.recipe.drawings
        return [(self.images / f"{image_id}{IMAGE_ENDING}", seed) for image_id, seed in drawings]


def _task(recipe: Recipe, directory: Path) -> _Task:
    return _Task(recipe, directory / IMAGES_FOLDER, directory / REPORTS_FOLDER / recipe.report_file)


def _make(task: _Task) -> str:
    from PIL import Image

    from cxrscribe_train.phantom.drawing.film import draw_film

    for path, seed in task.films:
        buffer = io.BytesIO()
        film = draw_film(task.recipe.findings, seed)
        Image.fromarray(film).save(buffer, "PNG", compress_level=_PNG_COMPRESSION)
        write_atomically(path, buffer.getvalue())
    write_atomically(task.report, write_study(task.recipe.study))
    return task.image_id


def _of_views(views: int) -> str:
    """What an identity says of them; nothing of one, as it was before there could be more."""
    return "" if views == 1 else f", {views} views"


def _claim(corpus: PhantomCorpus, directory: Path) -> None:
    """Make sure that nothing but a part of this corpus is in `directory`, and mark it as this corpus."""
    identity = {"phantoms": corpus.identity, "version": __version__}
    mark = directory / IDENTITY_FILE
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; give a folder")
    if mark.is_file():
        try:
            found = json.loads(mark.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{mark} can't be read ({error}); choose another folder") from None
        if found != identity:
            raise InputError(
                f"{directory} holds other phantoms ({_told(found)}) than those wanted ({_told(identity)}); "
                "choose another folder or remove that one"
            )
    elif directory.is_dir() and any(directory.iterdir()):
        raise InputError(f"{directory} is not empty and holds no phantoms; choose another folder")
    wanted = {recipe.report_file for recipe in corpus.recipes}
    surplus = {path.name for path in (directory / REPORTS_FOLDER).glob("*.xml")} - wanted
    if surplus:
        raise InputError(
            f"{directory} holds {len(surplus)} more studies than the {len(wanted)} wanted; "
            "ask for as many as are there, or choose another folder"
        )
    write_atomically(mark, (json.dumps(identity, indent=2) + "\n").encode())


def _told(identity: object) -> str:
    if not isinstance(identity, dict):
        return "unknown"
    return f"{identity.get('phantoms')}, drawn by version {identity.get('version')}"


def _findings_table(recipes: Iterable[Recipe]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(FINDINGS_COLUMNS)
    for recipe in recipes:
        for image_id in recipe.study.image_ids:
            for finding in recipe.findings:
                place = (finding.side, finding.zone, finding.severity)
                writer.writerow((recipe.study.study_id, image_id, finding.kind, *place))
    return buffer.getvalue()


def _report_files(studies: Sequence[Study]) -> dict[str, str]:
    """Study id to the name of its XML file: the last number of the id, as in the Indiana collection.

    Where several ids end in the same number, and where one ends in none, the name is the whole id.
    """
    ids = [study.study_id for study in studies]
    numbers = {study_id: study_id[len(study_id.rstrip(digits)) :] for study_id in ids}
    shared = Counter(numbers.values())
    return {
        study_id: f"{number if number and shared[number] == 1 else study_id}.xml"
        for study_id, number in numbers.items()
    }


def _digest(studies: Sequence[Study]) -> str:
    digest = hashlib.sha256()
    for study in studies:
        digest.update(write_study(study))
    return digest.hexdigest()[:16]
