"""What a search for settings leaves for people: a table, a plot, and the winner's config."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.run import CONFIG_FILE
from cxrscribe_train.tuning.space import Dimension
from cxrscribe_train.tuning.trials import SearchResult, Trial

TABLE_FILE: Final = "trials.csv"
BEST_FILE: Final = "best.toml"
PLOT_FILE: Final = "trials.png"
_COLORS: Final = {"finished": "tab:blue", "pruned": "tab:grey", "diverged": "tab:red"}


def write_results(result: SearchResult, space: Sequence[Dimension], out: Path) -> None:
    """Write `trials.csv`, `trials.png`, and `best.toml` where a trial has finished."""
    write_atomically(out / TABLE_FILE, _table(result, space).encode())
    if result.best is not None:
        shutil.copyfile(result.best.folder / CONFIG_FILE, out / BEST_FILE)
    draw_trials(result, space, out / PLOT_FILE)


def table_lines(result: SearchResult, space: Sequence[Dimension], most: int = 10) -> Iterator[str]:
    """The best trials, one a line under a heading; settings in the order of the space."""
    names = [dimension.name for dimension in space]
    yield f"{'trial':>5}  {'val loss':>8}  {'state':8}  {'epochs':>6}  " + "  ".join(names)
    for trial in _ranked(result)[:most]:
        values = "  ".join(f"{_shown(trial.settings[name]):>{len(name)}}" for name in names)
        loss = "-" if trial.val_loss is None else f"{trial.val_loss:.4f}"
        yield f"{trial.number:>5}  {loss:>8}  {trial.state:8}  {trial.epochs:>6}  {values}"


def draw_trials(result: SearchResult, space: Sequence[Dimension], path: Path) -> None:
    """Write a PNG: the losses in their order with the best so far, and against each setting."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    trials = [trial for trial in result.trials if trial.val_loss is not None]
    if not trials:
        return
    columns = 3
    rows = -(-(1 + len(space)) // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(rows, columns, squeeze=False).ravel()
    _scatter(panels[0], trials, [trial.number for trial in trials])
    finished = [trial for trial in trials if trial.state == "finished"]
    best = [min(other.val_loss or 0.0 for other in finished[: end + 1]) for end in range(len(finished))]
    panels[0].step(
        [trial.number for trial in finished], best, where="post", color="black", label="best so far"
    )
    panels[0].set(xlabel="trial", ylabel="validation loss (nat a token)")
    panels[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(fontsize="small")
    for panel, dimension in zip(panels[1:], space, strict=False):
        values = [trial.settings[dimension.name] for trial in trials]
        if dimension.choices:
            places = {value: place for place, value in enumerate(dimension.choices)}
            _scatter(panel, trials, [places[value] for value in values])
            panel.set_xticks(range(len(places)), [str(value) for value in places])
            panel.set_xlim(-0.5, len(places) - 0.5)
        else:
            _scatter(panel, trials, values)
            panel.set_xscale("log" if dimension.log else "linear")
        panel.set(xlabel=f"{dimension.section}.{dimension.name}")
    for panel in panels[1 + len(space) :]:
        panel.set_axis_off()
    # Trials that fell behind reach far up: the plot is of those that may win.
    losses = sorted(trial.val_loss or 0.0 for trial in trials)
    low, high = losses[0], losses[min(len(losses) - 1, int(0.9 * len(losses)))]
    for panel in panels[: 1 + len(space)]:
        panel.set_ylim(low - 0.05 * (high - low or 1.0), high + 0.05 * (high - low or 1.0))
    figure.savefig(path, dpi=100)


def _scatter(panel: Any, trials: Sequence[Trial], places: Sequence[Any]) -> None:
    for state, color in _COLORS.items():
        chosen = [
            (place, trial.val_loss)
            for place, trial in zip(places, trials, strict=True)
            if trial.state == state
        ]
        if chosen:
            panel.scatter(*zip(*chosen, strict=True), s=18, color=color, label=state, zorder=3)


def _table(result: SearchResult, space: Sequence[Dimension]) -> str:
    names = [f"{dimension.section}.{dimension.name}" for dimension in space]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "val_loss", "epochs", "seconds", *names])
    for trial in result.trials:
        loss = "" if trial.val_loss is None else trial.val_loss
        settings = [trial.settings[dimension.name] for dimension in space]
        writer.writerow([trial.number, trial.state, loss, trial.epochs, trial.seconds, *settings])
    return text.getvalue()


def _ranked(result: SearchResult) -> list[Trial]:
    """Finished ones first, then by loss."""

    def key(trial: Trial) -> tuple[bool, float]:
        return trial.state != "finished", float("inf") if trial.val_loss is None else trial.val_loss

    return sorted(result.trials, key=key)


def _shown(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
