"""What a lower precision costs: how far its reports agree with those of fp32."""

from __future__ import annotations

from collections.abc import Sequence

from cxrscribe.bundle.manifest import Manifest
from cxrscribe.sessions.device import CPU
from cxrscribe_bench.results.record import Quality
from cxrscribe_bench.systems.system import Words
from cxrscribe_bench.workload import AT


def quality_of(
    precision: str, expected: Sequence[Words], found: Sequence[Words], manifest: Manifest
) -> Quality:
    """Agreement of the reports `found` with those of fp32, and what the bundle's manifest says of it."""
    same = sum(
        sum(mine == theirs for mine, theirs in zip(one, other, strict=False))
        for one, other in zip(expected, found, strict=True)
    )
    words = sum(max(len(one), len(other)) for one, other in zip(expected, found, strict=True))
    return Quality(
        precision,
        len(found),
        sum(list(one) == list(other) for one, other in zip(expected, found, strict=True)),
        same / words if words else 1.0,
        _recorded(precision, manifest),
    )


def _recorded(precision: str, manifest: Manifest) -> dict[str, float]:
    name, _, device = precision.partition(AT)
    of_device = (each for each in manifest.precisions if (device or CPU.name) in each.devices)
    record = next((each for each in of_device if each.name == name), None)
    if record is None:
        return {}
    figures = {
        "bleu_4": record.own.bleu_4,
        "label_f1_micro": record.own.label_f1_micro,
        "bleu_4_fp32": record.fp32.bleu_4,
        "label_f1_micro_fp32": record.fp32.label_f1_micro,
        "identical_share": record.identical_share,
        "reports": record.reports,
    }
    return {name: float(value) for name, value in figures.items() if value is not None}
