"""What a search has found for one image."""

from __future__ import annotations

from typing import NamedTuple


class Hypothesis(NamedTuple):
    """A word sequence. Rule 5 of the search says how finished and unfinished ones are ranked."""

    words: list[int]
    """Ids, without `<end>`."""
    token_log_probs: list[float]
    """Natural log-probability of each word, and of `<end>` where it is finished."""
    log_prob: float
    """Their sum, added one after the other in float32."""
    score: float
    """`log_prob / length ** length_penalty`."""
    finished: bool
    """Whether it ends with `<end>`."""
