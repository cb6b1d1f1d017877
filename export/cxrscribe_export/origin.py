"""Where a bundle's weights come from."""

from __future__ import annotations

from typing import Final

from cxrscribe.bundle.evidence import Provenance
from cxrscribe_train.run import DECODER_FILE, ENCODER_FILE, Run
from cxrscribe_train.weights import sha256_of

LICENCE_NOT_STATED: Final = "not stated: ask whoever trained the model before you pass it on"


def provenance_of(run: Run) -> Provenance:
    """What the run knows of its weights, in words, and their checksums."""
    architecture, corpus = run.architecture, run.corpus
    options = ", ".join(f"{name} {value}" for name, value in architecture.backbone_options.items())
    films = "drawings of chest films (phantoms)" if corpus.drawn else "chest films"
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
