"""What the work of some calls amounted to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Literal

Stage = Literal["read", "encode", "decode"]


@dataclass
class DecodingStats:
    """Counts and times; a call that is given one adds to it, so one object can sum up many calls.

    Not for two threads at once: give each its own.
    """

    encoder: str = ""
    """What ran the encoder, at which precision: `openvino int8`. Of the last call; empty before any."""
    decoder: str = ""
    """The same of the decoder."""
    films: int = 0
    """Films read, or tried to."""
    film_errors: int = 0
    """Films that could not be read."""
    images: int = 0
    """Searches done."""
    steps: int = 0
    """Calls of the decoder's step, each for all images then searched for."""
    rows: int = 0
    """Hypothesis rows that these calls computed."""
    image_steps: int = 0
    """Steps of each search, summed over all searches done."""
    steps_saved: int = 0
    """Steps that these searches would have gone on for up to their max_length, had they not stopped early."""
    words: int = 0
    """Words in the best report of each search."""
    read_seconds: float = 0.0
    """Time spent waiting for films: reading, decoding and resizing, as far as nothing else hid it."""
    encode_seconds: float = 0.0
    """Time spent in the encoder."""
    decode_seconds: float = 0.0
    """Time spent in beam search: the decoder's network, and Python."""
    decoder_seconds: float = 0.0
    """The part of decode_seconds that the decoder's network took: initial states and steps."""

    @property
    def python_seconds(self) -> float:
        """The rest of decode_seconds: what the search costs beside the network."""
        return self.decode_seconds - self.decoder_seconds

    @property
    def rows_per_step(self) -> float:
        """Hypothesis rows in a call of the decoder's step, on average; 0 where there was none."""
        return self.rows / self.steps if self.steps else 0.0

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Add the seconds that the `with` block takes to `<stage>_seconds`, also where it raises."""
        started = perf_counter()
        try:
            yield
        finally:
            name = f"{stage}_seconds"
            setattr(self, name, getattr(self, name) + perf_counter() - started)

    def to_json(self) -> dict[str, float | str]:
        """The fields as JSON values, and what follows from them."""
        return {
            **asdict(self),
            "python_seconds": self.python_seconds,
            "rows_per_step": self.rows_per_step,
        }
