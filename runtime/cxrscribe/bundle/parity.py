"""How closely exported graphs give what the trained network gives."""

from __future__ import annotations

from dataclasses import dataclass

from cxrscribe.json_object import JsonObject


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
    def read(cls, fields: JsonObject) -> OutputParity:
        """Read what `to_json` gave. Raises BundleError naming the field that is wrong."""
        record = cls(
            graph=fields.text("graph"),
            output=fields.text("output"),
            rows=fields.integer("rows", 1),
            largest_difference=fields.number("largest_difference"),
            tolerance=fields.number("tolerance"),
        )
        fields.finish()
        return record


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
    def read(cls, fields: JsonObject) -> NearTie:
        """Read what `to_json` gave. Raises BundleError naming the field that is wrong."""
        record = cls(fields.text("image"), fields.integer("step"), fields.number("margin"))
        fields.finish()
        return record


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

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "searches": self.searches,
            "distinct_reports": self.distinct_reports,
            "identical": self.identical,
            "near_ties": [tie.to_json() for tie in self.near_ties],
            "largest_log_prob_difference": self.largest_log_prob_difference,
        }

    @classmethod
    def read(cls, fields: JsonObject) -> SearchParity:
        """Read what `to_json` gave. Raises BundleError naming the field that is wrong."""
        record = cls(
            searches=fields.integer("searches"),
            distinct_reports=fields.integer("distinct_reports"),
            identical=fields.integer("identical"),
            near_ties=tuple(NearTie.read(tie) for tie in fields.objects("near_ties")),
            largest_log_prob_difference=fields.number("largest_log_prob_difference"),
        )
        fields.finish()
        return record


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
    def read(cls, fields: JsonObject) -> Parity:
        """Read what `to_json` gave. Raises BundleError naming the field that is wrong."""
        record = cls(
            reference=fields.text("reference"),
            outputs=tuple(OutputParity.read(output) for output in fields.objects("outputs")),
            search=None if fields.is_null("search") else SearchParity.read(fields.object("search")),
        )
        fields.finish()
        return record
