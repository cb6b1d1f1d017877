"""The loss curves of a run as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cxrscribe_train.fitting.checkpoint import EpochRecord


def draw_curves(history: Sequence[EpochRecord], path: Path) -> None:
    """Write a PNG with training and validation loss and the learning rate over the epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    losses = figure.add_subplot()
    epochs = [record.epoch + 1 for record in history]
    losses.plot(epochs, [record.train_loss for record in history], marker=".", label="training")
    losses.plot(epochs, [record.val_loss for record in history], marker=".", label="validation")
    best = min(history, key=lambda record: record.val_loss)
    losses.axvline(best.epoch + 1, color="grey", linestyle=":", label=f"best: {best.val_loss:.3f}")
    losses.set(xlabel="epoch", ylabel="cross-entropy a token (nat)")
    losses.xaxis.set_major_locator(MaxNLocator(integer=True))
    losses.legend()
    rates = losses.twinx()
    rates.plot(epochs, [record.learning_rate for record in history], color="grey", alpha=0.4)
    rates.set_ylabel("learning rate (grey)")
    figure.savefig(path, dpi=100)
