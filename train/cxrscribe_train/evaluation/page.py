"""The page of examples: film, truth and report side by side, in one HTML file without any other."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from cxrscribe.errors import FilmError
from cxrscribe.vocabulary import readable
from cxrscribe_train.evaluation.evaluation import WITHOUT_FINDINGS, Evaluation
from cxrscribe_train.evaluation.examples import Example, Examples
from cxrscribe_train.evaluation.metrics.bootstrap import Figure
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet
from cxrscribe_train.evaluation.subject import By, Film
from cxrscribe_train.findings import ONE_SIDE, VARIATIONS, FindingKind, Side

_FILM_SIDE: Final = 360
_SMALL_SIDE: Final = 160
_MOST_OTHERS: Final = 4
_FILM_QUALITY: Final = 85
_HEADLINE: Final = (
    "label_f1_micro",
    "label_f1_macro",
    "place_f1_micro",
    "severity_f1_micro",
    "bleu_4",
    "rouge_l",
    "cider",
    "distinct_share",
)
_TITLES: Final = {
    "constant": "best constant",
    "most_frequent": "most frequent",
    "without_film": "without film",
    "without_text": "without text",
}
_GROUPS: Final = (
    ("best", "Best", "Highest F1 of findings among films that have some.", "Highest ROUGE-L."),
    ("worst", "Worst", "Lowest F1 of findings.", "Lowest ROUGE-L."),
    ("random", "By chance", *["Drawn at random: what to expect."] * 2),
)
_LEGEND: Final = (
    '<p class="legend"><span class="chip hit">✓ stated and true</span>'
    '<span class="chip half">≈ true, its side not stated</span>'
    '<span class="chip missed">− missed</span>'
    '<span class="chip wrong">+ stated, not true</span></p>'
)
_NO_FINDINGS: Final = f'<p class="legend">{escape(WITHOUT_FINDINGS)}</p>'


def page(evaluation: Evaluation, examples: Examples) -> str:
    """The whole HTML page; films are embedded, at most 360 pixels a side."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    about = evaluation.circumstances
    counted = "label_f1_micro" in evaluation.comparison.columns["model"]
    title = f"{about.model.name} on {about.corpus}, split {about.split}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{style}</style></head><body>",
            f'<p class="disclaimer" role="note">{escape(about.disclaimer)}</p>',
            "<main>",
            f"<h1>{escape(about.model.name)}</h1>",
            (
                f'<p class="subtitle">{escape(about.model.kind)} '
                f"<code>{escape(about.model.sha256[:12])}</code>, "
                f"{about.counts['films']} films of {escape(about.corpus)}, split {escape(about.split)}"
                f"{', one report a study' if about.by is By.STUDY else ''}</p>"
            ),
            *([] if about.model.targets is None else [f"<p>{escape(about.model.targets)}</p>"]),
            *_headline(evaluation),
            _LEGEND if counted else _NO_FINDINGS,
            *(
                line
                for name, heading, by_findings, by_words in _GROUPS
                for line in _group(
                    heading, by_findings if counted else by_words, getattr(examples, name), counted=counted
                )
            ),
            "</main>",
            f'<footer class="disclaimer">{escape(about.disclaimer)}</footer>',
            "</body></html>",
            "",
        ]
    )


def _headline(evaluation: Evaluation) -> Iterator[str]:
    compared = evaluation.comparison
    columns, difference = compared.columns, compared.differences["constant"]
    yield '<div class="wide"><table><thead><tr><th scope="col"></th>'
    yield "".join(f'<th scope="col">{escape(_TITLES.get(column, column))}</th>' for column in columns)
    yield '<th scope="col">model − constant</th></tr></thead><tbody>'
    for name in _HEADLINE:
        if name not in columns["model"]:
            continue
        cells = [_cell(figures[name]) for figures in columns.values()]
        cells.append(_cell(difference[name], sign="+") if name in difference else "<td></td>")
        yield f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>'
    yield "</tbody></table></div>"


def _cell(figure: Figure, sign: str = "") -> str:
    return (
        f"<td>{figure.value:{sign}.3f}<small>{figure.low:{sign}.3f} to {figure.high:{sign}.3f}</small></td>"
    )


def _group(heading: str, text: str, examples: Sequence[Example], *, counted: bool) -> Iterator[str]:
    yield f'<section><h2>{escape(heading)}</h2><p class="subtitle">{escape(text)}</p>'
    for example in examples:
        yield from _card(example, counted=counted)
    yield "</section>"


