"""A record of a benchmark run that looks like a real one, with every group, system and odd case."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cxrscribe_bench.results.measurement import Label, Measurement
from cxrscribe_bench.results.record import Record, ScenarioResult, TokenCheck
from support.bench_goals import GOALS, QUALITY

DISCLAIMER = "Draft by a program. Not for diagnosis: a radiologist has to read the film."

# Milliseconds a report: offline/films, offline/features, single/films, encoder.
_SYSTEMS: dict[str, tuple[float, ...]] = {
    "cxrscribe/fp32": (84.0, 7.4, 92.0, 73.4),
    "cxrscribe/int8": (27.5, 3.9, 33.0, 20.3),
    "cxrscribe/fp16": (91.0, 8.2, 98.0, 79.0),
    "paddle-dynamic/fp32": (1040.0, 790.0, 1065.0, 231.0),
    "paddle-inference/fp32": (166.0, 31.0, 171.0, 121.0),
    "plain-onnxruntime/fp32": (98.0, 17.6, 118.0, 74.2),
    "openvino-f32/fp32": (89.0, 15.1, 101.0, 69.9),
    "openvino-as-it-comes/as-it-comes": (70.0, 11.8, 84.0, 52.0),
    "pytorch-eager/fp32": (201.0, 34.0, 214.0, 152.0),
}
_GROUPS = ("offline/films", "offline/features", "single/films", "encoder")

_SUMMARY = """\
================================================
MLPerf Results Summary
================================================
SUT name : cxrscribe
Scenario : {scenario}
Mode     : PerformanceOnly
{metric} : {value}
Result is : {verdict}
  Min duration satisfied : {satisfied}
  Min queries satisfied : Yes
  Early stopping satisfied: Yes
