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
    sentences = [DRAWINGS_DISCLAIMER] if drawn else []
    if own_words and own_words.strip():
        sentences.append(own_words.strip())
    return with_disclaimer(" ".join(sentences))


def with_disclaimer(words: str) -> str:
    """`words` behind the general disclaimer that no report goes out without, unless they hold it already."""
    return words if DISCLAIMER in words else f"{DISCLAIMER} {words}".strip()
