"""What makes a run's reports what they are: written once, and compared whenever the run is gone on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from cxrscribe.archive.rows.part import SUFFIXES
from cxrscribe.archive.rows.row import RowChoice
from cxrscribe.arguments import shown
from cxrscribe.bundle.files import sha256_of
from cxrscribe.bundle.manifest import MANIFEST_NAME, Manifest
from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject
from cxrscribe.report import Report
from cxrscribe.settings import BeamSettings
from cxrscribe.version import __version__

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter

# What turns files into pixels and pixels into words, by the names of distributions. Of two that bring the
# same module, the one that is installed counts.
_LIBRARIES: Final[dict[str, tuple[str, ...]]] = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "numpy": ("numpy",),
    "pillow": ("pillow",),
    "pydicom": ("pydicom",),
    "imagecodecs": ("imagecodecs",),
    "python-gdcm": ("python-gdcm",),
}
_ENGINES: Final[dict[str, tuple[str, ...]]] = {"openvino": ("openvino",)}
"""Besides, by the device that they run."""
_NOT_INSTALLED: Final = ""

_SHOWN_DIFFERENCES: Final = 4


@dataclass(frozen=True)
class GivenIndications:
    """Where what a model is told of patients comes from: a table, the films themselves, both, or neither."""

    table: str | None = None
    """sha256 of the table's file."""
    dicom: str | None = None
    """Keyword of the attribute of DICOM films, for those that have no text in the table."""

    def __bool__(self) -> bool:
        """Whether it comes from anywhere."""
        return self != GivenIndications()

    def told(self, outcome: object) -> bool | None:
        """Whether a report was written with a text; False without a report, None where none are given."""
        if not self:
            return None
        return isinstance(outcome, Report) and outcome.indication_from is not None

    @classmethod
    def from_json(cls, fields: JsonObject) -> GivenIndications:
        """Read what `asdict` gave. Raises the document's error."""
        return fields.make(
            cls,
            table=None if fields.is_null("table") else fields.text("table"),
            dicom=None if fields.is_null("dicom") else fields.text("dicom"),
        )


