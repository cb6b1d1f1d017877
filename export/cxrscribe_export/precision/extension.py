"""Lower precisions, and fused graphs where they lack, for a bundle that is there already. Without Paddle."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import onnx

import cxrscribe
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, DECODER_INIT, DECODER_STEP, interfaces_of
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import BundleError
from cxrscribe_export.bundle_folder import check_out, new_bundle_folder
from cxrscribe_export.graphs.checked_graph import Graph, write_graph
from cxrscribe_export.graphs.fused import fused_graphs
from cxrscribe_export.parity.fused_parity import fused_parity
from cxrscribe_export.parity.parity_error import beyond_tolerance, refuse
from cxrscribe_export.patients import starts, text_of_bundle
from cxrscribe_export.precision.kinds import Films
from cxrscribe_export.precision.precisions import PrecisionOrder, add_precisions, records_without

TOLERANCE: Final = 1e-4
"""What the fused graphs may differ from the canonical ones by."""
_PARITY_FILMS: Final = 32


def extend_bundle(
    bundle: Bundle,
    order: PrecisionOrder,
    out: Path,
    *,
    overwrite: bool = False,
    stage: Callable[[str], None] = lambda name: None,
) -> Manifest:
    """Write to `out` the bundle with the precisions of `order`, each in place of what it had of that name.

    `out` may be the bundle's own folder, with `overwrite`.

    Returns:
        The manifest that was written.

    Raises:
        BundleError: a file of the bundle is damaged, or a graph is not built as export builds it.
        InputError: `out` can't be written.
        ParityError: a fused graph differs from the canonical one. Nothing is left behind.
        DeviceError, HalfPrecisionError, LossError: as `add_precisions`; nothing is left behind.
    """
    check_out(out, overwrite=overwrite)
    damaged = [check.problem for check in bundle.inspect().files if check.problem and check.entry is not None]
    if damaged:
        raise BundleError(damaged[0])
    with new_bundle_folder(out) as folder:
        manifest = _copy(bundle, order.names, folder)
        if not has_fused_graphs(manifest):
            stage("fusing the step")
            manifest = _add_fused(manifest, order.trial.films, folder)
        return add_precisions(folder, manifest, order, stage)


def has_fused_graphs(manifest: Manifest) -> bool:
    """Whether a bundle has beam_init and beam_step, as those that export writes now do."""
    return all(manifest.entry(name) is not None for name in (BEAM_INIT, BEAM_STEP))


def _copy(bundle: Bundle, without: tuple[str, ...], folder: Path) -> Manifest:
    """Copy the files that the manifest names, less those of the precisions that are made anew."""
    manifest = bundle.manifest
    kept = tuple(entry for entry in manifest.files if entry.precision not in without)
    for entry in kept:
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / entry.path, target)
    others = records_without(manifest.precisions, without)
    manifest = replace(manifest, files=kept, precisions=others, sha256=None)
    manifest.write(folder)
    return manifest


def _add_fused(manifest: Manifest, films: Films, folder: Path) -> Manifest:
    """Write beam_init and beam_step; the manifest's parity, if it has one, gets what was compared."""
    interfaces = interfaces_of(manifest.architecture, manifest.preprocessing)
    initial_state, step = (
        Graph(interfaces[name], onnx.load(str(folder / name))) for name in (DECODER_INIT, DECODER_STEP)
    )
    fused = fused_graphs(initial_state, step, interfaces)
    with cxrscribe.load(folder, device="cpu", cache=False) as reporter:
        features = reporter.encode(list(films[:_PARITY_FILMS]))
    text = text_of_bundle(folder, manifest)
    rows = starts(features, text, [""] * len(features))
    outputs = fused_parity((initial_state, step), fused, rows, TOLERANCE)
    refuse(list(beyond_tolerance(outputs)))
    paths = [graph.interface.name for graph in fused]
    parity = manifest.parity
    manifest = replace(
        manifest,
        files=(
            *(entry for entry in manifest.files if entry.path not in paths),
            *(write_graph(folder, graph) for graph in fused),
        ),
        parity=None if parity is None else replace(parity, outputs=(*parity.outputs, *outputs)),
    )
    manifest.write(folder)
    return manifest
