"""What `precision="fastest"` takes: chosen by a trial on this machine, whose outcome is kept in the cache."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.files import FP32, sha256_of
from cxrscribe.bundle.manifest import MANIFEST_NAME
from cxrscribe.bundle.precision_cost import Precision
from cxrscribe.bundle.precision_pair import BF16, FP16, PLAIN, PrecisionPair
from cxrscribe.errors import BundleError, DeviceError
from cxrscribe.json_object import JsonObject
from cxrscribe.networks.opening import open_decoder
from cxrscribe.sessions.cache import onnxruntime_build
from cxrscribe.sessions.cache_notes import CacheNotes
from cxrscribe.sessions.device import AUTO, GPU_NAMES, OPENVINO, find_devices, processor
from cxrscribe.tuning.candidates import Candidate, Refused, candidates
from cxrscribe.tuning.trial import TRIAL_SECONDS, Conditions, Cost, Trial, cheapest, try_out

_LAYOUT: Final = 1
_PREFIX: Final = "fastest-"
_WAIT_SECONDS: Final = 4 * TRIAL_SECONDS
"""For another process that is trying the same: with slow disks a trial takes longer than it is meant to."""
_LIKELY: Final = {BF16: 1, FP32: 2}
"""Smaller for the likelier winner; 0 for any other."""


class How(StrEnum):
    """How a choice came about."""

    MEASURED = "measured"
    RECORDED = "recorded"
    ONLY = "only"


@dataclass(frozen=True)
class Choice:
    """What was chosen, and from what."""

    candidate: Candidate
    how: How
    made: str | None = None
    """When it was measured, in UTC: ISO 8601, to the second."""
    trial: Trial | None = None
    refused: tuple[Refused, ...] = ()
    """What would run here and may not be taken."""

    def __post_init__(self) -> None:
        if self.how is How.MEASURED and (self.made is None or self._cost is None):
            raise ValueError(f"{self.candidate} is said to be measured, without a time or a figure")

    @property
    def why(self) -> str:
        """In words, for people."""
        if self.how is How.ONLY:
            return "nothing else may be taken here"
        if self.how is How.RECORDED:
            return "by the bundle's own record: without a cache that can be written to nothing is measured"
        cost = self._cost
        assert cost is not None
        return (
            f"measured here {self.made}: {cost.alone_ms:.1f} ms a report of one film by itself, "
            f"{cost.together_ms:.1f} ms among many"
        )

    @property
    def _cost(self) -> Cost | None:
        costs = () if self.trial is None else self.trial.costs
        return next((cost for cost in costs if cost.candidate == self.candidate), None)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            **self.candidate.to_json(),
            "how": self.how.value,
            "made": self.made,
            "trial": None if self.trial is None else self.trial.to_json(),
            "refused": [each.to_json() for each in self.refused],
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Choice:
        """Read what `to_json` gave. Raises the document's error."""
        how = fields.text("how")
        if how not in tuple(How):
            fields.refuse("how", f"one of {', '.join(How)}")
        return fields.make(
            cls,
            candidate=Candidate(fields.text("device"), PrecisionPair.parse(fields.text("precision"))),
            how=How(how),
            made=None if fields.is_null("made") else fields.text("made"),
            trial=None if fields.is_null("trial") else Trial.from_json(fields.object("trial")),
            refused=tuple(map(Refused.from_json, fields.objects("refused"))),
        )


