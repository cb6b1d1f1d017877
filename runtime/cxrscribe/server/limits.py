"""What clients may take of the service: sizes, times, numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cxrscribe.arguments import MOST_AT_ONCE, shown, whole_number
from cxrscribe.errors import InputError
from cxrscribe.json_object import finite_number

MEGABYTE: Final = 1_000_000

MOST_HYPOTHESES: Final = 64
"""Of one request: its beam width, or its samples. More would take the others' time at every step."""
MOST_STEPS: Final = 512
"""Of one request's search, unless the bundle's own settings ask for more."""
MOST_INDICATION_BYTES: Final = 64 << 10
MOST_PARTS: Final = 64
"""Films of one request: as many as a study may have."""


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds. Raises InputError where one isn't above 0, or not whole."""

    body_bytes: int = 64 * MEGABYTE
    """Of the body of one request, whatever it holds."""
    held_bytes: int = 512 * MEGABYTE
    """Of all bodies that are in memory, from the first byte of each until its answer."""
    waiting: int = 256
    """Films and studies that were accepted and have no answer yet."""
    searched: int = 64
    """Of these, how many are searched for at a time."""
    connections: int = 512
    """At a time. The one that has been without a request for longest makes room for a new one."""
    deadline: float = 60.0
    """For the answer, from the moment that the whole body is there."""
    head_seconds: float = 10.0
    """For all headers of a request, from the connection or from the first byte."""
    body_seconds: float = 20.0
    """For a body, and as many seconds more as it takes at `body_rate`."""
    body_rate: float = 256 * 1024.0
    """Bytes a second."""
    idle_seconds: float = 30.0
    """Between two requests of a connection."""
    grace: float = 30.0
    """For the answers to what was accepted, once the service is asked to stop."""

    def __post_init__(self) -> None:
        for name, most in (
            ("body_bytes", None),
            ("held_bytes", None),
            ("waiting", 1_000_000),
            ("searched", MOST_AT_ONCE),
            ("connections", None),
        ):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1, most))
        for name in ("deadline", "head_seconds", "body_seconds", "body_rate", "idle_seconds", "grace"):
            number = finite_number(getattr(self, name))
            if number is None or not 0 < number <= 1e9:
                raise InputError(f"{name} is {shown(getattr(self, name))}; give a number above 0")
            object.__setattr__(self, name, number)


class HeldBytes:
    """How much of bodies is in memory, of all requests together. Of one thread."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def take(self, count: int) -> bool:
        """Whether there is room for so many more; they count then."""
        if self.held + count > self.most:
            return False
        self.held += count
        return True

    def release(self, count: int) -> None:
        """These are gone."""
        self.held -= count
