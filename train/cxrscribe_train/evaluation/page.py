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
from cxrscribe_train.evaluation.evaluation import COLUMNS, Evaluation
from cxrscribe_train.evaluation.examples import Example, Examples
from cxrscribe_train.evaluation.metrics.labels import LABELS

_FILM_SIDE: Final = 360
_FILM_QUALITY: Final = 85
_HEADLINE: Final = (
    "label_f1_micro",
    "label_f1_macro",
    "place_f1_micro",
    "bleu_4",
    "rouge_l",
    "cider",
    "distinct_share",
)
_GROUPS: Final = (
    ("best", "Best", "Highest F1 of findings among films that have some."),
    ("worst", "Worst", "Lowest F1 of findings."),
    ("random", "By chance", "Drawn at random: what to expect."),
)


def page(evaluation: Evaluation, examples: Examples) -> str:
    """The whole HTML page; films are embedded, at most 360 pixels a side."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    about = evaluation.circumstances
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
                f"{about.counts['films']} films of {escape(about.corpus)}, split {escape(about.split)}</p>"
            ),
            *_headline(evaluation),
            (
                '<p class="legend"><span class="chip hit">✓ stated and true</span>'
                '<span class="chip missed">− missed</span>'
                '<span class="chip wrong">+ stated, not true</span></p>'
            ),
            *(
                line
                for name, heading, text in _GROUPS
                for line in _group(heading, text, getattr(examples, name))
            ),
            "</main>",
            f'<footer class="disclaimer">{escape(about.disclaimer)}</footer>',
            "</body></html>",
            "",
        ]
    )


def _headline(evaluation: Evaluation) -> Iterator[str]:
    columns = evaluation.comparison.columns
    yield '<table><thead><tr><th scope="col"></th>'
    yield "".join(f'<th scope="col">{escape(column.replace("_", " "))}</th>' for column in COLUMNS)
    yield "</tr></thead><tbody>"
    for name in _HEADLINE:
        if name not in columns["model"]:
            continue
        cells = (
            f"<td>{figures[name].value:.3f}"
            f"<small>{figures[name].low:.3f} to {figures[name].high:.3f}</small></td>"
            for figures in (columns[column] for column in COLUMNS)
        )
        yield f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>'
    yield "</tbody></table>"


def _group(heading: str, text: str, examples: Sequence[Example]) -> Iterator[str]:
    yield f'<section><h2>{escape(heading)}</h2><p class="subtitle">{escape(text)}</p>'
    for example in examples:
        yield from _card(example)
    yield "</section>"


def _card(example: Example) -> Iterator[str]:
    film = example.written.film
    true, stated = (LABELS.names(findings) for findings in (film.truth, example.written.stated))
    yield "<article>"
    yield f"<figure>{_picture(film.path)}<figcaption>{escape(film.image_id)}</figcaption></figure>"
    yield '<div class="texts">'
    yield f"<h3>Reference</h3><p>{escape(readable(film.reference))}</p>"
    yield f'<h3>Report</h3><p class="report">{escape(readable(example.written.report))}</p>'
    chips = [
        *(_chip("hit", "✓", label) for label in true if label in stated),
        *(_chip("missed", "−", label) for label in true if label not in stated),
        *(_chip("wrong", "+", label) for label in stated if label not in true),
    ]
    yield f'<p class="chips">{"".join(chips) or "<span class=chip>no finding, none stated</span>"}</p>'
    yield (
        f'<p class="scores">F1 of findings {example.label_f1:.2f} · ROUGE-L {example.rouge_l:.2f}</p>'
        "</div></article>"
    )


def _chip(kind: str, sign: str, label: str) -> str:
    return f'<span class="chip {kind}">{sign} {escape(label.replace("_", " "))}</span>'


def _picture(path: Path | None) -> str:
    from PIL import Image

    from cxrscribe.films.preprocess import Preprocessing

    if path is None:
        return '<div class="no-film">no image file</div>'
    try:
        # As a corpus is read: of any modality, and in a process of its own where a decoder could crash.
        picture = Image.fromarray(Preprocessing(_FILM_SIDE, _FILM_SIDE).read(path, modalities=()))
    except FilmError:
        return '<div class="no-film">film can\'t be read</div>'
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_FILM_QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="chest film" src="data:image/jpeg;base64,{data}">'
