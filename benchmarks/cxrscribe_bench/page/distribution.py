"""How samples are spread: a row with their density, their range, and p50, p90 and p99 marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_bench.page.bars import axis, chart, row
from cxrscribe_bench.page.markup import Markup, joined, markup
from cxrscribe_bench.page.scale import Scale, spread_scale
from cxrscribe_bench.results.figures import duration
from cxrscribe_bench.results.samples import PERCENTILES

_BINS: Final = 240
_SMOOTHED: Final = 1.6
"""Standard deviation of the kernel that smooths the density, in bins."""
_FEW: Final = 24
"""Samples; fewer are drawn as they are, as they have no shape."""


@dataclass(frozen=True)
class Distribution:
    """Samples of one thing."""

    label: str
    tag: str
    seconds: Sequence[float]
    tone: str


def distribution_chart(alt: str, distributions: Sequence[Distribution]) -> Markup:
    """One row each, on a common scale: however many samples there are, a row takes as much of the page."""
    arrays = [np.asarray(each.seconds, np.float64) for each in distributions]
    scale = spread_scale((bound for array in arrays for bound in (array.min(), array.max())), 1.06, 4.0)
    head = row(
        "",
        "",
        Markup(),
        joined(markup("<span>{mark}</span>", mark=f"p{each}") for each in PERCENTILES),
        "",
        "head",
    )
    rows = (_row(each, array, scale) for each, array in zip(distributions, arrays, strict=True))
    return chart(alt, joined([head, *rows, axis(scale, duration)]), "spreads")


def _row(distribution: Distribution, array: NDArray[np.float64], scale: Scale) -> Markup:
    marks = [float(np.percentile(array, each)) for each in PERCENTILES]
    places = [scale.place(each) for each in marks]
    low, high = scale.place(float(array.min())), scale.place(float(array.max()))
    lines = [
        Markup(f'<i class="line" style="left:{100 * scale.place(tick):.2f}%"></i>') for tick in scale.ticks()
    ]
    shape = _dots(array, scale) if len(array) < _FEW else _ridge(array, scale)
    stems = [
        Markup(f'<i class="mark p{percent}" style="left:{100 * place:.2f}%"></i>')
        for percent, place in zip(PERCENTILES, places, strict=True)
    ]
    reach = Markup(f'<i class="range" style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></i>')
    figures = joined(markup("<span>{value}</span>", value=duration(value)) for value in marks)
    return row(
        distribution.label,
        distribution.tag,
        joined([*lines, shape, reach, *stems]),
        figures,
        "",
        f"spread {distribution.tone}",
    )


def _ridge(array: NDArray[np.float64], scale: Scale) -> Markup:
    """The density along the axis, its peak as high as the row."""
    places = [scale.place(float(value)) for value in array]
    counts = np.histogram(places, _BINS, (0.0, 1.0))[0].astype(np.float64)
    reach = np.arange(-6, 7)
    kernel = np.exp(-0.5 * (reach / _SMOOTHED) ** 2)
    density = np.convolve(counts, kernel, "same")
    density /= density.max()
    # Where nothing is, nothing is drawn: that keeps the page small.
    (filled,) = np.nonzero(density > 0.002)
    first, last = int(filled[0]), int(filled[-1])
    points = " ".join(f"{place}.5,{1 - density[place]:.3f}" for place in range(first, last + 1))
    return markup(
        '<svg class="ridge" viewBox="0 0 {bins} 1" preserveAspectRatio="none" aria-hidden="true">'
        '<path d="M{first}.5,1 L{points} L{last}.5,1Z"/></svg>',
        bins=_BINS,
        first=first,
        points=points,
        last=last,
    )


def _dots(array: NDArray[np.float64], scale: Scale) -> Markup:
    return joined(
        Markup(f'<i class="sample" style="left:{100 * scale.place(float(value)):.2f}%"></i>')
        for value in array
    )
