"""How a precision is named: one for all of a model, or one for the encoder and one for the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cxrscribe.bundle.files import FP32, PRECISION_NAME
from cxrscribe.errors import BundleError

FP16: Final = "fp16"
INT8: Final = "int8"
BF16: Final = "bf16"
"""The fp32 encoder, computed in bfloat16 by an engine that can: without graphs of its own, or a decoder."""
FASTEST: Final = "fastest"
"""What a user asks for who leaves the choice to `cxrscribe.load`. No precision may be called so."""
_AND: Final = "+"


@dataclass(frozen=True)
class PrecisionPair:
    """The precisions of encoder and decoder.

    >>> PrecisionPair.parse("int8+fp32")
    PrecisionPair(encoder='int8', decoder='fp32')
    >>> str(PrecisionPair("bf16", "fp32"))
    'bf16'
    """

    encoder: str
    decoder: str

    @classmethod
    def parse(cls, name: str) -> PrecisionPair:
        """Of `int8`, which is both; of `int8+fp32`, encoder and decoder; of `bf16`, whose decoder is fp32.

        Whether a bundle has graphs of these is another question. Raises BundleError for what can't be a name.
        """
        encoder, mixed, decoder = name.partition(_AND)
        pair = cls(encoder, decoder if mixed else FP32 if encoder == BF16 else encoder)
        if not all(map(PRECISION_NAME.fullmatch, (pair.encoder, pair.decoder))):
            raise BundleError(
                f"precision {name!r} is not a name like 'int8', or two, of encoder and decoder, like "
                "'int8+fp32'"
            )
        if pair.decoder == BF16:
            raise BundleError(f"precision {name!r} can't be: no decoder computes in {BF16}; take 'bf16'")
        return pair

    @property
    def encoder_graphs(self) -> str:
        """Precision of the graph that the encoder is: another one than it computes in for bf16."""
        return FP32 if self.encoder == BF16 else self.encoder

    @property
    def graphs(self) -> frozenset[str]:
        """Precisions of the graphs that a bundle must have for it."""
        return frozenset((self.encoder_graphs, self.decoder))

    def __str__(self) -> str:
        """The shortest name that `parse` reads as the same."""
        whole = self.encoder == self.decoder or (self.encoder, self.decoder) == (BF16, FP32)
        return self.encoder if whole else f"{self.encoder}{_AND}{self.decoder}"


PLAIN: Final = PrecisionPair(FP32, FP32)
"""What the others are held against."""
