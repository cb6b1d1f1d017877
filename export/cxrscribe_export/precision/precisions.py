"""Lower precisions, made of a bundle's fp32 graphs, tried, and written into its folder."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

import cxrscribe
from cxrscribe.bundle.contract import interfaces_of
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_cost import LossLimits, Precision, Speedups
from cxrscribe.bundle.precision_pair import BF16, PrecisionPair
from cxrscribe.errors import DeviceError
from cxrscribe.sessions.device import CPU
from cxrscribe_export.graphs.checked_graph import Graph, check, write_graph
from cxrscribe_export.patients import starts, text_of_bundle
from cxrscribe_export.precision.combinations import combinations, engines_here
from cxrscribe_export.precision.cost import Calibration, TrialReports, check_loss, cost_of
from cxrscribe_export.precision.kinds import GRAPHS, KINDS, Films, PrecisionKind
from cxrscribe_export.precision.speed import speedups_of_graphs
from cxrscribe_export.precision.trial import Trial


@dataclass(frozen=True)
class PrecisionOrder:
    """Which precisions a bundle gets, none at all perhaps, and what they are made and judged with."""

    names: tuple[str, ...]
    """Of `kinds.KINDS`, or `bf16`, which is measured and has no graphs."""
    films: Films
    """Training films uint8 [M, H, W]; M may be 0 where no precision is calibrated."""
    trial: Trial
    limits: LossLimits = field(default_factory=LossLimits)
    """What they may lose."""
    indications: tuple[str, ...] = ()
    """Of the training films, for a model with a context; empty for one without."""
    accept_loss: bool = False
    """Whether one that loses more is written all the same."""

    @property
    def kinds(self) -> tuple[PrecisionKind, ...]:
        """Those that have graphs to be made, each once."""
        return tuple(KINDS[name] for name in dict.fromkeys(self.names) if name in KINDS)


def add_precisions(
    bundle: Path,
    manifest: Manifest,
    order: PrecisionOrder,
    stage: Callable[[str], None] = lambda name: None,
) -> Manifest:
    """Write each precision into the folder `bundle`, measure what it costs, and write the manifest anew.

    A precision that the bundle has already is replaced, with all that was measured of it. Costs are measured
    on each engine of this machine, of the precisions as they are and mixed with others. Only a precision that
    was asked for, whole and on the CPU, has to lie within the limits: the other records say what they say.

    Args:
        bundle: a folder with all fp32 graphs.
        manifest: what it holds.
        order: what to make.
        stage: called with the name of what begins.

    Returns:
        The manifest that was written.

    Raises:
        DeviceError: bf16 is asked for, and no engine of this machine computes in it.
        HalfPrecisionError: float16 can't hold a weight.
        LossError: a precision loses more than the order allows. The folder is of no use then.
    """
    if not order.names:
        return manifest
    for kind in order.kinds:
        stage(f"making {kind.name}")
        manifest = add_graphs(bundle, manifest, kind, order.films, order.indications)
    others = records_without(manifest.precisions, order.names)
    manifest = replace(manifest, precisions=(*others, *_costs(bundle, manifest, order, stage)))
    manifest.write(bundle)
    for kind in order.kinds:
        cxrscribe.load(bundle, device="cpu", precision=kind.name, cache=False).close()
    return manifest


def records_without(records: Iterable[Precision], names: Container[str]) -> tuple[Precision, ...]:
    """The records that have nothing to do with the precisions `names`, whole or mixed with others."""
    return tuple(
        record for record in records if record.pair.encoder not in names and record.pair.decoder not in names
    )


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
        precisions=records_without(manifest.precisions, (kind.name,)),
    )
    manifest.write(bundle)
    return manifest


def _costs(
    bundle: Path, manifest: Manifest, order: PrecisionOrder, stage: Callable[[str], None]
) -> Iterator[Precision]:
    """What each combination costs that this machine can compute. Raises LossError, DeviceError."""
    reports = TrialReports(bundle, order.trial, stage=stage)
    calibrations = {kind.name: kind.calibration(len(order.films)) for kind in order.kinds}
    speedups: dict[str, Speedups] = {}
    for combination in combinations(order.names, manifest.graph_precisions, engines_here()):
        pair = combination.pair
        lower = next(iter(pair.graphs - {FP32}), FP32)
        calibration = calibrations.get(lower) or Calibration.recorded(pair, manifest.precisions)
        try:
            record = cost_of(
                *(reports, combination.device, pair),
                devices=combination.devices,
                calibration=calibration,
                limits=order.limits,
            )
        except DeviceError as error:
            if combination.device == CPU.name or pair.encoder == BF16:
                raise
            stage(f"{pair} on {combination.device} can't be measured: {error}")
            continue
        if combination.device == CPU.name and record.name in order.names and not order.accept_loss:
            check_loss(record)
        if record.devices == (CPU.name,):
            if lower not in speedups:
                stage(f"timing {lower} and fp32")
                films = order.trial.films
                speedups[lower] = speedups_of_graphs(bundle, lower, manifest.architecture, films)
            record = replace(record, speedups=_of_pair(speedups[lower], pair))
        yield record


def _of_pair(whole: Speedups, pair: PrecisionPair) -> Speedups:
    """The speedups of encoder and step, of which one may have stayed in fp32."""
    return replace(
        whole,
        encoder=1.0 if pair.encoder == FP32 else whole.encoder,
        step=1.0 if pair.decoder == FP32 else whole.step,
    )
