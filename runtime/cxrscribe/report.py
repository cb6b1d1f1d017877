"""What a search gives back for one film, or for the films of one study."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cxrscribe.errors import FilmError


@dataclass(frozen=True)
class LeftOut:
    """A film of a study that the study's report was made without."""

    place: int
    """In the study's films, from 0."""
    error: FilmError
    """Why; its message names the film."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"place": self.place, "error": str(self.error)}


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
    features. Of a study, those of the films that were read, in order, parted by `; `."""
    indication_from: str | None = field(default=None, compare=False)
    """Where what the model was told of the patient came from: `given` with the call, or `dicom:ATTRIBUTE` of
    the film, of a study the first one that says anything. None where it was told nothing, and for
    alternatives."""
    left_out: tuple[LeftOut, ...] = field(default=(), compare=False)
    """Of a study: the films that couldn't be read."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values, alternatives included; `indication_from` and `left_out` only if any."""
        told = {} if self.indication_from is None else {"indication_from": self.indication_from}
        left_out = {"left_out": [film.to_json() for film in self.left_out]} if self.left_out else {}
        return {
            "text": self.text,
            "tokens": list(self.tokens),
            "log_prob": self.log_prob,
            "score": self.score,
            "token_log_probs": list(self.token_log_probs),
            "finished": self.finished,
            "alternatives": [alternative.to_json() for alternative in self.alternatives],
            "display": self.display,
            **told,
            **left_out,
        }


REPORT_FIELDS: Final = tuple(
    name for name in Report.__dataclass_fields__ if name not in {"indication_from", "left_out"}
)
"""What every report's JSON has."""
