"""All figures of one column of reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cxrscribe_train.evaluation.metrics.bleu import ORDERS, BleuCounts, Words
from cxrscribe_train.evaluation.metrics.bootstrap import Figure, Resamples, weighted_mean
from cxrscribe_train.evaluation.metrics.diversity import diversity_figures
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet
from cxrscribe_train.evaluation.metrics.meteor import Meteor
from cxrscribe_train.evaluation.metrics.similarity import cider, rouge_l
from cxrscribe_train.evaluation.metrics.statements import StatementMatrix, Statements

Figures = Mapping[str, Figure]


class Scorer:
    """Scores columns of reports against the same references, truths and resamples."""

    def __init__(
        self,
        references: Sequence[Words],
        truths: Sequence[tuple[Statements, StatementMatrix]],
        resamples: Resamples,
        meteor: Meteor | None,
    ) -> None:
        """Keep what every column is held against.

        `references`: one a film. `truths`: what is counted of findings, each with what is true, [N, S].
        Without `meteor` that figure is left out.
        """
        self._references = references
        self._truths = truths
        self._resamples = resamples
        self._meteor = meteor
        families: dict[str, Callable[[Sequence[Words]], Figures]] = {
            **{f"bleu_{order}": self.bleu for order in range(1, ORDERS + 1)},
            "rouge_l": self.rouge_l,
            "cider": self.cider,
        }
        if meteor is not None:
            families["meteor"] = self.meteor
        self._family_of_metric = families

    def column(self, reports: Sequence[Words]) -> Figures:
        """Every figure of one column; `reports`: one a film."""
        families = dict.fromkeys(self._family_of_metric.values())
        text = {name: figure for family in families for name, figure in family(reports).items()}
        return {**text, **self.findings(reports), **self.diversity(reports)}

    def constant_column(self, by_metric: Mapping[str, Words], findings: Mapping[str, FindingSet]) -> Figures:
        """Every figure of the constant baseline, each from its own report or findings.

        `by_metric`: the report chosen for each text metric; `findings`: the findings chosen for each of their
        figures. Lengths and variety are those of the report chosen for `bleu_4`.
        """
        films = len(self._references)
        figures: dict[str, Figure] = {}
        for metric, family in self._family_of_metric.items():
            figures[metric] = family([by_metric[metric]] * films)[metric]
        for statements, true in self._truths:
            for name in statements.figure_names(true):
                stated = statements.matrix([findings[name]]).repeat(films, axis=0)
                figures[name] = statements.figures(stated, true, self._resamples)[name]
        return {**figures, **self.diversity([by_metric["bleu_4"]] * films)}

    def bleu(self, reports: Sequence[Words]) -> Figures:
        """BLEU-1 to BLEU-4 of the corpus."""
        counts = BleuCounts.of(reports, self._references)
        return {
            f"bleu_{order}": self._resamples.figure(counts.statistic(order)) for order in range(1, ORDERS + 1)
        }

    def rouge_l(self, reports: Sequence[Words]) -> Figures:
        """Mean ROUGE-L."""
        return {"rouge_l": self._resamples.figure(weighted_mean(rouge_l(reports, self._references)))}

    def cider(self, reports: Sequence[Words]) -> Figures:
        """Mean CIDEr; in resamples the rarity of n-grams stays that of all references."""
        return {"cider": self._resamples.figure(weighted_mean(cider(reports, self._references)))}

    def meteor(self, reports: Sequence[Words]) -> Figures:
        """METEOR of the corpus."""
        assert self._meteor is not None
        counts = self._meteor.counts(reports, self._references)
        return {"meteor": self._resamples.figure(self._meteor.statistic(counts))}

    def findings(self, reports: Sequence[Words]) -> Figures:
        """Precision, recall and F1 of the findings that the reports state, and of their places."""
        stated = [FindingSet.stated_by(report) for report in reports]
        return {
            name: figure
            for statements, true in self._truths
            for name, figure in statements.figures(statements.matrix(stated), true, self._resamples).items()
        }

    def diversity(self, reports: Sequence[Words]) -> Figures:
        """Distinct reports, words used, lengths."""
        return diversity_figures(reports, self._resamples)
