"""What precisions of a bundle cost on this machine, measured without changing the bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.precision_cost import LossLimits, Precision
from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.errors import BundleError, DeviceError, InputError
from cxrscribe_export.precision.cost import Calibration, TrialReports, cost_of
from cxrscribe_export.precision.trial import Trial
from cxrscribe_train.corpus.table import read_reports


def measure_costs(
    bundle: Path,
    corpus: Path,
    pairs: Sequence[tuple[str, str]],
    *,
    films: int = 500,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Precision]:
    """Report on films of a corpus with each device and precision, and compare with fp32 on the CPU.

    Needs neither Paddle nor onnx. Each record has the limits that the bundle's exporter set for what it is
    made of, the usual ones where the bundle has no record of that; speedups aren't measured.

    Args:
        bundle: its folder.
        corpus: folder of one whose test split the model was not trained on.
        pairs: name of the device and of the precision, such as `("openvino", "int8+fp32")`; not fp32, with
            which all are compared.
        films: of the test split, at most.
        threads: of the CPU, None for as many as this process may use.
        progress: called with a line on what begins.

    Returns:
        One record for each pair that works here, in order; `progress` says why another one doesn't.

    Raises:
        BundleError: the bundle is damaged or lacks the graphs of a pair.
        DeviceError: none of the pairs works here.
        InputError: a pair is fp32, or the corpus has no film that can be used.
    """
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    wanted = [(device, PrecisionPair.parse(name)) for device, name in pairs]
    for device, pair in wanted:
        if str(pair) == FP32:
            raise InputError(f"{FP32} on {device} is what costs are measured against; leave it out")
        lacking = sorted(pair.graphs - set(manifest.graph_precisions))
        if lacking:
            raise BundleError(
                f"{bundle} has no graphs of {lacking[0]}, which {pair} needs; make them with "
                "`cxrscribe precision`"
            )
    progress(f"reading films of {corpus}")
    trial = Trial.of(read_reports(corpus), manifest.preprocessing, films)
    reports = TrialReports(bundle, trial, threads=threads, stage=progress)
    found: list[Precision] = []
    failed: list[DeviceError] = []
    for device, pair in wanted:
        calibration = Calibration.recorded(pair, manifest.precisions)
        limits = _limits(pair, manifest.precisions)
        try:
            found.append(cost_of(reports, device, pair, calibration=calibration, limits=limits))
        except DeviceError as error:
            failed.append(error)
            progress(f"{pair} on {device} can't be measured: {error}")
    if failed and not found:
        raise failed[0]
    return found


def _limits(pair: PrecisionPair, records: Sequence[Precision]) -> LossLimits:
    """Those of the bundle's record of this pair, or of one that shares a lower precision with it."""
    lower = {pair.encoder, pair.decoder} - {FP32}
    related = [record for record in records if lower & {record.pair.encoder, record.pair.decoder}]
    same = [record for record in related if record.name == str(pair)]
    return next((record.limits for record in (*same, *related)), LossLimits())