@dataclass(frozen=True)
class Identity:
    """What a run is made with. Two runs of one identity have the same rows.

    What doesn't change a report is not in it: threads, batch size, workers, how films are isolated. Nor is
    the processor, though the last bits of a number may depend on it: parts say theirs.
    """

    bundle: str
    """sha256 of the bundle's manifest.json, which holds those of all its files."""
    device: str
    precision: str
    strict: bool
    settings: BeamSettings
    modalities: tuple[str, ...]
    preprocessing: Mapping[str, object]
    disclaimer: str
    format: str
    """Of the parts: `jsonl` or `parquet`."""
    choice: RowChoice
    versions: Mapping[str, str]
    """Of cxrscribe and the libraries that have a say in pixels and words; empty where one isn't installed."""
    root: str
    sources: tuple[str, ...]
    plan: str
    """sha256 of plan.json, which holds those of all its files."""
    indications: GivenIndications = GivenIndications()
    sr: bool = False
    """Whether reports are made structured reports too. It stands beside `choice`, for rows stay the same."""

    def __post_init__(self) -> None:
        if self.format not in SUFFIXES:
            raise InputError(f"format is {self.format!r}; there are {', '.join(SUFFIXES)}")

    @property
    def run_id(self) -> str:
        """sha256 of all of it: the same for the same work, whenever it is begun."""
        return _digest(self.to_json())

    @property
    def environment(self) -> str:
        """Digest of the versions, by which parts name them."""
        return environment_digest(self.versions)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values; `indications` only where any are given, `sr` where any are made."""
        given = {"indications": asdict(self.indications)} if self.indications else {}
        made = {"sr": True} if self.sr else {}
        return {
            "bundle": self.bundle,
            "device": self.device,
            "precision": self.precision,
            "strict": self.strict,
            "settings": self.settings.to_json(),
            "modalities": list(self.modalities),
            "preprocessing": dict(self.preprocessing),
            "disclaimer": self.disclaimer,
            "format": self.format,
            "rows": self.choice.to_json(),
            "versions": dict(self.versions),
            "root": self.root,
            "sources": list(self.sources),
            "plan": self.plan,
            **given,
            **made,
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Identity:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        versions = fields.object("versions")
        given = GivenIndications()
        if "indications" in fields.names():
            given = GivenIndications.from_json(fields.object("indications"))
        return fields.make(
            cls,
            bundle=fields.text("bundle"),
            device=fields.text("device"),
            precision=fields.text("precision"),
            strict=fields.boolean("strict"),
            settings=BeamSettings.from_json(fields.object("settings")),
            modalities=fields.texts("modalities"),
            preprocessing=fields.mapping("preprocessing"),
            disclaimer=fields.text("disclaimer"),
            format=fields.text("format"),
            choice=RowChoice.from_json(fields.object("rows")),
            versions={name: versions.text(name) for name in versions.names()},
            root=fields.text("root"),
            sources=fields.texts("sources"),
            plan=fields.text("plan"),
            indications=given,
            sr="sr" in fields.names() and fields.boolean("sr"),
        )

    def differences(self, other: Identity) -> list[Difference]:
        """In which fields `other` differs, in their order."""
        mine, others = dict(_flat(self.to_json())), dict(_flat(other.to_json()))
        names = [*mine, *(name for name in others if name not in mine)]
        return [
            Difference(name, mine.get(name), others.get(name))
            for name in names
            if mine.get(name) != others.get(name)
        ]


@dataclass(frozen=True)
class Difference:
    """A field in which two identities differ."""

    field: str
    """Its path in run.json, say `settings.beam_width`."""
    was: object
    now: object

    @property
    def is_version(self) -> bool:
        """Whether it is but a version of a library."""
        return self.field.startswith("versions.")

    def __str__(self) -> str:
        return f"{self.field} was {json.dumps(self.was)} and is {json.dumps(self.now)}"


def identity_of(
    reporter: Reporter,
    settings: BeamSettings,
    format_name: str,
    choice: RowChoice,
    root: str,
    sources: tuple[str, ...],
    plan: str,
    table: str | None = None,
    *,
    sr: bool = False,
) -> Identity:
    """What a run over a plan with this reporter is made with; `table`: sha256 of that of its indications.

    `sr`: whether structured reports are made.

    Raises InputError when its bundle has changed, or it is no reporter.
    """
    if not hasattr(reporter, "manifest"):
        raise InputError(f"reporter is {shown(reporter)}; give what cxrscribe.load gives")
    return Identity(
        bundle=_bundle_sha256(reporter),
        device=reporter.device,
        precision=reporter.precision,
        strict=reporter.strict,
        settings=settings,
        modalities=tuple(sorted(reporter.modalities)),
        preprocessing=reporter.manifest.preprocessing.to_json(),
        disclaimer=reporter.disclaimer,
        format=format_name,
        choice=choice,
        versions=installed_versions(reporter.device),
        root=root,
        sources=sources,
        plan=plan,
        indications=GivenIndications(table, reporter.indication_from_dicom),
        sr=sr,
    )


def _bundle_sha256(reporter: Reporter) -> str:
    """Of the manifest that the reporter was made with, which is still that of its bundle."""
    if reporter.folder is None:
        raise InputError("this reporter's bundle isn't in a folder; open one with cxrscribe.load")
    digest = sha256_of(reporter.folder / MANIFEST_NAME)
    if Manifest.read(reporter.folder) != reporter.manifest:
        raise InputError(f"{reporter.folder} has changed since it was opened; open it again")
    return digest


@cache
def installed_versions(device: str) -> Mapping[str, str]:
    """Versions of cxrscribe and the libraries that have a say in pixels and words, as they are here."""
    names = [*_LIBRARIES.items(), *((name, (name,)) for name in _ENGINES.get(device, ()))]
    return {"cxrscribe": __version__} | {name: _version(distributions) for name, distributions in names}


def environment_digest(versions: Mapping[str, str]) -> str:
    """16 hexadecimal digits for these versions."""
    return _digest(dict(versions))[:16]


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return _NOT_INSTALLED


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _flat(fields: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """Each value that is no object, under the path of its name."""
    found: list[tuple[str, object]] = []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))
    return found


def in_words(differences: Sequence[Difference]) -> str:
    """Some differences in words, and how many more there are."""
    text = "; ".join(map(str, differences[:_SHOWN_DIFFERENCES]))
    more = len(differences) - _SHOWN_DIFFERENCES
    return f"{text}; and {more} more" if more > 0 else text
