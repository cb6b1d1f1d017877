"""Where a bundle's weights come from, and what its reports have to say because of that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cxrscribe.disclaimer import DISCLAIMER
from cxrscribe.errors import InputError
from cxrscribe.manifest import Provenance, sha256_of
from cxrscribe_train.corpus.summary import SUMMARY_FILE
from cxrscribe_train.run import DECODER_FILE, ENCODER_FILE, Run

DRAWINGS_DISCLAIMER: Final = (
    "The model was trained on drawings of chest films, not on patients: it knows nothing about patients."
)
LICENCE_NOT_STATED: Final = "not stated: ask whoever trained the model before you pass it on"

_PHANTOM: Final = "phantom"
"""The field of summary.json that only a corpus of drawn films has."""


def provenance_of(run: Run, *, drawn: bool) -> Provenance:
    """What the run knows of its weights, in words, and their checksums.

    Args:
        run: the run that is exported.
        drawn: whether it was trained on drawings.
    """
    architecture, corpus = run.architecture, run.corpus
    options = ", ".join(f"{name} {value}" for name, value in architecture.backbone_options.items())
    films = "drawings of chest films (phantoms)" if drawn else "chest films"
    description = (
        f"Trained by `cxrscribe train` on {corpus.train} {films}, validated on {corpus.val}; epoch "
        f"{run.best.epoch + 1} with a validation loss of {run.best.val_loss:.4f} a token. Backbone "
        f"{architecture.backbone}{f' ({options})' if options else ''}, "
        f"{'trained too' if run.config.end_to_end else 'not trained'}, its weights from {run.weights}. "
        f"Seed {run.config.fit.seed}."
    )
    return Provenance(
        description, {name: sha256_of(run.path / name) for name in (ENCODER_FILE, DECODER_FILE)}
    )


def is_drawn(corpus: Path) -> bool:
    """Whether the films of a corpus are drawings, as its summary.json says.

    Raises:
        InputError: there is no summary.json, or it isn't one.
    """
    path = corpus / SUMMARY_FILE
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"no {SUMMARY_FILE} in {corpus}, so that it can't be told whether its films are drawings: make "
            "the corpus again with `cxrscribe corpus`"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read ({error}); make it again with `cxrscribe corpus`") from None
    return isinstance(summary, Mapping) and _PHANTOM in summary


def disclaimer_of(own_words: str | None, *, drawn: bool) -> str:
    """What every report has to say of itself: the general disclaimer always, `own_words` after it."""
    sentences = [DISCLAIMER]
    if drawn:
        sentences.append(DRAWINGS_DISCLAIMER)
    if own_words and own_words.strip():
        sentences.append(own_words.strip())
    return " ".join(sentences)
