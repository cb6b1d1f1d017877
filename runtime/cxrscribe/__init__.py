"""Chest X-ray in, FINDINGS paragraph out: a lean runtime for exported report models.

    import cxrscribe

    reporter = cxrscribe.load(cxrscribe.demo_bundle())
    print(reporter.report("film.png").text)

What a model writes is a draft, not for diagnostic use, to be reviewed by a radiologist.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Final

from cxrscribe import errors
from cxrscribe.errors import (
    BundleError,
    BusyError,
    CxrscribeError,
    DecodingError,
    DeviceError,
    FilmError,
    InputError,
    MissingExtraError,
    Reason,
    SettingsError,
)
from cxrscribe.version import __version__

# onnxruntime's official wheels send telemetry unless they find this when they are imported, here or in a
# process that is started from here. Whoever set it has decided.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from cxrscribe.embedded import demo_bundle, demo_films
    from cxrscribe.films.isolation import Isolation
    from cxrscribe.loader import load
    from cxrscribe.report import Report
    from cxrscribe.report_queue import ReportQueue
    from cxrscribe.reporter import Reporter
    from cxrscribe.settings import BeamSettings
    from cxrscribe.stats import DecodingStats
    from cxrscribe.study import Study
    from cxrscribe.vocabulary import Vocabulary

__all__ = [
    "BeamSettings",
    "BundleError",
    "BusyError",
    "CxrscribeError",
    "DecodingError",
    "DecodingStats",
    "DeviceError",
    "FilmError",
    "InputError",
    "Isolation",
    "MissingExtraError",
    "Reason",
    "Report",
    "ReportQueue",
    "Reporter",
    "SettingsError",
    "Study",
    "Vocabulary",
    "__version__",
    "demo_bundle",
    "demo_films",
    "errors",
    "load",
]

# Imported at first use (PEP 562): a command line that only prints its help needs none of them.
_HOME: Final = {
    "BeamSettings": "cxrscribe.settings",
    "DecodingStats": "cxrscribe.stats",
    "Isolation": "cxrscribe.films.isolation",
    "Report": "cxrscribe.report",
    "ReportQueue": "cxrscribe.report_queue",
    "Reporter": "cxrscribe.reporter",
    "Study": "cxrscribe.study",
    "Vocabulary": "cxrscribe.vocabulary",
    "demo_bundle": "cxrscribe.embedded",
    "demo_films": "cxrscribe.embedded",
    "load": "cxrscribe.loader",
}


if not TYPE_CHECKING:  # a type checker that saw this would believe in any name

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
