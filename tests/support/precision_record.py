"""One precision's record, to be changed with `dataclasses.replace`."""

from __future__ import annotations

from cxrscribe.bundle.precision_cost import Precision, ReportFigures, Speedups

INT8 = Precision(
    name="int8",
    devices=("cpu",),
    calibration="smallest and largest values over 64 films",
    calibration_films=64,
    split="test",
    reports=500,
    identical=430,
    fp32=ReportFigures(0.25, 0.75),
    own=ReportFigures(0.24, None),
    speedups=Speedups(3.2, 2.6, "AMD EPYC", 2),
)
