"""What trials of beam settings leave for people: a table and a plot of quality and time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from cxrscribe.settings import BeamSettings
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.tuning.decoding import FIGURES, Tried

TABLE_FILE: Final = "decoding.csv"
PLOT_FILE: Final = "decoding.png"
SETTINGS: Final = ("beam_width", "length_penalty", "min_length", "no_repeat_ngram")
_MOST_LINES: Final = 6


def write_decoding(tried: Sequence[Tried], by: str, out: Path) -> None:
    """Write `decoding.csv` and `decoding.png`."""
    write_atomically(out / TABLE_FILE, _table(tried).encode())
    draw_decoding(tried, by, out / PLOT_FILE)


def decoding_lines(tried: Sequence[Tried], by: str, most: int = 10) -> Iterator[str]:
    """The best combinations, one a line under a heading."""
    figures = [name for name in FIGURES if name in tried[0].figures]
    yield "  ".join([*(name for name in SETTINGS), *figures, "reports/s"])
    for one in sorted(tried, key=lambda one: -one.figures[by])[:most]:
        cells = [f"{getattr(one.settings, name):>{len(name)}}" for name in SETTINGS]
        cells += [f"{one.figures[name]:>{len(name)}.3f}" for name in figures]
        yield "  ".join([*cells, f"{one.reports_per_second:>9.1f}"])


def as_options(settings: BeamSettings) -> list[str]:
    """The command-line options that give these settings."""
    return [
        part for name in SETTINGS for part in (f"--{name.replace('_', '-')}", str(getattr(settings, name)))
    ]


def draw_decoding(tried: Sequence[Tried], by: str, path: Path, title: str = "") -> None:
    """Write a PNG with quality and speed against the beam width, a line for each of the other settings.

    Of more than six lines the best are drawn, by their best point.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines: dict[tuple[Any, ...], list[Tried]] = {}
    for one in sorted(tried, key=lambda one: one.settings.beam_width):
        lines.setdefault(tuple(getattr(one.settings, name) for name in SETTINGS[1:]), []).append(one)
    best = sorted(lines, key=lambda key: -max(one.figures[by] for one in lines[key]))[:_MOST_LINES]
    widths = sorted({one.settings.beam_width for one in tried})
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    quality, speed = figure.subplots(1, 2)
    for key in best:
        repeats = f"no {key[2]} words twice" if key[2] else "repeats allowed"
        label = f"length penalty {key[0]:g}, min length {key[1]}, {repeats}"
        quality.plot(
            [one.settings.beam_width for one in lines[key]],
            [one.figures[by] for one in lines[key]],
            marker="o",
            label=label,
        )
    quality.set(xlabel="beam width", ylabel=by)
    quality.legend(fontsize="x-small")
    of_width = [
        median(one.reports_per_second for one in tried if one.settings.beam_width == width)
        for width in widths
    ]
    speed.plot(widths, of_width, marker="o", color="black")
    speed.set(xlabel="beam width", ylabel="reports a second (median)")
    speed.set_ylim(bottom=0)
    for panel in (quality, speed):
        panel.set_xscale("log")
        panel.set_xticks(widths, [str(width) for width in widths])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    if title:
        figure.suptitle(title, fontsize="medium")
    figure.savefig(path, dpi=100)


def _table(tried: Sequence[Tried]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*SETTINGS, *FIGURES, "reports_per_second"])
    for one in tried:
        figures = [one.figures.get(name, "") for name in FIGURES]
        settings = [getattr(one.settings, name) for name in SETTINGS]
        writer.writerow([*settings, *figures, round(one.reports_per_second, 2)])
    return text.getvalue()
