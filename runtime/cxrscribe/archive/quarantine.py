"""Films that can't be done: why, in one word and in a sentence, and when there are too many of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from cxrscribe.errors import FilmError, InputError, Reason


class QuarantinedError(Exception):
    """One film can't be done. The message doesn't name it. It never leaves this room: a row says it."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def quarantined(error: FilmError) -> QuarantinedError:
    """What the row of a film says that the reporter gave this error for; the film came as bytes."""
    _, _, message = str(error).partition(": ")
    return QuarantinedError(error.reason, message)


class FaultError(Exception):
    """Films can't be scored for now, whichever of them is asked for; what it says names none.

    Their shard is left open, to be scored by the next command.
    """

    kind = ""
    """What tells faults apart that come from another process."""
    what = ""
    remedy = ""


class StorageFaultError(FaultError):
    """The storage of the films fails."""

    kind = "storage"
    what = "the storage of the films failed"
    remedy = "mount it again"


class OutOfResourcesError(FaultError):
    """This machine has no process, thread, open file or memory left, for the moment."""

    kind = "resources"
    what = "this machine lacked processes, open files or memory"
    remedy = "let it have more"


class OtherDocumentsError(FaultError):
    """A shard's structured reports are there without its part, and are others than would be made now."""

    kind = "documents"
    what = "structured reports are there that are others than these"
    remedy = "unless someone else is scoring the shard, remove that file: nothing says what it was made of"


FAULTS: Final[dict[str, type[FaultError]]] = {
    each.kind: each for each in (StorageFaultError, OutOfResourcesError, OtherDocumentsError)
}


def fault_of(error: FilmError) -> OutOfResourcesError | None:
    """The fault that an error of the reporter's is about, where it isn't the film."""
    if error.reason is not Reason.OUT_OF_RESOURCES:
        return None
    return OutOfResourcesError(str(quarantined(error)))


_WATCHED_FILMS: Final = 2000
_FEWEST_QUARANTINED: Final = 200
QUARANTINED_SHARE: Final = 0.2
_FAULTS_IN_A_ROW: Final = 10
_LOST: Final = (Reason.MISSING, Reason.CHANGED, Reason.UNREADABLE)
_LOST_IN_A_ROW: Final = 200


class BrokenCircuitError(InputError):
    """So much goes wrong that it isn't the films: the run stops, for it would only make it worse."""


@dataclass
class Breaker:
    """Watches what becomes of the films of one process, from its start.

    A wrong mount makes a million films missing, and their rows would be there for ever.
    """

    share: float = QUARANTINED_SHARE
    """Of the first 2,000 films, what may be quarantined."""
    films: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    faults: int = 0
    """Shards in a row that had to be left open."""
    lost: int = 0
    """Films in a row that aren't there as they were planned, or can't be read."""

    def film(self, reason: Reason | None) -> None:
        """Count a film. Raises BrokenCircuitError when too many of the first ones have no report."""
        self.films += 1
        if reason is not None:
            self.reasons[reason] += 1
        self.lost = self.lost + 1 if reason in _LOST else 0
        if self.lost >= _LOST_IN_A_ROW and self.share < 1:
            raise BrokenCircuitError(
                f"{self.lost} films in a row are missing, changed or unreadable, so the run stops before "
                "more rows say so for ever; check that the films are where they were, or give "
                "--max-quarantined 1"
            )
        failed = self.reasons.total()
        if (
            self.films <= _WATCHED_FILMS
            and failed >= _FEWEST_QUARANTINED
            and failed > self.share * self.films
        ):
            counts = ", ".join(f"{count} {reason}" for reason, count in self.reasons.most_common())
            raise BrokenCircuitError(
                f"{failed} of the first {self.films} films can't be done ({counts}), so the run stops "
                "before more rows say so for ever; check that the films are where they were, or raise "
                "--max-quarantined"
            )

    def shard_done(self) -> None:
        """Count a shard that was committed."""
        self.faults = 0

    def shard_left(self, fault: FaultError) -> None:
        """Count a shard that was left open. Raises BrokenCircuitError when it was the tenth in a row."""
        self.faults += 1
        if self.faults >= _FAULTS_IN_A_ROW:
            raise BrokenCircuitError(
                f"{fault.what} in {self.faults} shards in a row ({fault}); {fault.remedy}, and give the "
                "same command: what is committed stays"
            )
