"""A model's reports beside three baselines and its ablations, each figure with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cxrscribe.cleaning import comparable
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import readable
from cxrscribe_train.evaluation.constant import TrainingSample, by_frequency
from cxrscribe_train.evaluation.familiar import Familiarity, familiarity
from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.bootstrap import Resamples
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet
from cxrscribe_train.evaluation.metrics.labels import LABELS
from cxrscribe_train.evaluation.metrics.meteor import Meteor, MeteorError
from cxrscribe_train.evaluation.metrics.places import PLACEMENTS
from cxrscribe_train.evaluation.metrics.severities import SEVERITIES
from cxrscribe_train.evaluation.metrics.statements import StatementMatrix, Statements
from cxrscribe_train.evaluation.model import Ablation, ModelIdentity
from cxrscribe_train.evaluation.scorer import Figures, Scorer
from cxrscribe_train.evaluation.subject import TRUTH_FILE, By, Film, TrainingReports

COLUMNS: Final = ("model", "constant", "most_frequent", "shuffled")
SUBTRACTED: Final = ("constant", *Ablation)
"""Columns that the model's is held against film by film, where they are there."""
WITHOUT_FINDINGS: Final = (
    "Findings have no figures: none is true of any film. The labeller reads English only."
)
"""What is said in place of the figures of findings, where there are none."""
_NOT_SUBTRACTED: Final = frozenset({"distinct_share", "words_used", "length_mean", "length_p90"})
# Parts of the seed, so that each use of chance has its own.
_RESAMPLE, _SAMPLE, _SHUFFLE = 0, 1, 2


@dataclass(frozen=True)
class Written:
    """A film and the report that the model wrote for it."""

    film: Film
    report: Words

    @property
    def stated(self) -> FindingSet:
        """The findings that the report states."""
        return FindingSet.stated_by(self.report)


@dataclass(frozen=True)
class Comparison:
    """The four columns, those of ablations behind them, and what the baselines were."""

    columns: Mapping[str, Figures]
    support: Mapping[str, int]
    """Films with each kind of finding."""
    constant_reports: Mapping[str, Words]
    """The report chosen for each text metric."""
    constant_labels: Mapping[str, Sequence[str]]
    """The findings chosen for each label figure, and with their places for each place figure."""
    most_frequent_report: Words
    without_meteor: str | None
    """Why METEOR is left out; None where it is in."""
    without_places: str | None
    """Why the figures of places are left out; None where they are in."""
    familiar: Familiarity
    """The films whose references are training reports, and the others."""
    without_severities: str | None = None
    """Why those of severities are left out; None where they are in."""

    @property
    def differences(self) -> dict[str, Figures]:
        """The model's figures minus those of the best constant and of each ablation, by its column.

        Paired: both are resampled together. Variety and length are no merits and aren't subtracted.
        """
        model = self.columns["model"]
        return {
            column: {
                name: figure.minus(self.columns[column][name])
                for name, figure in model.items()
                if name not in _NOT_SUBTRACTED and name in self.columns[column]
            }
            for column in SUBTRACTED
            if column in self.columns
        }


@dataclass(frozen=True)
class Circumstances:
    """What was evaluated, on what, and how."""

    model: ModelIdentity
    corpus: str
    """Name of the corpus folder, without the path, which is nobody else's business."""
    split: str
    truth: str
    """`findings.csv` or `labeller`."""
    settings: BeamSettings
    resamples: int
    seed: int
    counts: Mapping[str, int]
    disclaimer: str
    by: By = By.IMAGE
    """What got one report."""
    times: int | None = None
    """How often this run was evaluated on this split of this corpus, now included; None for a bundle."""


@dataclass(frozen=True)
class Evaluation:
    """All that `cxrscribe evaluate` prints and writes."""

    circumstances: Circumstances
    comparison: Comparison
    written: tuple[Written, ...]

    def to_json(self) -> dict[str, object]:
        """Figures under `model`, `constant`, `most_frequent` and `shuffled`, and everything about them."""
        about, compared = self.circumstances, self.comparison
        return {
            **{column: _json(figures) for column, figures in compared.columns.items()},
            "differences": {column: _json(figures) for column, figures in compared.differences.items()},
            "evaluated": about.model.to_json(),
            "corpus": about.corpus,
            "split": about.split,
            "by": str(about.by),
            "truth": about.truth,
            "times_evaluated": about.times,
            "counts": dict(about.counts),
            "support": dict(compared.support),
            "familiar_references": compared.familiar.to_json(),
            "settings": about.settings.to_json(),
            "bootstrap": {
                "resamples": about.resamples,
                "seed": about.seed,
                "unit": "study",
                "confidence": 0.95,
            },
            "constant_reports": {
                metric: readable(report) for metric, report in compared.constant_reports.items()
            },
            "constant_labels": {name: list(labels) for name, labels in compared.constant_labels.items()},
            "most_frequent_report": readable(compared.most_frequent_report),
            "without_meteor": compared.without_meteor,
            "without_places": compared.without_places,
            "without_severities": compared.without_severities,
            "disclaimer": about.disclaimer,
        }


