"""`cxrscribe inspect`: what is in a bundle, and whether it is intact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cxrscribe.cli.options import bundle_or_demo
from cxrscribe.cli.terminal import note, say, say_json

if TYPE_CHECKING:
    from cxrscribe.bundle.bundle import Bundle, FileCheck, Inspection
    from cxrscribe.bundle.evidence import Parity
    from cxrscribe.bundle.manifest import Manifest
    from cxrscribe.bundle.precision_cost import Precision
    from cxrscribe.sessions.session import Placement
    from cxrscribe.settings import BeamSettings
    from cxrscribe.tuning.choice import Choice


@click.command(short_help="Show what is in a bundle, and whether it is intact.")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "--device",
    metavar="DEVICE",
    help="Open it there, and show where each graph really runs and what `fastest` is.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def inspect(bundle: Path | None, device: str | None, as_json: bool) -> None:
    """Show the model, vocabulary, preprocessing, settings, parity, evaluation and origin of BUNDLE, and check
    the size and sha256 of each of its files. Without BUNDLE it is the embedded demo bundle. With --device an
    intact bundle is also opened, and the nodes of its graphs are counted by execution provider; and it says
    what --precision fastest would take there, and why.

    Exit code: 0 intact; 1 a file is missing or changed (it is named); 2 no readable bundle, no such device.
    """
    from cxrscribe.bundle.bundle import Bundle

    opened = Bundle.open(bundle_or_demo(bundle))
    inspection = opened.inspect()
    there = _opened(opened, device) if device is not None and inspection.intact else None
    if as_json:
        fields = _as_json(opened.manifest, inspection)
        say_json({**fields, **_opened_json(device, there)}, indent=1)
    else:
        lines = [f"bundle         {opened.path}", *_lines(opened.manifest, inspection)]
        say(*lines, *_opened_lines(device, there))
    for check in inspection.files:
        if check.problem and check.entry is not None:
            note(f"Error: {check.problem}")
    click.get_current_context().exit(0 if inspection.intact else 1)


class _Opened(NamedTuple):
    """What became of the device that was asked for."""

    device: str
    """Its name."""
    placement: tuple[Placement, ...]
    fastest: Choice | None
    """What `--precision fastest` would take; None where it would have to try first."""


def _opened(bundle: Bundle, device: str) -> _Opened:
    """Open the bundle on the device. Raises DeviceError."""
    from cxrscribe.loader import open_bundle
    from cxrscribe.sessions.cache import open_cache
    from cxrscribe.sessions.cache_folder import default_folder
    from cxrscribe.sessions.factory import thread_count
    from cxrscribe.tuning.choice import Chooser
    from cxrscribe.tuning.trial import Conditions

    opened = open_bundle(bundle.path, device=device, verify=bundle.verify)
    cache = open_cache(True, default_folder())
    conditions = Conditions(thread_count(None), spinning=True, strict=False, cache=cache)
    return _Opened(opened.device, opened.placement, Chooser(bundle, device, conditions).foreseen())


def _opened_json(device: str | None, opened: _Opened | None) -> dict[str, object]:
    """Fields `device`, `placement` and `fastest`, null where the bundle is damaged; none without a device."""
    if device is None:
        return {}
    if opened is None:
        return {"device": None, "placement": None, "fastest": None}
    return {
        "device": opened.device,
        "placement": [graph.to_json() for graph in opened.placement],
        "fastest": None if opened.fastest is None else opened.fastest.to_json(),
    }


def _opened_lines(device: str | None, opened: _Opened | None) -> Iterator[str]:
    if device is None:
        return
    if opened is None:
        yield f"placement      not opened on {device}: the bundle is damaged"
        return
    yield f"placement      on device {opened.device}"
    yield from (f"               {graph}" for graph in opened.placement)
    fastest = opened.fastest
    if fastest is None:
        yield "fastest        not tried yet: `cxrscribe tune` does, or the first --precision fastest"
        return
    yield f"fastest        {fastest.candidate}: {fastest.why}"
    yield from (f"               not {refused.candidate}: {refused.reason}" for refused in fastest.refused)


def _as_json(manifest: Manifest, inspection: Inspection) -> dict[str, object]:
    """The manifest's fields and checksum, each file with what was found of it, each precision with whether it
    lies within its limits, and `intact`.
    """
    files = [
        {
            **(check.entry.to_json() if check.entry is not None else {"path": check.path}),
            "state": check.state.value,
            "problem": check.problem or None,
        }
        for check in inspection.files
    ]
    fields = {**manifest.to_json(), "sha256": manifest.sha256}
    precisions = [{**record.to_json(), "within_limits": record.within()} for record in manifest.precisions]
    return {**fields, "files": files, "precisions": precisions, "intact": inspection.intact}


def _lines(manifest: Manifest, inspection: Inspection) -> Iterator[str]:
    """A page for people; each line starts with the name that the manifest has for what follows."""
    architecture = manifest.architecture
    options = "".join(f", {name} {value}" for name, value in architecture.backbone_options.items())
    preprocessing, settings = manifest.preprocessing, manifest.settings
    checksum = manifest.sha256 and f"sha256 {manifest.sha256}"
    yield f"manifest       {checksum or 'no checksum, as of an earlier version: export the bundle again'}"
    yield f"producer       {manifest.producer}"
    yield f"architecture   {architecture.backbone}{options}; features {architecture.feature_size}"
    yield (
        f"               LSTM of {architecture.layers} layer{'s' * (architecture.layers > 1)}, "
        f"embedding {architecture.embedding_size}, hidden {architecture.hidden_size}"
    )
    if architecture.context is not None:
        sizes = architecture.context
        yield (
            f"               context {sizes.context_size}, of the patient's text {sizes.patient_size}, "
            f"tags {sizes.tags}"
        )
    yield f"vocabulary     {len(manifest.vocabulary)} words"
    yield (
        f"preprocessing  {preprocessing.height} x {preprocessing.width} pixels (height x width), "
        f"{preprocessing.resize}, mean {_numbers(preprocessing.mean)}, std {_numbers(preprocessing.std)}"
    )
    banned = f", banned words: {' '.join(settings.banned_words)}" if settings.banned_words else ""
    yield (
        f"settings       {_decoding(settings)}, n best {settings.n_best}, "
        f"length {settings.min_length} to {settings.max_length}, length penalty {settings.length_penalty:g}, "
        f"no repeated n-gram {settings.no_repeat_ngram or 'off'}{banned}"
    )
    yield f"precisions     {', '.join(manifest.graph_precisions) or 'none'}"
    yield from _precision_lines(manifest.precisions)
    for check in inspection.files:
        yield from _file_lines(check)
    yield from _parity_lines(manifest.parity)
    yield from _evaluation_lines(manifest)
    yield f"provenance     {manifest.provenance.description}"
    for name, digest in manifest.provenance.sha256.items():
        yield f"               {name} sha256 {digest}"
    yield f"licence        {manifest.licence}"
    yield f"disclaimer     {manifest.disclaimer}"
    damaged = sum(1 for check in inspection.files if check.problem and check.entry is not None)
    yield (
        "intact         yes"
        if inspection.intact
        else f"intact         NO: {damaged} files are missing or changed"
    )


def _decoding(settings: BeamSettings) -> str:
    if not settings.draws:
        return f"beam width {settings.beam_width}"
    words = f"the {settings.top_k} most probable words" if settings.top_k else "all words"
    return (
        f"{settings.decoding} of {settings.samples}, temperature {settings.temperature:g}, {words}, "
        f"seed {settings.seed}"
    )


def _file_lines(check: FileCheck) -> Iterator[str]:
    if check.entry is None:
        yield f"file           {check.path}: {check.state} ({check.problem}; it is never opened)"
        return
    entry = check.entry
    opset = f", opset {entry.opset}" if entry.opset is not None else ""
    yield f"file           {entry.path}: {check.state}, {entry.bytes:,} bytes, {entry.precision}{opset}"
    yield f"               sha256 {entry.sha256}"
    for kind, tensors in (("in ", entry.inputs), ("out", entry.outputs)):
        for tensor in tensors:
            shape = ", ".join(str(size) for size in tensor.shape)
            yield f"               {kind} {tensor.name} {tensor.dtype} [{shape}]"


def _precision_lines(records: Sequence[Precision]) -> Iterator[str]:
    """What was measured, a record after the other, and how each kind of graphs was calibrated, once."""
    for record in records:
        yield from (f"               {line}" for line in record_lines(record))
    first_names: dict[str, str] = {}
    for record in records:
        first_names.setdefault(record.calibration, record.name)
    for calibration, name in first_names.items():
        yield f"               {name} calibration: {calibration}"


def record_lines(precision: Precision) -> Iterator[str]:
    """What was measured of one precision on one engine, for people."""
    fp32, own = precision.fp32, precision.own
    figures = [("BLEU-4", fp32.bleu_4, own.bleu_4), ("label F1", fp32.label_f1_micro, own.label_f1_micro)]
    compared = "".join(
        f", {name} {value:.4f} (fp32 {before:.4f})"
        for name, before, value in figures
        if value is not None and before is not None
    )
    subject = f"{precision.name} for {', '.join(precision.devices)}"
    yield (
        f"{subject}: {precision.identical_share:.1%} of {precision.reports} reports identical on "
        f"{precision.split}{compared}"
    )
    for beyond in precision.beyond_limits:
        yield f"{subject} loses more than allowed: {beyond}"
    speedups = precision.speedups
    if speedups is not None:
        yield (
            f"{precision.name} speed: encoder {speedups.encoder:.2f} x fp32, step {speedups.step:.2f} x, "
            f"{speedups.threads} threads of {speedups.processor}"
        )


def _parity_lines(parity: Parity | None) -> Iterator[str]:
    if parity is None:
        yield "parity         not recorded"
        return
    yield f"parity         against {parity.reference}"
    for output in parity.outputs:
        yield (
            f"               {output.graph} {output.output}, {output.rows} rows: largest difference "
            f"{output.largest_difference:.2e}, allowed {output.tolerance:.0e}"
        )
    search = parity.search
    if search is not None:
        yield (
            f"               beam searches: {search.identical} of {search.searches} identical, "
            f"{len(search.near_ties)} near ties, {search.distinct_reports} distinct reports, "
            f"largest log_prob difference {search.largest_log_prob_difference:.2e}"
        )


def _evaluation_lines(manifest: Manifest) -> Iterator[str]:
    evaluation = manifest.evaluation
    if evaluation is None:
        yield "evaluation     not recorded"
        return
    yield f"evaluation     {evaluation.corpus}, split {evaluation.split}, {evaluation.reports} reports"
    for name, figure in evaluation.figures.items():
        yield f"               {name} {figure:.4g}"


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)
