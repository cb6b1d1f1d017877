"""Lower precisions, made of a bundle's fp32 graphs, tried, and written into its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

import cxrscribe
from cxrscribe.bundle.contract import interfaces_of
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.manifest import Manifest
from cxrscribe_export.graphs.checked_graph import Graph, check, write_graph
from cxrscribe_export.patients import starts, text_of_bundle
from cxrscribe_export.precision.cost import LossLimits, measure_cost, words_of_reports
from cxrscribe_export.precision.kinds import GRAPHS, KINDS, Films, PrecisionKind
from cxrscribe_export.precision.trial import Trial


@dataclass(frozen=True)
class PrecisionOrder:
    """Which precisions a bundle gets, none at all perhaps, and what they are made and judged with."""

    names: tuple[str, ...]
    """Of `kinds.KINDS`."""
    films: Films
    """Training films uint8 [M, H, W]; M may be 0 where no precision is calibrated."""
    trial: Trial
    limits: LossLimits | None
    """What they may lose; None for anything."""
    indications: tuple[str, ...] = ()
    """Of the training films, for a model with a context; empty for one without."""


def add_precisions(
    bundle: Path,
    manifest: Manifest,
    order: PrecisionOrder,
    stage: Callable[[str], None] = lambda name: None,
) -> Manifest:
    """Write each precision into the folder `bundle`, measure what it costs, and write the manifest anew.

    A precision that the bundle has already is replaced.

    Args:
        bundle: a folder with all fp32 graphs.
        manifest: what it holds.
        order: what to make.
        stage: called with the name of what begins.

    Returns:
        The manifest that was written.

    Raises:
        HalfPrecisionError: float16 can't hold a weight.
        LossError: a precision loses more than the order allows. The folder is of no use then.
    """
    if not order.names:
        return manifest
    stage("writing reports with fp32")
    expected = words_of_reports(bundle, FP32, order.trial)
    for kind in (KINDS[name] for name in dict.fromkeys(order.names)):
        stage(f"making {kind.name}")
        manifest = add_graphs(bundle, manifest, kind, order.films, order.indications)
        stage(f"comparing reports of {kind.name} with fp32")
        precision = measure_cost(bundle, manifest, kind, len(order.films), order.trial, expected)
        if order.limits is not None:
            order.limits.check(precision)
        manifest = replace(manifest, precisions=(*manifest.precisions, precision))
        manifest.write(bundle)
        cxrscribe.load(bundle, device="cpu", precision=kind.name, cache=False).close()
    return manifest


def add_graphs(
    bundle: Path, manifest: Manifest, kind: PrecisionKind, films: Films, indications: tuple[str, ...] = ()
) -> Manifest:
    """Write the graphs of one precision and a manifest that names them, without a record of what it costs.

    `films`: training films uint8 [M, H, W]; `indications`: theirs, for a model with a context. Raises
    HalfPrecisionError when float16 can't hold a weight.
    """
    text = text_of_bundle(bundle, manifest)
    fp32 = {name: onnx.load(str(bundle / name)) for name in GRAPHS}
    interfaces = interfaces_of(manifest.architecture, manifest.preprocessing)
    made = kind.make(fp32, films, lambda features: starts(features, text, indications))
    graphs = [Graph(interfaces[name], model) for name, model in made.items()]
    for graph in graphs:
        check(graph.model, graph.interface)
    manifest = replace(
        manifest,
        files=(
            *(entry for entry in manifest.files if entry.precision != kind.name),
            *(write_graph(bundle, graph, kind.name) for graph in graphs),
        ),
        precisions=tuple(record for record in manifest.precisions if record.name != kind.name),
    )
    manifest.write(bundle)
    return manifest