def _card(example: Example, *, counted: bool) -> Iterator[str]:
    """One film; ticks and F1 where findings are `counted`, for none read is not none there."""
    film = example.written.film
    yield "<article>"
    yield f"<figure>{_picture(film.path)}<figcaption>{escape(_caption(film))}</figcaption>"
    if film.others:
        pictures = "".join(
            f"<div>{_picture(other.path, _SMALL_SIDE)}"
            f"<small>{escape(other.view or 'another view')}</small></div>"
            for other in film.others[:_MOST_OTHERS]
        )
        yield f'<div class="others">{pictures}</div>'
    yield "</figure>"
    yield '<div class="texts">'
    given = [("Indication", film.indication), ("Comparison", film.comparison)]
    if any(text for _, text in given):
        told = "".join(f"<b>{name}:</b> {escape(text)} " for name, text in given if text)
        yield f'<h3>Told to the radiologist</h3><p class="told">{told}</p>'
    if film.drawn:
        yield f"<h3>Drawn</h3><p>{escape('; '.join(film.drawn))}</p>"
    yield f"<h3>Reference</h3><p>{escape(readable(film.reference))}</p>"
    yield f'<h3>Report</h3><p class="report">{escape(readable(example.written.report))}</p>'
    f1 = ""
    if counted:
        chips = "".join(_chips(film.truth, example.written.stated))
        yield f'<p class="chips">{chips or "<span class=chip>no finding, none stated</span>"}</p>'
        f1 = f"F1 of findings {example.label_f1:.2f} · "
    yield f'<p class="scores">{f1}ROUGE-L {example.rouge_l:.2f}</p></div></article>'


def _caption(film: Film) -> str:
    if film.together:
        return f"{film.study_id}, {len(film.pooled)} films"
    return f"{film.image_id}, {film.view}" if film.view else film.image_id


def _chips(true: FindingSet, stated: FindingSet) -> Iterator[str]:
    """One chip for each finding, and for each side of those that have sides: hits, misses, errors."""
    hits: list[str] = []
    others: list[str] = []
    for kind in FindingKind:
        if kind in true.kinds and kind in stated.kinds:
            right, wrong = _by_side(kind, _sides(kind, true), _sides(kind, stated))
            hits += right
            others += wrong
        elif kind in true.kinds:
            others += [_chip("missed", "−", kind, side) for side in _sides(kind, true) or [Side.NONE]]
        elif kind in stated.kinds:
            others += [_chip("wrong", "+", kind, side) for side in _sides(kind, stated) or [Side.NONE]]
    yield from (*hits, *sorted(others))


def _by_side(kind: FindingKind, true: Sequence[Side], stated: Sequence[Side]) -> tuple[list[str], list[str]]:
    """The chips of a finding that is there and stated: those that are right, and those that aren't."""
    if not true:
        return [_chip("hit", "✓", kind)], []
    if not stated:
        return [_chip("half", "≈", kind, *true)], []
    right = [_chip("hit", "✓", kind, side) for side in true if side in stated]
    wrong = [_chip("missed", "−", kind, side) for side in true if side not in stated]
    return right, [*wrong, *(_chip("wrong", "+", kind, side) for side in stated if side not in true)]


def _sides(kind: FindingKind, findings: FindingSet) -> list[Side]:
    """The sides of a kind that can choose one; none where they aren't known or stated."""
    if len(VARIATIONS[kind].sides) < 2 or findings.places is None:
        return []
    return [side for side in ONE_SIDE if (kind, side) in findings.places]


def _chip(manner: str, sign: str, kind: FindingKind, *sides: Side) -> str:
    where = " and ".join(filter(None, sides))
    text = str(kind).replace("_", " ") + (f", {where}" if where else "")
    return f'<span class="chip {manner}">{sign} {escape(text)}</span>'


def _picture(path: Path | None, side: int = _FILM_SIDE) -> str:
    from PIL import Image

    from cxrscribe.films.preprocess import Preprocessing

    if path is None:
        return '<div class="no-film">no image file</div>'
    try:
        # As a corpus is read: of any modality, and in a process of its own where a decoder could crash.
        picture = Image.fromarray(Preprocessing(side, side).read(path, modalities=()))
    except FilmError:
        return '<div class="no-film">film can\'t be read</div>'
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_FILM_QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="chest film" src="data:image/jpeg;base64,{data}">'
