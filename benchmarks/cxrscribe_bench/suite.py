"""One run of everything, part by part; what a part found is written down as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.files import FP32, sha256_of
from cxrscribe.bundle.manifest import MANIFEST_NAME
from cxrscribe.bundle.precision_pair import FP16, PrecisionPair
from cxrscribe.errors import InputError
from cxrscribe.sessions.cache import open_cache
from cxrscribe.sessions.cache_folder import default_folder
from cxrscribe.sessions.device import AUTO, CPU, DEVICE_NAMES
from cxrscribe.settings import BeamSettings
from cxrscribe.tuning.choice import Chooser
from cxrscribe.tuning.trial import Conditions
from cxrscribe_bench.groups import OFFLINE_FILMS
from cxrscribe_bench.material.expected_words import ExpectedWords
from cxrscribe_bench.material.films import check_features, film_files, write_features
from cxrscribe_bench.page.page import write_page
from cxrscribe_bench.parts.breakdown import Breakdown
from cxrscribe_bench.parts.contest import Contest
from cxrscribe_bench.parts.footprint import install_bytes, startup_measurements
from cxrscribe_bench.parts.load_tests import LoadTests
from cxrscribe_bench.parts.plan import Plan
from cxrscribe_bench.parts.real_sizes import RealSizes
from cxrscribe_bench.parts.scaling import scaling_measurements
from cxrscribe_bench.results.environment import environment
from cxrscribe_bench.results.ledger import Ledger
from cxrscribe_bench.results.record import Record
from cxrscribe_bench.results.standings import standings
from cxrscribe_bench.results.summary import summary
from cxrscribe_bench.systems.entrants import ours, peers
from cxrscribe_bench.timing.race import Note
from cxrscribe_bench.workload import AT, Workload

PAGE: Final = "bench.html"
SUMMARY: Final = "summary.md"

CONTEST: Final = "peers"
STAGES: Final = "stages"
REAL_SIZES: Final = "films"
LOADGEN: Final = "loadgen"
SCALING: Final = "scaling"
STARTUP: Final = "startup"
PARTS: Final = (CONTEST, STAGES, REAL_SIZES, LOADGEN, SCALING, STARTUP)
"""What a run consists of, in order."""

_NOT_MEASURED: Final = {
    "energy": "no counter that a process may read on every machine; nothing is estimated",
}


@dataclass(frozen=True)
class Order:
    """What a user asked for."""

    bundle: Path
    out: Path
    plan: Plan
    parts: tuple[str, ...]
    precisions: tuple[str, ...]
    """Empty for fp32 and whatever else the bundle has for the device."""
    films: tuple[str, ...]
    """Files, folders, patterns; empty for drawn ones."""
    features: Path | None
    """An h5 file; None for the films' own features."""
    settings: BeamSettings
    batch_size: int
    threads: int
    device: str
    server_p99_ms: float


