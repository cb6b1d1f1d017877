"""The fused graphs of a bundle, made of its canonical ones."""

from __future__ import annotations

from collections.abc import Mapping

from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, GraphInterface
from cxrscribe_export.graphs.checked_graph import Graph, check
from cxrscribe_export.graphs.fusion import fuse, fuse_initial_state


def fused_graphs(
    initial_state: Graph, step: Graph, interfaces: Mapping[str, GraphInterface]
) -> tuple[Graph, Graph]:
    """beam_init and beam_step, made of decoder_init and decoder_step.

    Args:
        initial_state: the graph decoder_init.
        step: the graph decoder_step.
        interfaces: of all graphs of the bundle, by name.

    Raises:
        BundleError: `step` is not built as export builds it.
        ConversionError: what came out is not what the bundle needs.
    """
    beam_init = Graph(interfaces[BEAM_INIT], fuse_initial_state(initial_state.model))
    beam_step = Graph(interfaces[BEAM_STEP], fuse(step.model))
    for graph in (beam_init, beam_step):
        check(graph.model, graph.interface)
    return beam_init, beam_step