class Chooser:
    """Chooses for one bundle, among what runs on one device or on any."""

    def __init__(
        self, bundle: Bundle, device: str, conditions: Conditions, *, any_words: bool = False
    ) -> None:
        """`device`: as `load` takes it. `any_words`: choose whatever that does to the words; keep nothing.

        Raises DeviceError when the device is named and isn't there.
        """
        self._bundle = bundle
        self._conditions = conditions
        self._any_words = any_words
        self._devices = devices_of(device)
        self._manifest_sha256 = sha256_of(bundle.path / MANIFEST_NAME)

    @property
    def folder(self) -> Path:
        """The bundle's."""
        return self._bundle.path

    def kept(self) -> Choice | None:
        """What was chosen before under the same conditions, if it was kept and may still be taken."""
        notes = self._notes
        note = None if notes is None else notes.read(self._name)
        if notes is None or note is None:
            return None
        try:
            choice = Choice.from_json(note.object("choice")) if note.value("key") == self._key else None
        except BundleError:  # of another version
            return None
        if choice is None or not self._may_be_taken(choice.candidate):
            return None
        notes.use(self._name)
        return choice

    def foreseen(self) -> Choice | None:
        """What `choose` would take now; None where it would have to try first."""
        found = self.kept()
        if found is not None:
            return found
        if self._notes is None or not self._notes.is_writable:
            return self._recorded()
        allowed, refused = self._candidates()
        return Choice(allowed[0], How.ONLY, refused=tuple(refused)) if len(allowed) == 1 else None

    def choose(
        self,
        *,
        afresh: bool = False,
        seconds: float = TRIAL_SECONDS,
        told: Callable[[str], None] = lambda what: None,
    ) -> Choice:
        """What to take: what is kept, or else what a trial shows, which is kept from then on.

        While another process tries the same, this one waits for it. Without a cache that can be written to,
        nothing is tried, and the bundle's own record decides. `afresh`: try in any case. `seconds`: of a
        trial, about. `told`: called with what is tried next.
        """
        notes = self._notes
        if not (afresh or self._any_words):
            found = self.kept()
            if found is not None:
                return found
            if notes is None or not notes.try_to_write():
                return self._recorded()
        if notes is None or self._any_words:
            return self._tried(seconds, told)
        with notes.alone(self._name, _WAIT_SECONDS):
            found = None if afresh else self.kept()
            if found is None:
                found = self._tried(seconds, told)
                if found.how is How.MEASURED:
                    bundle = str(self._bundle.path.resolve())
                    notes.write(self._name, {"bundle": bundle, "key": self._key, "choice": found.to_json()})
        return found

    @property
    def can_keep(self) -> bool:
        """Whether anything that is found out can be kept."""
        notes = self._notes
        return notes is not None and notes.try_to_write()

    def keep_costs(self, records: Sequence[Precision]) -> bool:
        """Keep what was measured on this machine of the bundle's words, beside what else was.

        Whether that could be done.
        """
        notes = self._notes
        if notes is None:
            return False
        with notes.alone(self._costs_name, _WAIT_SECONDS):
            both = (*self._own_costs(), *records)
            kept = {(record.devices, record.name): record for record in both}.values()
            fields = [{"engine": _engine(record), "record": record.to_json()} for record in kept]
            return notes.write(self._costs_name, {"records": fields})

    def costs(self) -> tuple[Precision, ...]:
        """What is known of the cost in words; what was measured on this machine comes last, and counts.

        By this machine's engines as they are now, that is.
        """
        return (*self._bundle.manifest.precisions, *self._own_costs())

    def _own_costs(self) -> tuple[Precision, ...]:
        notes = self._notes
        note = None if notes is None else notes.read(self._costs_name)
        if note is None:
            return ()
        try:
            found = [
                (fields.text("engine"), Precision.from_json(fields.object("record")))
                for fields in note.objects("records")
            ]
        except BundleError:
            return ()
        return tuple(record for engine, record in found if engine == _engine(record))

    def all(self) -> list[Candidate]:
        """All that runs here, whatever it does to the words."""
        allowed, refused = self._candidates()
        return [*allowed, *(each.candidate for each in refused)]

    def _candidates(self) -> tuple[list[Candidate], list[Refused]]:
        """Those to try, the likeliest first, and those that may not be taken."""
        allowed, refused = candidates(
            self._bundle.manifest, self._devices, self.costs(), has_bf16=self._has_bf16
        )
        if self._any_words:
            allowed, refused = [*allowed, *(each.candidate for each in refused)], []
        return sorted(allowed, key=_likelihood), refused

    def _may_be_taken(self, candidate: Candidate) -> bool:
        """Whether it is among the allowed ones: notes can be damaged, and words measured again since."""
        if candidate.device not in self._devices:
            return False
        has_bf16 = candidate.precision.encoder == BF16  # it had when that was chosen: to ask takes time
        allowed, _ = candidates(self._bundle.manifest, [candidate.device], self.costs(), has_bf16=has_bf16)
        return candidate in allowed

    def _tried(self, seconds: float, told: Callable[[str], None]) -> Choice:
        allowed, refused = self._candidates()
        if len(allowed) == 1:
            return Choice(allowed[0], How.ONLY, refused=tuple(refused))
        trial = try_out(self._bundle, allowed, self._conditions, seconds=seconds, told=told)
        winner = cheapest(trial.costs)
        if winner is None:  # the time went to what doesn't work
            plain = [candidate for candidate in allowed if candidate.precision == PLAIN]
            trial = try_out(self._bundle, plain, self._conditions, seconds=math.inf, told=told)
            winner = cheapest(trial.costs)
        if winner is None:
            raise DeviceError(
                f"nothing runs {self._bundle.path} here: {_problems(trial)}; name another device and "
                "precision, or export the bundle again"
            )
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return Choice(winner, How.MEASURED, made, trial, tuple(refused))

    def _recorded(self) -> Choice:
        device = self._first_device()
        allowed, refused = candidates(self._bundle.manifest, [device], self.costs(), has_bf16=False)
        gains = {
            (of, cost.name): (cost.speedups.encoder, cost.speedups.step)
            for cost in self._bundle.manifest.precisions
            if cost.speedups is not None
            for of in cost.devices
        }

        def gain(candidate: Candidate) -> tuple[float, float]:
            if device in GPU_NAMES:  # export runs on a processor, and times nothing there
                halves = float(str(candidate.precision) == FP16)
                return halves, halves
            return gains.get((device, str(candidate.precision)), (1.0, 1.0))

        best = max(allowed, key=gain)
        plain = Candidate(device, PLAIN)
        how = How.ONLY if len(allowed) == len(self._devices) == 1 else How.RECORDED
        return Choice(best if gain(best) > gain(plain) else plain, how, refused=tuple(refused))

    def _first_device(self) -> str:
        """The first one, but for GPUs that are announced and don't work."""
        *others, last = self._devices
        for device in others:
            if device not in GPU_NAMES:
                return device
            with suppress(DeviceError):
                open_decoder(self._bundle, self._conditions.factory(device), PLAIN)
                return device
        return last

    @property
    def _has_bf16(self) -> bool:
        if OPENVINO.name not in self._devices:
            return False
        from cxrscribe.sessions.openvino import bf16_capable

        try:
            return bf16_capable()
        except DeviceError:
            return False

    @property
    def _notes(self) -> CacheNotes | None:
        cache = self._conditions.cache
        return None if cache is None else cache.notes

    @property
    def _key(self) -> dict[str, object]:
        """All that an outcome depends on."""
        return {
            "layout": _LAYOUT,
            "bundle": self._manifest_sha256,
            "devices": list(self._devices),
            "engines": sorted({_version(device) for device in self._devices}),
            "processor": processor(),
            "threads": self._conditions.threads,
            "spinning": self._conditions.spinning,
            "strict": self._conditions.strict,
        }

    @property
    def _name(self) -> str:
        return f"{_PREFIX}{_digest(self._key)}"

    @property
    def _costs_name(self) -> str:
        return f"words-{_digest([self._manifest_sha256, processor()])}"