class Suite:
    """One run. `record` holds what it has found so far."""

    def __init__(self, order: Order, note: Note) -> None:
        """Make the material ready. Raises InputError or BundleError for what can't be used."""
        self._order = order
        self._note = note
        bundle = Bundle.open(order.bundle)
        manifest = bundle.manifest
        note("looking for the fastest engine" if not order.precisions else "opening the bundle")
        self._precisions = _precisions(order, bundle)
        self._logs = order.out / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        note("drawing films" if not order.films else "reading films")
        films, unread = film_files(
            order.films, order.plan.images, order.out / "films", manifest.preprocessing
        )
        features = order.features or order.out / "features.h5"
        if order.features is None:
            write_features(order.bundle, films, features, order.threads)
        self._rows = min(check_features(features, manifest), order.plan.images)
        self._workload = Workload(
            bundle=order.bundle,
            films=films,
            features=features,
            settings=order.settings,
            # Programs with a static batch would search for rows that nobody asked for.
            batch_size=min(order.batch_size, order.plan.images),
            threads=order.threads,
            device=order.device,
            most_rows=self._rows,
        )
        self._expected = ExpectedWords(self._workload, are_of_films=order.features is None)
        self._ledger = Ledger(
            environment=environment(),
            bundle=_described(bundle),
            options=_options(order, self._precisions, self._workload, self._rows),
            absent={**_NOT_MEASURED, **{f"film {number}": why for number, why in enumerate(unread, 1)}},
        )

    @property
    def record(self) -> Record:
        """What was found so far."""
        return self._ledger.record(complete=False)

    def run(self) -> Record:
        """Measure all parts; after each, the record so far is in the folder. An interruption ends it."""
        parts: Mapping[str, Callable[[], None]] = {
            CONTEST: self._contest,
            STAGES: self._stages,
            REAL_SIZES: self._real_sizes,
            LOADGEN: self._loadgen,
            SCALING: self._scaling,
            STARTUP: self._startup,
        }
        for name in self._order.parts:
            parts[name]()
            self.record.write(self._order.out)
        return self._ledger.record(complete=True)

    def _contest(self) -> None:
        order = self._order
        contest = Contest(
            (*ours(self._precisions), *peers(order.plan.peers)),
            self._workload,
            self._rows,
            order.plan,
            self._expected,
            self._ledger,
            self._logs,
            self._note,
        )
        contest.offline()
        contest.singly()

    def _stages(self) -> None:
        Breakdown(
            self._workload,
            self._rows,
            self._precisions,
            self._order.plan.rounds,
            self._ledger,
            self._logs,
            self._note,
        ).measure()

    def _real_sizes(self) -> None:
        RealSizes(
            self._workload,
            tuple(dict.fromkeys((FP32, self._best_precision()))),
            self._order.plan.real_sizes,
            self._order.plan.rounds,
            self._order.out / "large films",
            self._ledger,
            self._logs,
            self._note,
        ).measure()

    def _best_precision(self) -> str:
        """Our fastest from films, if this run has measured that; or else the last one that was asked for."""
        found = standings(self.record, OFFLINE_FILMS)
        return self._precisions[-1] if found is None or found.best is None else found.best.precision

    def _loadgen(self) -> None:
        LoadTests(
            self._workload,
            self._precisions if self._order.plan.scenarios_at_all_precisions else self._precisions[-1:],
            self._order.plan.scenarios,
            round(self._order.server_p99_ms * 1e6),
            self._expected,
            self._ledger,
            self._logs,
            self._note,
        ).run()

    def _scaling(self) -> None:
        self._ledger.measurements += scaling_measurements(
            self._workload,
            FP32,
            self._order.plan.scale,
            self._logs,
            self._note,
            partial(self._ledger.leave_out, is_ours=True),
        )

    def _startup(self) -> None:
        self._note("start-up of fresh processes")
        self._ledger.measurements += startup_measurements(
            self._order.bundle, self._workload.films[0], self._order.plan.startup_rounds
        )
        self._ledger.details["install size, bytes"] = {
            name: str(size) for name, size in install_bytes().items()
        }


def write_results(record: Record, folder: Path) -> tuple[Path, ...]:
    """The record, the page and the summary: files in `folder`."""
    page, text = folder / PAGE, folder / SUMMARY
    write_page(record, page)
    text.write_text(summary(record), encoding="utf-8")
    return record.write(folder), page, text


def _precisions(order: Order, bundle: Bundle) -> tuple[str, ...]:
    """fp32, and what was asked for, or else all that the bundle has for the device and the fastest of all.

    Each as `Workload.engine` reads it. Raises InputError for one that isn't there.
    """
    available = bundle.manifest.graph_precisions
    for name in order.precisions:
        precision, at, device = name.partition(AT)
        if at and device not in DEVICE_NAMES:
            raise InputError(
                f"--precision {name}: device {device!r} is unknown; there are {', '.join(DEVICE_NAMES)}"
            )
        missing = PrecisionPair.parse(precision).graphs - set(available)
        if missing:
            raise InputError(f"the bundle has no precision {min(missing)!r}; it has {', '.join(available)}")
    if order.precisions:
        return tuple(dict.fromkeys((FP32, *order.precisions)))
    usable = [name for name in available if name != FP16 or order.device != CPU.name]
    return tuple(dict.fromkeys((FP32, *usable, *_fastest(order, bundle))))


def _fastest(order: Order, bundle: Bundle) -> Iterator[str]:
    """The fastest that runs here, whatever it does to the words: those are compared in any case."""
    if order.device != CPU.name:
        return
    cache = open_cache(True, default_folder())
    conditions = Conditions(order.threads, spinning=True, strict=False, cache=cache)
    found = Chooser(bundle, AUTO, conditions, any_words=True).choose().candidate
    on_device = "" if found.device == order.device else f"{AT}{found.device}"
    yield f"{found.precision}{on_device}"


def _described(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "name": bundle.path.resolve().name,
        "sha256": sha256_of(bundle.path / MANIFEST_NAME),  # which has those of all other files
        "architecture": manifest.architecture.to_json(),
        "preprocessing": manifest.preprocessing.to_json(),
        "precisions": list(manifest.graph_precisions),
        "licence": manifest.licence,
        "disclaimer": manifest.disclaimer,
    }


def _options(order: Order, precisions: tuple[str, ...], workload: Workload, rows: int) -> dict[str, Any]:
    return {
        "beam": order.settings.to_json(),
        "precisions": list(precisions),
        "films": len(workload.films),
        "features": rows,
        "drawn_films": not order.films,
        "batch_size": workload.batch_size,
        "threads": order.threads,
        "device": order.device,
        "rounds": order.plan.rounds,
        "peers": list(order.plan.peers),
        "parts": list(order.parts),
        "server_p99_ms": order.server_p99_ms,
    }
