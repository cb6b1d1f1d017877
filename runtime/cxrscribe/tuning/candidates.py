"""What may be taken as the fastest: devices that are here, at precisions whose cost in words is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_cost import Precision
from cxrscribe.bundle.precision_pair import BF16, FP16, INT8, PLAIN, PrecisionPair
from cxrscribe.json_object import JsonObject
from cxrscribe.sessions.device import GPU_NAMES, OPENVINO, decoder_device


@dataclass(frozen=True)
class Candidate:
    """A device, and the precisions of encoder and decoder on it."""

    device: str
    precision: PrecisionPair

    @property
    def encoder(self) -> str:
        """What runs the encoder, at which precision: `openvino int8`."""
        return f"{self.device} {self.precision.encoder}"

    @property
    def decoder(self) -> str:
        """The same of the decoder, which some devices leave to another one."""
        return f"{decoder_device(self.device)} {self.precision.decoder}"

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values: what `load` takes."""
        return {"device": self.device, "precision": str(self.precision)}

    @classmethod
    def from_json(cls, fields: JsonObject) -> Candidate:
        """Read what `to_json` gave. Raises the document's error."""
        return fields.make(
            cls, device=fields.text("device"), precision=PrecisionPair.parse(fields.text("precision"))
        )

    def __str__(self) -> str:
        """`openvino int8+fp32`."""
        return f"{self.device} {self.precision}"


@dataclass(frozen=True)
class Refused:
    """A combination that would run here, and why it may not be taken."""

    candidate: Candidate
    reason: str

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"candidate": self.candidate.to_json(), "reason": self.reason}

    @classmethod
    def from_json(cls, fields: JsonObject) -> Refused:
        """Read what `to_json` gave. Raises the document's error."""
        candidate = Candidate.from_json(fields.object("candidate"))
        return fields.make(cls, candidate=candidate, reason=fields.text("reason"))


def candidates(
    manifest: Manifest, devices: Sequence[str], costs: Sequence[Precision], *, has_bf16: bool
) -> tuple[list[Candidate], list[Refused]]:
    """Those that may be taken, fp32 of each device among them, and those that may not.

    `devices`: names of those that are here. `costs`: what was measured of this bundle's words, by its export
    and on this machine. `has_bf16`: whether OpenVINO computes in bfloat16 here.
    """
    allowed: list[Candidate] = []
    refused: list[Refused] = []
    known = {(device, cost.name): cost for cost in costs for device in cost.devices}
    for device in devices:
        for precision in _pairs(manifest, device, has_bf16=has_bf16):
            candidate = Candidate(device, precision)
            cost = known.get((device, str(precision)))
            if precision == PLAIN:
                allowed.append(candidate)
            elif cost is None:
                refused.append(Refused(candidate, "nobody has measured what it costs in words"))
            elif beyond := cost.beyond_limits:
                refused.append(Refused(candidate, "; ".join(beyond)))
            else:
                allowed.append(candidate)
    return allowed, refused


def _pairs(manifest: Manifest, device: str, *, has_bf16: bool) -> Iterator[PrecisionPair]:
    """All that could run on a device, fp32 first."""
    useless = INT8 if device in GPU_NAMES else FP16  # which gains nothing there
    graphs = [name for name in manifest.graph_precisions if name != useless]
    encoders = [*graphs, *([BF16] if has_bf16 and device == OPENVINO.name else [])]
    yield from (PrecisionPair(encoder, decoder) for encoder in encoders for decoder in graphs)
