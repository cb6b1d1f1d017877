"""What a manifest records as evidence: parity with Paddle, figures of reports, where the weights come from.

Export measures it, the runtime reads and shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cxrscribe.json_object import JsonObject

MOST_NEAR_TIES: Final = 0.005
"""Share of searches that may differ after a near tie: docs/decoding.md."""


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
