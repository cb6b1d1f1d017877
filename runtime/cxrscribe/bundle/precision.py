"""Lower precisions of a bundle: what each costs and gains, and which one to take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cxrscribe.bundle.file_entry import FP32
from cxrscribe.errors import BundleError
from cxrscribe.json_object import JsonObject

if TYPE_CHECKING:
    from cxrscribe.bundle.manifest import Manifest

FP16: Final = "fp16"
INT8: Final = "int8"
FASTEST: Final = "fastest"
"""What a user asks for who leaves the choice to `choose_precision`. No precision may be called so."""

_GPUS: Final = ("cuda", "tensorrt")
_NAME: Final = re.compile(r"[a-z0-9_]{1,32}")


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
    def read(cls, fields: JsonObject) -> ReportFigures:
        """Read what `to_json` gave. Raises BundleError naming the field that is wrong."""
        no_label = fields.is_null("label_f1_micro")
        record = cls(fields.number("bleu_4"), None if no_label else fields.number("label_f1_micro"))
        fields.finish()
        return record


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
    def read(cls, fields: JsonObject) -> Speedups:
        """Read what `to_json` gave. Raises BundleError naming the field that is wrong."""
        record = cls(
            encoder=fields.number("encoder"),
            step=fields.number("step"),
            processor=fields.text("processor"),
            threads=fields.integer("threads", 1),
        )
        fields.finish()
        return record


@dataclass(frozen=True)
class Precision:
    """One lower precision of a bundle, as export measured it against fp32 on films it was not trained on.

    Raises BundleError when the name can't be one, or more reports are identical than were compared.
    """

    name: str
    """`int8`, `fp16`, ...: the folder of its graphs."""
    devices: tuple[str, ...]
    """Devices that it is for; it runs on others, without gain."""
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
    """None where it couldn't be timed: export runs on a CPU, and fp16 is for CUDA."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in (FP32, FASTEST):
            raise BundleError(f"precision {self.name!r} is not a name like 'int8' or 'fp16'")
        if not 0 <= self.identical <= self.reports:
            raise BundleError(
                f"precision {self.name}: {self.identical} of {self.reports} reports can't be identical; "
                "export the bundle again"
            )

    @property
    def identical_share(self) -> float:
        """Share of the reports that have exactly the words of fp32; 1 where none was compared."""
        return self.identical / self.reports if self.reports else 1.0

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
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
        }

    @classmethod
    def read(cls, fields: JsonObject) -> Precision:
        """Read what `to_json` gave. Raises BundleError naming the field that is wrong."""
        record = cls(
            name=fields.text("name"),
            devices=fields.texts("devices"),
            calibration=fields.text("calibration"),
            calibration_films=fields.integer("calibration_films"),
            split=fields.text("split"),
            reports=fields.integer("reports"),
            identical=fields.integer("identical"),
            fp32=ReportFigures.read(fields.object("fp32")),
            own=ReportFigures.read(fields.object("own")),
            speedups=None if fields.is_null("speedups") else Speedups.read(fields.object("speedups")),
        )
        fields.finish()
        return record


def choose_precision(manifest: Manifest, asked: str | None, device: str) -> str:
    """The precision to open on `device`, a device's name (not `auto`).

    None asks for fp32. `fastest` asks for what this bundle's record promises most of: on a GPU fp16 where
    the bundle has it, elsewhere the largest recorded speedup of the encoder above 1 among the precisions that
    are for this device, and fp32 where there is none. Any other name is taken as it is: whether the bundle
    has it, its opening says.
    """
    if asked is None:
        return FP32
    if asked != FASTEST:
        return asked
    if device in _GPUS and FP16 in manifest.graph_precisions:
        return FP16
    faster = {
        precision.name: precision.speedups.encoder
        for precision in manifest.precisions
        if device in precision.devices and precision.speedups is not None and precision.speedups.encoder > 1
    }
    return max(faster, key=lambda name: faster[name], default=FP32)
