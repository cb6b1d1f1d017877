"""What a lower precision costs in reports, against fp32, and what it gains in speed: measured and recorded.

Export measures it, the runtime reads and shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.precision_pair import FASTEST, PrecisionPair
from cxrscribe.errors import BundleError
from cxrscribe.json_object import JsonObject


@dataclass(frozen=True)
class ReportFigures:
    """How good the reports of one precision are."""

    bleu_4: float
    label_f1_micro: float | None
    """None where no finding is true of any film."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"bleu_4": self.bleu_4, "label_f1_micro": self.label_f1_micro}

    @classmethod
    def from_json(cls, fields: JsonObject) -> ReportFigures:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        no_label = fields.is_null("label_f1_micro")
        return fields.make(
            cls,
            bleu_4=fields.number("bleu_4"),
            label_f1_micro=None if no_label else fields.number("label_f1_micro"),
        )


@dataclass(frozen=True)
class Speedups:
    """How many times faster than fp32, both timed in turn in one run, medians. Raises BundleError at 0."""

    encoder: float
    """Of a batch of films through the encoder."""
    step: float
    """Of the fused step, `beam_step.onnx`."""
    processor: str
    """What `/proc/cpuinfo` or the system calls the processor."""
    threads: int

    def __post_init__(self) -> None:
        for name in ("encoder", "step"):
            value = getattr(self, name)
            if value <= 0:
                raise BundleError(f"speedup of the {name} is {value}, not above 0; export the bundle again")

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "encoder": self.encoder,
            "step": self.step,
            "processor": self.processor,
            "threads": self.threads,
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Speedups:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls,
            encoder=fields.number("encoder"),
            step=fields.number("step"),
            processor=fields.text("processor"),
            threads=fields.integer("threads", 1),
        )


@dataclass(frozen=True)
class LossLimits:
    """What a precision may lose against fp32. Raises BundleError unless both are finite and 0 or more."""

    bleu_4: float = 0.005
    label_f1: float = 0.01

    def __post_init__(self) -> None:
        for name, value in self.to_json().items():
            if not 0 <= value < float("inf"):
                raise BundleError(
                    f"limit of {name} is {value}, not a number of 0 or more; export the bundle again"
                )

    def exceeded(self, fp32: ReportFigures, own: ReportFigures) -> tuple[str, ...]:
        """What is lost beyond the limits, with its figures, in words; empty where nothing is."""
        compared = (
            ("BLEU-4", fp32.bleu_4, own.bleu_4, self.bleu_4),
            ("label F1", fp32.label_f1_micro, own.label_f1_micro, self.label_f1),
        )
        return tuple(
            f"{name} {after:.4f}, fp32 {before:.4f}, loss {before - after:.4f}, allowed {allowed:g}"
            for name, before, after, allowed in compared
            if before is not None and after is not None and not before - after <= allowed
        )

    def to_json(self) -> dict[str, float]:
        """The fields as JSON values."""
        return {"bleu_4": self.bleu_4, "label_f1": self.label_f1}

    @classmethod
    def from_json(cls, fields: JsonObject) -> LossLimits:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(cls, bleu_4=fields.number("bleu_4"), label_f1=fields.number("label_f1"))


@dataclass(frozen=True)
class Precision:
    """A lower precision of encoder and decoder, measured against fp32 on films it was not trained on.

    A bundle may have several of one name, each for other devices: what one engine computes of the same graph
    may differ from what another one does.

    Raises BundleError when the name can't be one, or more reports are identical than were compared.
    """

    name: str
    """`int8`, `int8+fp32`, `bf16`, ...: as `PrecisionPair` writes it, so that no pair has two names."""
    devices: tuple[str, ...]
    """Devices that it was measured for; it may run on others, with words that nobody has compared."""
    calibration: str
    """How the scales of its numbers were found, in words."""
    calibration_films: int
    """Training films that were used for it."""
    split: str
    """The films that were reported on: `test`, or `val+test` where the test split is small."""
    reports: int
    """How many reports were compared."""
    identical: int
    """How many of them have exactly the words of fp32."""
    fp32: ReportFigures
    """Of the fp32 reports."""
    own: ReportFigures
    """Of this precision's reports."""
    speedups: Speedups | None
    """Of onnxruntime on the CPU, whole or mixed; None for what doesn't run there."""
    limits: LossLimits = LossLimits()
    """What whoever exported it allowed it to lose; it may have been accepted with a larger loss."""

    def __post_init__(self) -> None:
        pair = self.pair
        if str(pair) == FP32 or FASTEST in (pair.encoder, pair.decoder):
            raise BundleError(f"precision {self.name!r} is not a name like 'int8' or 'fp16'")
        if self.name != str(pair):
            raise BundleError(f"precision {self.name!r} is not a name as it is written here: {str(pair)!r}")
        if not 0 <= self.identical <= self.reports:
            raise BundleError(
                f"precision {self.name}: {self.identical} of {self.reports} reports can't be identical; "
                "export the bundle again"
            )

    @property
    def pair(self) -> PrecisionPair:
        """The precisions of encoder and decoder."""
        return PrecisionPair.parse(self.name)

    @property
    def identical_share(self) -> float:
        """Share of the reports that have exactly the words of fp32; 1 where none was compared."""
        return self.identical / self.reports if self.reports else 1.0

    @property
    def beyond_limits(self) -> tuple[str, ...]:
        """What it loses beyond its own limits, in words: empty where it lies within them."""
        return self.limits.exceeded(self.fp32, self.own)

    def within(self, limits: LossLimits | None = None) -> bool:
        """Whether it loses no more than these limits allow, or its own if none are given."""
        return not (self.limits if limits is None else limits).exceeded(self.fp32, self.own)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values. `limits` is there where they are not the usual ones."""
        return {
            "name": self.name,
            "devices": list(self.devices),
            "calibration": self.calibration,
            "calibration_films": self.calibration_films,
            "split": self.split,
            "reports": self.reports,
            "identical": self.identical,
            "fp32": self.fp32.to_json(),
            "own": self.own.to_json(),
            "speedups": None if self.speedups is None else self.speedups.to_json(),
            **({} if self.limits == LossLimits() else {"limits": self.limits.to_json()}),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Precision:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        told = "limits" in fields.names()
        return fields.make(
            cls,
            name=fields.text("name"),
            devices=fields.texts("devices"),
            calibration=fields.text("calibration"),
            calibration_films=fields.integer("calibration_films"),
            split=fields.text("split"),
            reports=fields.integer("reports"),
            identical=fields.integer("identical"),
            fp32=ReportFigures.from_json(fields.object("fp32")),
            own=ReportFigures.from_json(fields.object("own")),
            speedups=None if fields.is_null("speedups") else Speedups.from_json(fields.object("speedups")),
            limits=LossLimits.from_json(fields.object("limits")) if told else LossLimits(),
        )
