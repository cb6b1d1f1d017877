"""What `cxrscribe evaluate --out` writes."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cxrscribe.csv_cells import csv_cell
from cxrscribe.vocabulary import SENTENCE_END, readable
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.evaluation.evaluation import Evaluation, Written
from cxrscribe_train.evaluation.examples import choose_examples
from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.labels import LABELS
from cxrscribe_train.evaluation.page import page

EVALUATION_FILE: Final = "evaluation.json"
REPORTS_FILE: Final = "reports.csv"
EXAMPLES_FILE: Final = "examples.html"
# What public scorers (RadGraph, CheXbert, GREEN, RadCliQ) take: the same rows in two files.
REFERENCES_FILE: Final = "gt_reports.csv"
PREDICTIONS_FILE: Final = "predicted_reports.csv"
SCORER_COLUMNS: Final = ("study_id", "report")
COLUMNS: Final = ("study_id", "image_id", "reference", "report", "truth", "stated", "disclaimer")


def write_evaluation(evaluation: Evaluation, directory: Path) -> tuple[Path, ...]:
    """Write the figures, every film's report and the page of examples; returns the paths.

    Raises InputError when the folder can't be written to.
    """
    examples = choose_examples(evaluation.written, evaluation.circumstances.seed)
    contents = {
        EVALUATION_FILE: evaluation_json(evaluation) + "\n",
        REPORTS_FILE: _reports_table(evaluation.written, evaluation.circumstances.disclaimer),
        EXAMPLES_FILE: page(evaluation, examples),
        REFERENCES_FILE: _scorer_table(evaluation.written, lambda one: one.film.reference),
        PREDICTIONS_FILE: _scorer_table(evaluation.written, lambda one: one.report),
    }
    for name, content in contents.items():
        write_atomically(directory / name, content.encode("utf-8"))
    return tuple(directory / name for name in contents)


def evaluation_json(evaluation: Evaluation) -> str:
    """The evaluation as one JSON object."""
    return json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False, allow_nan=False)


def _scorer_table(written: Sequence[Written], words_of: Callable[[Written], Words]) -> str:
    """One row a film, known by its study, or by its image where the study has several films.

    A report without words is a full stop: programs that read an empty cell take it for no value.
    """
    films = Counter(one.film.study_id for one in written)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(SCORER_COLUMNS)
    for one in written:
        film = one.film
        name = film.study_id if films[film.study_id] == 1 else film.image_id
        writer.writerow((name, readable(words_of(one)) or SENTENCE_END))
    return buffer.getvalue()


def _reports_table(written: Sequence[Written], disclaimer: str) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in written:
        film = one.film
        truth, stated = (";".join(LABELS.names(findings)) for findings in (film.truth, one.stated))
        cells = (
            film.study_id,
            film.name,
            readable(film.reference),
            readable(one.report),
            truth,
            stated,
            disclaimer,
        )
        writer.writerow(map(csv_cell, cells))
    return buffer.getvalue()