"""


@dataclass
class RecordMaker:
    """Makes records; the same ones each time."""

    latency_samples: int = 512
    rounds: int = 7
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(4))

    def full(self) -> Record:
        """With something in every part."""
        return Record(
            environment=_ENVIRONMENT,
            bundle={
                "path": "/data/bundles/resnet101-224",
                "encoder": "resnet101",
                "vocabulary": 1000,
                "graph_bytes": 201_400_000,
                "disclaimer": DISCLAIMER,
            },
            options={"films": 256, "batch_size": 32, "beam_width": 5, "rounds": self.rounds, "seed": 0},
            measurements=(
                *self.peers(),
                *self.stages(),
                *self.real_sizes(),
                *self.floor(),
                *self.startup(),
                *self.scaling(),
            ),
            scenarios=self.scenarios(),
            checks=self.checks(),
            goals=GOALS,
            quality=QUALITY,
            absent={
                "pytorch-compiled": "needs a C++ compiler, and there is none here",
                "energy": "this machine doesn't tell: /sys/class/powercap is empty",
            },
            details={
                "cxrscribe/fp32": {"version": "0.5.0", "device": "cpu", "threads": "2"},
                "openvino-as-it-comes/as-it-comes": {"version": "2026.1", "inference_precision": "bf16"},
            },
        )

    def measurement(
        self, group: str, name: str, milliseconds: float, items: int = 1, samples: int = 0,
        spread: float = 0.02, peak: float = 0.0, **labels: Label,
    ) -> Measurement:  # fmt: skip
        """Log-normal samples of `items` items each."""
        noise = self.random.lognormal(0, spread, samples or self.rounds)
        return Measurement(
            group,
            name,
            tuple(map(float, milliseconds * items * 1e-3 * noise)),
            items=items,
            labels=labels,
            peak_bytes=int(peak * 1e6) or None,
        )

    def peers(self) -> list[Measurement]:
        """Every system in every group of peers, the single films with a long tail."""
        found = []
        for column, group in enumerate(_GROUPS):
            is_single = group == "single/films"
            for name, columns in _SYSTEMS.items():
                system, precision = name.split("/")
                milliseconds = columns[column]
                each = self.measurement(
                    group,
                    name,
                    milliseconds,
                    items=1 if is_single else 64,
                    samples=self.latency_samples if is_single else 0,
                    spread=0.05 if is_single else 0.02,
                    peak=300 + 4 * len(name) ** 1.6,
                    system=system,
                    precision=precision,
                )
                found.append(_with_tail(each, self.random) if is_single else each)
        return found

    def stages(self) -> list[Measurement]:
        found = []  # the whole is less than the sum, as stages overlap
        for precision, encode, search in (("fp32", 73.4, 7.4), ("int8", 20.3, 3.9)):
            for stage, each in (
                ("decode file", 4.1),
                ("preprocess", 1.6),
                ("encode", encode),
                ("search", search),
                ("film to text", encode + search + 2.8),
            ):
                found.append(
                    self.measurement(
                        "stages",
                        f"{stage}/{precision}",
                        each,
                        items=64,
                        stage=stage,
                        precision=precision,
                        cores=1 if stage in ("decode file", "preprocess") else 2,
                    )
                )
        return found

    def real_sizes(self) -> list[Measurement]:
        """Two formats of large films, at two precisions."""
        found = []
        for precision, encode, search in (("fp32", 73.4, 7.4), ("int8", 20.3, 3.9)):
            labels: dict[str, Label] = {"stage": "encode", "precision": precision, "cores": 2}
            found.append(self.measurement("real sizes", f"encode/{precision}", encode, items=16, **labels))
            for kind, size, read in (("PNG, 16 bits", 5_650_501, 97.0), ("JPEG", 462_455, 6.9)):
                stages: dict[str, tuple[float, int]] = {
                    "search": (search, 2),
                    "film to text": (encode + search + 0.55 * read, 2),
                }
                if precision == "fp32":
                    stages |= {"read": (read, 1), "read side by side": (0.53 * read, 1)}
                for stage, (each, cores) in stages.items():
                    labels = {"stage": stage, "format": kind, "precision": precision, "cores": cores}
                    if stage == "read":
                        labels["file_bytes"] = size
                    found.append(
                        self.measurement("real sizes", f"{stage}/{kind}/{precision}", each, 16, **labels)
                    )
        return found

    def floor(self) -> list[Measurement]:
        """What the machine could do."""
        return [
            self.measurement("floor", "encoder products", 62.0, items=64),
            self.measurement("floor", "decoder products", 6.1, items=64),
            self.measurement("floor", "encoder bytes", 9.0, items=64),
            self.measurement("floor", "decoder bytes", 0.55, items=64),
        ]

    def startup(self) -> list[Measurement]:
        """Fresh processes."""
        points = {
            "empty": (11, 11, 11, 9),
            "off": (95, 1010, 1100, 598),
            "cold": (97, 1460, 1560, 545),
            "warm": (94, 310, 430, 273),
        }
        return [
            self.measurement("startup", f"{start}/{point}", each, peak=row[3], start=start, point=point)
            for start, row in points.items()
            for point, each in zip(("import", "load", "report"), row[:3], strict=True)
            if start != "empty" or point == "report"
        ]

    def scaling(self) -> list[Measurement]:
        """One curve or more for each variable."""
        curves: dict[str, tuple[str, tuple[int, ...], tuple[float, ...]]] = {
            "films": ("films", (1, 4, 16, 64, 256, 1024), (92, 88, 85, 84, 84, 84)),
            "batch_size": ("images", (1, 2, 4, 8, 16, 32, 64), (91, 90, 86, 84.5, 84, 84, 84)),
            "beam_width": ("hypotheses", (1, 2, 3, 5, 10, 20), (3.1, 4.2, 5.3, 7.4, 13.1, 25.4)),
            "length": ("words", (8, 16, 32, 64, 128), (2.0, 3.7, 7.0, 13.6, 27.4)),
            "vocabulary": ("words", (500, 1000, 4000, 16000), (6.6, 7.4, 13.0, 36.0)),
            "threads": ("threads", (1, 2), (161, 84)),
            "film_size": ("px", (256, 512, 1024, 2048), (81, 84, 92, 121)),
        }
        found = []
        for variable, (unit, values, times) in curves.items():
            for precision, factor in (("fp32", 1.0), ("int8", 0.36)):
                for x, each in zip(values, times, strict=True):
                    found.append(
                        self.measurement(
                            f"scaling/{variable}",
                            f"{precision}/{x}",
                            each * factor,
                            peak=(280 if precision == "fp32" else 130) + x**0.7 + each,
                            x=x,
                            unit=unit,
                            precision=precision,
                        )
                    )
        found += [
            self.measurement(
                "scaling/length",
                f"paddle-dynamic/{x}",
                30.0,
                x=x,
                unit="words",
                system="paddle-dynamic",
                precision="fp32",
            )
            for x in (8, 16, 32, 64, 128)
        ]
        return found

    def scenarios(self) -> tuple[ScenarioResult, ...]:
        """All four, one of them invalid."""
        rows = (
            ("SingleStream", "fp32", "VALID", "90.0th percentile latency (ns)", 97_800_000.0, 92.0),
            ("SingleStream", "int8", "VALID", "90.0th percentile latency (ns)", 36_100_000.0, 33.0),
            ("MultiStream", "fp32", "VALID", "99.0th percentile latency (ns)", 734_000_000.0, 690.0),
            ("Server", "fp32", "INVALID", "Completed samples per second", 9.41, 130.0),
            ("Offline", "fp32", "VALID", "Samples per second", 11.93, 21500.0),
        )
        return tuple(
            ScenarioResult(
                scenario=scenario,
                source="films",
                precision=precision,
                verdict=verdict,
                summary=_SUMMARY.format(
                    scenario=scenario,
                    metric=metric,
                    value=value,
                    verdict=verdict,
                    satisfied="Yes" if verdict == "VALID" else "NO",
                ),
                metric=metric,
                metric_value=value,
                settings={"min_duration_ms": 60000, "min_query_count": 100, "target_qps": 9.5},
                seconds=tuple(
                    map(
                        float,
                        middle
                        * 1e-3
                        * self.random.lognormal(
                            0,
                            0.35 if scenario == "Server" else 0.05,
                            1 if scenario == "Offline" else self.latency_samples,
                        ),
                    )
                ),
                reports=self.latency_samples,
                duration=61.2,
            )
            for scenario, precision, verdict, metric, value, middle in rows
        )

    def checks(self) -> tuple[TokenCheck, ...]:
        """Every system from both sources: most agree, bfloat16 doesn't."""
        found = []
        for name in _SYSTEMS:
            system, precision = name.split("/")
            is_strict = precision == "fp32"
            for source in ("films", "features"):
                differing = 0 if is_strict else 31
                ties = 1 if system == "openvino-f32" else 0
                found.append(
                    TokenCheck(
                        system,
                        source,
                        precision,
                        "paddle-dynamic/fp32",
                        256,
                        256 - differing - ties,
                        ties,
                        is_required=system == "cxrscribe" and is_strict,
                        differences=() if is_strict else ("film 7: 'no effusion' for 'no pleural effusion'",),
                    )
                )
        return tuple(found)


def _with_tail(measurement: Measurement, random: np.random.Generator) -> Measurement:
    seconds = np.array(measurement.seconds)
    slow = random.random(len(seconds)) < 0.02
    seconds[slow] *= 1.2 + random.exponential(0.25, int(slow.sum()))
    return Measurement(
        measurement.group,
        measurement.name,
        tuple(map(float, seconds)),
        labels=measurement.labels,
        peak_bytes=measurement.peak_bytes,
    )


_ENVIRONMENT = {
    "processor": "AMD EPYC 9R14",
    "flags": ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", *(f"feature_{each}" for each in range(40))],
    "cores": 2,
    "threads": 2,
    "memory_bytes": 16_600_000_000,
    "system": "Linux-6.8.0-x86_64-with-glibc2.36",
    "python": "3.11.7",
    "versions": {
        "cxrscribe": "0.5.0",
        "onnxruntime": "1.31.1",
        "openvino": "2026.1.0",
        "paddlepaddle": "3.3.0",
    },
    "load_before": [0.04, 0.1, 0.22],
    "load_after": [2.01, 1.9, 1.4],
    "governor": None,
}