def kept_choices(notes: CacheNotes) -> Iterator[tuple[str, Choice]]:
    """What is kept of all bundles, each with its folder; what can't be read is left out."""
    for name in notes.names(_PREFIX):
        note = notes.read(name)
        if note is not None:
            with suppress(BundleError):
                yield note.text("bundle"), Choice.from_json(note.object("choice"))


def devices_of(device: str) -> tuple[str, ...]:
    """Names of what `fastest` may choose among where `device` was asked for. Raises DeviceError.

    Under `auto` that is all that is here; not TensorRT, whose first start takes minutes, nor OpenVINO in a
    process forked from one that used it: what such a process finds best would be kept for all others.
    """
    from cxrscribe.sessions.openvino import stayed_behind_a_fork

    found = [each.name for each in find_devices(device)]
    if device == AUTO and not stayed_behind_a_fork():
        with suppress(DeviceError):
            found += [each.name for each in find_devices(OPENVINO.name)]
    return tuple(found)


def _likelihood(candidate: Candidate) -> tuple[bool, int, int, bool]:
    """Smaller for what is likelier to win: GPUs first, and bytes or halves before bfloat16 before float32."""
    precision = candidate.precision
    return (
        candidate.device not in GPU_NAMES,
        _LIKELY.get(precision.encoder, 0),
        _LIKELY.get(precision.decoder, 0),
        candidate.device != OPENVINO.name,
    )


def _problems(trial: Trial) -> str:
    found = [f"{lap.name}: {lap.problem}" for lap in (*trial.encoders, *trial.decoders) if lap.problem]
    return "; ".join(found)


def _version(device: str) -> str:
    """Of the engine that a device stands for, and how it was built."""
    if device != OPENVINO.name:
        return f"onnxruntime {onnxruntime_build()}"
    from cxrscribe.sessions.openvino import openvino_version

    found = "that is absent"
    with suppress(DeviceError):
        found = openvino_version()
    return f"openvino {found}, onnxruntime {onnxruntime_build()}"


def _engine(record: Precision) -> str:
    """Versions of what a record was measured with."""
    return "; ".join(map(_version, record.devices))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
