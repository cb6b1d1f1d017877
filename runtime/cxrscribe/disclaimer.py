"""What every report says of itself wherever it leaves the system."""

from __future__ import annotations

DISCLAIMER = "Draft text made by a computer program. Not for diagnostic use. To be reviewed by a radiologist."

DRAWINGS_DISCLAIMER = (
    "The model was trained on drawings of chest films, not on patients: it knows nothing about patients."
)


def disclaimer_of(own_words: str | None = None, *, drawn: bool) -> str:
    """What the reports of a model have to say: the general disclaimer always, `own_words` last.

    Args:
        own_words: what whoever trained the model adds.
        drawn: whether it was trained on drawings.
    """
    sentences = [DISCLAIMER]
    if drawn:
        sentences.append(DRAWINGS_DISCLAIMER)
    if own_words and own_words.strip():
        sentences.append(own_words.strip())
    return " ".join(sentences)
