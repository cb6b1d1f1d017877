"""What a manifest records as evidence: parity with Paddle, figures of reports, the cost of lower precisions.

Export measures it, the runtime reads and shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.errors import BundleError
from cxrscribe.json_object import JsonObject

FP16: Final = "fp16"
INT8: Final = "int8"
MOST_NEAR_TIES: Final = 0.005
"""Share of searches that may differ after a near tie: docs/decoding.md."""
FASTEST: Final = "fastest"
"""What a user asks for who leaves the choice to `cxrscribe.load`. No precision may be called so."""


@dataclass(frozen=True)
class OutputParity:
    """One output of one graph, held against the reference.

    The fused graphs, `beam_init.onnx` and `beam_step.onnx`, are held against `decoder_init.onnx` and
    `decoder_step.onnx` of the same bundle.
    """

    graph: str
    """Path of the graph in the bundle."""
    output: str
    """Name of the output."""
    rows: int
    """Rows (films or hypotheses) in the batch that was compared."""
    largest_difference: float
    """Largest absolute difference of any element."""
    tolerance: float
    """What it may be."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "graph": self.graph,
            "output": self.output,
            "rows": self.rows,
            "largest_difference": self.largest_difference,
            "tolerance": self.tolerance,
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> OutputParity:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls,
            graph=fields.text("graph"),
            output=fields.text("output"),
            rows=fields.integer("rows", 1),
            largest_difference=fields.number("largest_difference"),
            tolerance=fields.number("tolerance"),
        )


@dataclass(frozen=True)
class NearTie:
    """A search that differs from the reference where the reference itself could hardly decide."""

    image: str
    """Which film was searched for."""
    step: int
    """Step of the first decision that differs, from 0."""
    margin: float
    """Difference of the two log_probs in the reference, below 1e-5."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"image": self.image, "step": self.step, "margin": self.margin}

    @classmethod
    def from_json(cls, fields: JsonObject) -> NearTie:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls, image=fields.text("image"), step=fields.integer("step"), margin=fields.number("margin")
        )


@dataclass(frozen=True)
class SearchParity:
    """Whole searches from film to report, held against the same on the reference networks."""

    searches: int
    """Films searched for."""
    distinct_reports: int
    """Different reports among the reference's: few of them would prove little."""
    identical: int
    """Searches of which all tokens are the same."""
    near_ties: tuple[NearTie, ...]
    """The searches that differ after a near tie; a search that differs otherwise fails the export."""
    largest_log_prob_difference: float
    """Largest absolute difference of a report's log_prob, over the identical searches."""
    least_distinct_reports: int | None = None
    """How many different reports were demanded; None where an earlier version didn't say."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        demanded = self.least_distinct_reports
        return {
            "searches": self.searches,
            "distinct_reports": self.distinct_reports,
            **({} if demanded is None else {"least_distinct_reports": demanded}),
            "identical": self.identical,
            "near_ties": [tie.to_json() for tie in self.near_ties],
            "largest_log_prob_difference": self.largest_log_prob_difference,
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> SearchParity:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls,
            searches=fields.integer("searches"),
            distinct_reports=fields.integer("distinct_reports"),
            identical=fields.integer("identical"),
            near_ties=tuple(NearTie.from_json(tie) for tie in fields.objects("near_ties")),
            largest_log_prob_difference=fields.number("largest_log_prob_difference"),
            least_distinct_reports=(
                fields.integer("least_distinct_reports")
                if "least_distinct_reports" in fields.names()
                else None
            ),
        )


@dataclass(frozen=True)
class Parity:
    """All that was compared before a bundle was written."""

    reference: str
    """What was compared with, say `paddlepaddle 3.3.1`."""
    outputs: tuple[OutputParity, ...]
    search: SearchParity | None

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "reference": self.reference,
            "outputs": [output.to_json() for output in self.outputs],
            "search": None if self.search is None else self.search.to_json(),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Parity:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls,
            reference=fields.text("reference"),
            outputs=tuple(OutputParity.from_json(output) for output in fields.objects("outputs")),
            search=None if fields.is_null("search") else SearchParity.from_json(fields.object("search")),
        )


@dataclass(frozen=True)
class Evaluation:
    """Figures of one evaluation of the model."""

    corpus: str
    """What it was evaluated on, in words."""
    split: str
    """`train`, `val`, `test` or `all`."""
    reports: int
    """How many reports were scored."""
    figures: Mapping[str, float]
    """Name to value, as `cxrscribe evaluate --json` names them: `bleu_4`, `label_f1_micro` ..."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "corpus": self.corpus,
            "split": self.split,
            "reports": self.reports,
            "figures": dict(self.figures),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Evaluation:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        figures = fields.object("figures")
        return fields.make(
            cls,
            corpus=fields.text("corpus"),
            split=fields.text("split"),
            reports=fields.integer("reports"),
            figures={name: figures.number(name) for name in figures.names()},
        )


@dataclass(frozen=True)
class Provenance:
    """Where the weights come from."""

    description: str
    """In words: what they were trained on, and how."""
    sha256: Mapping[str, str]
    """Checksums of the weight files that the graphs were made from, by name."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"description": self.description, "sha256": dict(self.sha256)}

    @classmethod
    def from_json(cls, fields: JsonObject) -> Provenance:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        sums = fields.object("sha256")
        return fields.make(
            cls,
            description=fields.text("description"),
            sha256={name: sums.text(name) for name in sums.names()},
        )


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
