"""Where the nodes of a graph really run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Placement:
    """What onnxruntime gave each execution provider of one graph to do."""

    graph: str
    """Its name in the bundle: `encoder.onnx`, `int8/encoder.onnx`."""
    nodes: Mapping[str, int]
    """Number of nodes by provider, as onnxruntime calls it, most first.

    Of a graph from the cache, whose nodes have been fused, there are fewer than of the same graph without.
    """

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"graph": self.graph, "nodes": dict(self.nodes)}

    @classmethod
    def of(cls, graph: str, subgraphs: Iterable[Any]) -> Placement:
        """From what InferenceSession.get_provider_graph_assignment_info() gives."""
        counts: Counter[str] = Counter()
        for subgraph in subgraphs:
            counts[subgraph.ep_name] += len(subgraph.get_nodes())
        return cls(graph, dict(counts.most_common()))

    def __str__(self) -> str:
        """`encoder.onnx: 115 nodes on CPUExecutionProvider`."""
        parts = [f"{count} nodes on {provider}" for provider, count in self.nodes.items()]
        return f"{self.graph}: {', '.join(parts) or 'no nodes'}"
