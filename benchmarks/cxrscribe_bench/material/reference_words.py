"""The words that every system has to find: by plain loops on the bundle's canonical graphs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, DECODER_INIT, DECODER_STEP, interfaces_of
from cxrscribe.bundle.files import FP32
from cxrscribe.settings import BeamSettings
from cxrscribe_bench.systems.system import Words
from cxrscribe_export.graphs.checked_graph import Graph
from cxrscribe_export.graphs.runner import FusedStep, GraphStep
from cxrscribe_export.parity.reference import ReferenceSearch
from cxrscribe_export.parity.search_parity import NEAR_TIE_MARGIN
from cxrscribe_export.parity.search_record import SearchRecord, parting


class ReferenceWords:
    """Beam search that shares no code with the runtime's, film by film, on graphs of one precision.

    fp32 is held against `decoder_step.onnx`, the canonical step. A lower precision has no such graph: there
    the reference searches on the fused step, by the same plain loops.
    """

    def __init__(self, bundle: Path, precision: str, settings: BeamSettings) -> None:
        self._bundle = Bundle.open(bundle)
        self._precision = precision
        self._settings = settings

    @property
    def name(self) -> str:
        """What it is, for people."""
        graph = DECODER_STEP if self._precision == FP32 else f"{self._precision}/{BEAM_STEP}"
        return f"plain loops on {graph}"

    def words(self, features: NDArray[np.float32]) -> list[Words]:
        """The best report of each row of `features`, float32 [N, F]."""
        return [list(self._search.search(row)[0].tokens) for row in features]

    def is_near_tie(self, features: NDArray[np.float32], words: Words) -> bool:
        """Whether other `words` than the reference's, for one row float32 [F], come of a near tie.

        So it is where plain loops on the fused step find them too, and the first decision in which the two
        part has a margin below 1e-5 in the reference. Nothing is one in a bundle without the fused step.
        """
        if self._precision != FP32 or not self._bundle.has_graph(BEAM_STEP):
            return False
        record, other_record = SearchRecord(), SearchRecord()
        self._search.search(features, record)
        if list(self._fused_search.search(features, other_record)[0].tokens) != words:
            return False
        first = parting(record, other_record)
        return first is not None and first.margin < NEAR_TIE_MARGIN

    @cached_property
    def _search(self) -> ReferenceSearch:
        if self._precision != FP32:
            return self._fused_search
        return self._searching(GraphStep(self._graph(DECODER_INIT), self._graph(DECODER_STEP)))

    @cached_property
    def _fused_search(self) -> ReferenceSearch:
        layers = self._bundle.manifest.architecture.layers
        return self._searching(FusedStep(self._graph(BEAM_INIT), self._graph(BEAM_STEP), layers))

    def _searching(self, step: GraphStep | FusedStep) -> ReferenceSearch:
        return ReferenceSearch(step, self._bundle.manifest.vocabulary, self._settings)

    def _graph(self, name: str) -> Graph:
        manifest = self._bundle.manifest
        model = onnx.load(str(self._bundle.graph(name, self._precision)))
        return Graph(interfaces_of(manifest.architecture, manifest.preprocessing)[name], model)


def differing(expected: Sequence[Words], found: Sequence[Words]) -> list[int]:
    """The places at which two lists of reports have other words."""
    pairs = enumerate(zip(expected, found, strict=True))
    return [place for place, (mine, theirs) in pairs if mine != theirs]