def compare(
    written: Sequence[Written],
    training: TrainingReports,
    resamples: int,
    seed: int,
    note: Callable[[str], None] = lambda text: None,
    ablations: Mapping[Ablation, Sequence[Words]] | None = None,
) -> Comparison:
    """Score the model's reports, the baselines and the ablations on the same films and resamples.

    Args:
        written: at least one film with its report.
        training: what the baselines are chosen from.
        resamples: bootstrap resamples of studies; with 0 every interval is its value.
        seed: of resamples, of the baselines' samples and of the shuffling.
        note: told what is being done.
        ablations: the reports that the model wrote for the same films without one of its inputs.
    """
    columns = {str(ablation): reports for ablation, reports in (ablations or {}).items()}
    drawn = Resamples.draw([one.film.study_id for one in written], resamples, _seed(seed, _RESAMPLE))
    try:
        with Meteor() as meteor:
            return _compare(written, training, drawn, seed, meteor, note, columns)
    except MeteorError as error:
        note(f"METEOR is left out: {error}")
        return _compare(written, training, drawn, seed, None, note, columns, without_meteor=str(error))


def shuffled(reports: Sequence[Words], seed: int) -> list[Words]:
    """The same reports handed to other films: no film keeps its own, where there are two or more."""
    order = np.random.default_rng(_seed(seed, _SHUFFLE)).permutation(len(reports))
    given: list[Words] = list(reports)
    for film, source in zip(order, np.roll(order, 1), strict=True):
        given[film] = reports[source]
    return given


def _compare(
    written: Sequence[Written],
    training: TrainingReports,
    resamples: Resamples,
    seed: int,
    meteor: Meteor | None,
    note: Callable[[str], None],
    ablations: Mapping[str, Sequence[Words]],
    without_meteor: str | None = None,
) -> Comparison:
    truths = [one.film.truth for one in written]
    places_known = all(truth.places is not None for truth in (*truths, *training.truths))
    severities_known = all(truth.severities is not None for truth in (*truths, *training.truths))
    counted: list[Statements] = [LABELS]
    counted += [PLACEMENTS] if places_known else []
    counted += [SEVERITIES] if severities_known else []
    true = [(statements, statements.matrix(truths)) for statements in counted]
    references = [comparable(one.film.reference) for one in written]
    scorer = Scorer(references, true, resamples, meteor)
    note("choosing the baselines from the training reports")
    constant_reports = TrainingSample.draw(training.reports, _seed(seed, _SAMPLE)).best(meteor)
    constant_findings = _constant_findings(training, true)
    most_frequent = by_frequency(training.reports)[0]
    reports = [comparable(one.report) for one in written]
    note(f"scoring {len(reports)} reports and three baselines")
    columns = {
        "model": scorer.column(reports),
        "constant": scorer.constant_column(constant_reports, constant_findings),
        "most_frequent": scorer.column([most_frequent] * len(reports)),
        "shuffled": scorer.column(shuffled(reports, seed)),
        **{column: scorer.column([*map(comparable, without)]) for column, without in ablations.items()},
    }
    return Comparison(
        columns=columns,
        support=LABELS.support(LABELS.matrix(truths)),
        constant_reports=constant_reports,
        constant_labels={
            name: statements.names(constant_findings[name])
            for statements, matrix in true
            for name in statements.figure_names(matrix)
        },
        most_frequent_report=most_frequent,
        without_meteor=without_meteor,
        familiar=familiarity(
            references,
            training.reports,
            {"model": reports, "constant": [constant_reports["bleu_4"]] * len(reports)},
        ),
        without_places=None if places_known else f"{TRUTH_FILE} lacks the columns side and zone",
        without_severities=None if severities_known else f"{TRUTH_FILE} lacks the column severity",
    )


def _constant_findings(
    training: TrainingReports, true: Sequence[tuple[Statements, StatementMatrix]]
) -> dict[str, FindingSet]:
    """For each figure that is defined on the evaluated films, the best training report's findings."""
    candidates = list(dict.fromkeys(map(FindingSet.stated_by, by_frequency(training.reports))))
    chosen: dict[str, FindingSet] = {}
    for statements, evaluated in true:
        best = statements.best_constant(statements.matrix(candidates), statements.matrix(training.truths))
        # What the training split never shows has no best report there: any will do, so the first.
        chosen |= {name: candidates[best.get(name, 0)] for name in statements.figure_names(evaluated)}
    return chosen


def _json(figures: Figures) -> dict[str, object]:
    """Each figure by its name, and its interval beside it."""
    return {key: value for name, figure in figures.items() for key, value in figure.to_json(name).items()}


def _seed(seed: int, part: int) -> int:
    return int(np.random.SeedSequence([seed, part]).generate_state(1)[0])
