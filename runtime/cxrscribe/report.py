"""What a search gives back for one film."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Report:
    """A FINDINGS paragraph and how sure the model was of it. A draft, to be reviewed by a radiologist."""

    text: str
    """The paragraph for people."""
    tokens: tuple[int, ...]
    """Word ids, without special tokens; `reporter.vocabulary.words` says which words they are."""
    log_prob: float
    """Sum of the tokens' natural log-probabilities, `<end>` included, added up in float32."""
    score: float
    """`log_prob / length ** length_penalty`, by which results are ranked; of a consensus, how well the report
    agrees with the other samples, from 0 to 1."""
    token_log_probs: tuple[float, ...]
    """One log-probability a token, and that of `<end>` at the end if the report is finished."""
    finished: bool
    """Whether the model ended the report itself; False where `max_length` cut it."""
    alternatives: tuple[Report, ...] = ()
    """Results 2 to n_best of the same search, or other samples, best first; they have no alternatives
    themselves. Samples may be equal."""
    display: str = field(default="", compare=False)
    """How the film's samples became grey levels: `as stored`, `full range`, `range LEAST LARGEST`,
    `window CENTER WIDTH`, `LUT` or `palette`. Empty for alternatives, and where there was no film but
    features."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values, alternatives included."""
        return {
            "text": self.text,
            "tokens": list(self.tokens),
            "log_prob": self.log_prob,
            "score": self.score,
            "token_log_probs": list(self.token_log_probs),
            "finished": self.finished,
            "alternatives": [alternative.to_json() for alternative in self.alternatives],
            "display": self.display,
        }
