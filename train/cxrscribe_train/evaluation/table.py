"""The evaluation as text, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from cxrscribe_train.evaluation.evaluation import COLUMNS, WITHOUT_FINDINGS, Comparison, Evaluation
from cxrscribe_train.evaluation.familiar import Familiarity
from cxrscribe_train.evaluation.metrics.bootstrap import Figure
from cxrscribe_train.evaluation.subject import By

_NAME_WIDTH: Final = 31
_CELL_WIDTH: Final = 17
_HEADINGS: Final = {
    "most_frequent": "most frequent",
    "constant": "best constant",
    "without_film": "without film",
    "without_text": "without text",
}
_LABEL_PREFIX: Final = "label_f1_"
_SECTIONS: Final = {
    "label_precision_micro": "findings",
    "place_precision_micro": "places of findings",
    "severity_precision_micro": "severities of findings",
    "distinct_share": "variety and length",
}


def table(evaluation: Evaluation) -> str:
    """Figures by row, columns by column; each interval under or beside its value."""
    return "\n".join(_lines(evaluation))


def _lines(evaluation: Evaluation) -> Iterator[str]:
    about, compared = evaluation.circumstances, evaluation.comparison
    counts = about.counts
    yield f"{about.model.kind} {about.model.name} ({about.model.sha256[:12]})"
    of_studies = f"{counts['films']} films of {counts['studies']} studies"
    together = ", one report a study" if about.by is By.STUDY else ""
    yield f"on {about.corpus}, split {about.split}: {of_studies}{together}"
    left_out = [f"{counts[name]} {name.replace('_', ' ')}" for name in _LEFT_OUT if counts.get(name)]
    if left_out:
        yield f"left out: {', '.join(left_out)}"
    if about.model.targets is not None:
        yield about.model.targets
    yield f"truth of the findings: {_TRUTHS[about.truth]}"
    if about.times is not None:
        yield f"evaluation {about.times} of this run on this split"
    yield ""
    yield _heading("", COLUMNS)
    for name in compared.columns["model"]:
        if name in _SECTIONS:
            yield _SECTIONS[name]
        figures = [compared.columns[column].get(name) for column in COLUMNS]
        yield f"{_row_name(name, compared.support):{_NAME_WIDTH}}" + "".join(map(_cell, figures))
        if about.resamples:
            yield " " * _NAME_WIDTH + "".join(map(_interval, figures))
    yield ""
    yield from _differences(compared, intervals=bool(about.resamples))
    yield ""
    if about.resamples:
        yield f"Under each figure: its 95 % interval, {about.resamples} bootstrap resamples of studies."
    yield "In brackets: films with the finding. A kind that no film shows has no figure."
    yield from _familiar(compared.familiar)
    if compared.without_meteor:
        yield f"METEOR is left out: {compared.without_meteor}"
    if compared.without_places:
        yield f"The places of findings are left out: {compared.without_places}"
    if compared.without_severities:
        yield f"The severities of findings are left out: {compared.without_severities}"
    if "label_f1_micro" not in compared.columns["model"]:
        yield WITHOUT_FINDINGS
    yield about.disclaimer


def _familiar(found: Familiarity) -> Iterator[str]:
    """How much of the split a model can have learned word for word."""
    share = found.films / found.of
    yield f"References that are training reports, word for word: {found.films} of {found.of} ({share:.1%})."
    if 0 < found.films < found.of:
        model, constant = found.bleu_4["model"], found.bleu_4["constant"]
        yield (
            f"  BLEU-4 on those: {model.familiar:.3f}, best constant {constant.familiar:.3f}; "
            f"on the others: {model.others:.3f}, best constant {constant.others:.3f}."
        )


def _differences(compared: Comparison, *, intervals: bool) -> Iterator[str]:
    """What the model has over the best constant, and what it owes to each of its inputs."""
    columns = [*compared.differences]
    yield _heading("model minus ...", columns)
    for name in compared.differences["constant"]:
        if name.startswith(_LABEL_PREFIX) and not name.endswith(("_micro", "_macro")):
            continue  # too many lines; evaluation.json has them
        figures = [compared.differences[column].get(name) for column in columns]
        yield f"{name:{_NAME_WIDTH}}" + "".join(map(_signed, figures))
        if intervals:
            yield " " * _NAME_WIDTH + "".join(map(_interval, figures))


def _heading(name: str, columns: Iterable[str]) -> str:
    return f"{name:{_NAME_WIDTH}}" + "".join(_HEADINGS.get(each, each).rjust(_CELL_WIDTH) for each in columns)


_LEFT_OUT: Final = ("without_findings", "without_image", "without_features", "damaged")
_TRUTHS: Final = {
    "findings.csv": "what was drawn (findings.csv)",
    "labeller": "what the labeller reads in the references",
}


def _row_name(name: str, support: object) -> str:
    kind = name.removeprefix(_LABEL_PREFIX)
    if name.startswith(_LABEL_PREFIX) and isinstance(support, dict) and kind in support:
        return f"  f1 {kind} ({support[kind]})"
    within_section = name.removeprefix("label_").removeprefix("place_").removeprefix("severity_")
    return name if within_section == name else f"  {within_section}"


def _cell(figure: Figure | None) -> str:
    return ("-" if figure is None else _number(figure.value)).rjust(_CELL_WIDTH)


def _signed(figure: Figure | None) -> str:
    text = "-" if figure is None else _number(figure.value)
    return ("+" + text if figure is not None and figure.value > 0 else text).rjust(_CELL_WIDTH)


def _interval(figure: Figure | None) -> str:
    text = "" if figure is None else f"{_number(figure.low)} .. {_number(figure.high)}"
    return text.rjust(_CELL_WIDTH)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
