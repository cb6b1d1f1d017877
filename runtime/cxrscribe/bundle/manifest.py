"""What a bundle says of itself: `manifest.json`, which holds the checksum of its own content."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.evidence import Evaluation, Parity, Provenance
from cxrscribe.bundle.files import FP32, FileEntry, content_sha256, regular_file_of
from cxrscribe.bundle.precision_cost import LossLimits, Precision
from cxrscribe.errors import BundleError, CxrscribeError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.json_object import JsonObject, read_json_object, repeated
from cxrscribe.printable import unprintable
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import Vocabulary

MANIFEST_NAME: Final = "manifest.json"
SCHEMA_VERSION: Final = 3
"""What is written. Version 1 had no `precisions`, and is read as having none; version 2 had no `sha256`."""
CONTEXT_VERSION: Final = 4
"""What is written for a model with a context, which programs that know version 3 alone can't run."""
COMBINATIONS_VERSION: Final = 5
"""What is written where `precisions` has what programs that know version 4 refuse: mixed precisions, bf16,
one precision on several engines, or limits of its own. With or without a context."""
_READ_VERSIONS: Final = (1, 2, 3, 4, 5)
_FIRST_WITH_SHA256: Final = 3
_SHA256: Final = "sha256"
_MOST_BYTES: Final = 8 << 20  # a vocabulary of 100,000 words takes 2
_LINE_ENDS: Final = "\n\t"
"""Controls that a licence or a description may have in it."""


@dataclass(frozen=True)
class Manifest:
    """Everything that a bundle's reader needs to know.

    Raises BundleError where the parts contradict each other.
    """

    producer: str
    """Program and versions that wrote the bundle."""
    architecture: Architecture
    vocabulary: Vocabulary
    preprocessing: Preprocessing
    settings: BeamSettings
    """Default beam settings."""
    files: tuple[FileEntry, ...]
    """Every file of the bundle but the manifest itself."""
    parity: Parity | None
    evaluation: Evaluation | None
    provenance: Provenance
    licence: str
    """Of the weights: an SPDX expression, or words."""
    disclaimer: str
    """What every report made with this bundle has to say of itself."""
    precisions: tuple[Precision, ...] = ()
    """What each precision but fp32 costs and gains on each engine; what wasn't measured is not among them."""
    sha256: str | None = field(default=None, compare=False)
    """Of the content of the file that this was read from, as it says and as it is; None for a manifest that
    wasn't read from a file, or from one of version 1 or 2, which has none."""

    def __post_init__(self) -> None:
        if len(self.vocabulary) != self.architecture.vocabulary_size:
            raise BundleError(
                f"{MANIFEST_NAME}: vocabulary has {len(self.vocabulary)} words, but "
                f"architecture.vocabulary_size is {self.architecture.vocabulary_size}; "
                "both have to come from one training run"
            )
        unknown = [word for word in self.settings.banned_words if word not in self.vocabulary]
        if unknown:
            raise BundleError(
                f"{MANIFEST_NAME}: settings.banned_words has {unknown[0]!r}, which is not in the vocabulary; "
                "remove it"
            )
        paths = [entry.path for entry in self.files]
        twice = repeated(paths)
        if twice is not None:
            raise BundleError(f"{MANIFEST_NAME}: files has {twice!r} twice; remove one")
        if MANIFEST_NAME in paths:
            raise BundleError(
                f"{MANIFEST_NAME}: files has {MANIFEST_NAME!r}, which can't hold its own checksum"
            )
        if not self.disclaimer.strip():
            raise BundleError(f"{MANIFEST_NAME}: disclaimer is empty; every report has to carry one")
        found = unprintable(self.disclaimer, "\n")
        if found is not None:
            raise BundleError(f"{MANIFEST_NAME}: disclaimer has the control character {found}; remove it")
        self._check_precisions()

    def _check_precisions(self) -> None:
        places = [
            f"{record.name!r} for {device!r}" for record in self.precisions for device in record.devices
        ]
        twice = repeated(places)
        if twice is not None:
            raise BundleError(f"{MANIFEST_NAME}: precisions has {twice} twice; remove one")
        graphs = set(self.graph_precisions)
        without = next((record for record in self.precisions if not record.pair.graphs <= graphs), None)
        if without is not None:
            raise BundleError(
                f"{MANIFEST_NAME}: precisions has {without.name!r}, of which files has no graph; "
                "export the bundle again"
            )

    @property
    def graph_precisions(self) -> tuple[str, ...]:
        """Precisions of the graphs, `fp32` first, then by name."""
        found = {entry.precision for entry in self.files if entry.is_graph}
        return tuple(sorted(found, key=lambda precision: (precision != FP32, precision)))

    def entry(self, path: str) -> FileEntry | None:
        """The entry of the file at `path`, if the bundle has one."""
        return self._by_path.get(path)

    @cached_property
    def _by_path(self) -> dict[str, FileEntry]:
        return {entry.path: entry for entry in self.files}

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values, without the checksum that `write` adds."""
        return {
            "schema_version": self._schema_version,
            "producer": self.producer,
            "architecture": self.architecture.to_json(),
            "vocabulary": list(self.vocabulary.words),
            "preprocessing": self.preprocessing.to_json(),
            "settings": self.settings.to_json(),
            "files": [entry.to_json() for entry in self.files],
            "parity": None if self.parity is None else self.parity.to_json(),
            "evaluation": None if self.evaluation is None else self.evaluation.to_json(),
            "provenance": self.provenance.to_json(),
            "licence": self.licence,
            "disclaimer": self.disclaimer,
            "precisions": [precision.to_json() for precision in self.precisions],
        }

    @property
    def _schema_version(self) -> int:
        """The oldest that holds all of it."""
        names = [record.name for record in self.precisions]
        of_their_own = set(names) <= set(self.graph_precisions) and repeated(names) is None
        if not of_their_own or any(record.limits != LossLimits() for record in self.precisions):
            return COMBINATIONS_VERSION
        return SCHEMA_VERSION if self.architecture.context is None else CONTEXT_VERSION

    def write(self, bundle: Path) -> None:
        """Write `manifest.json` into the folder `bundle`, where the files that it names already are.

        Raises BundleError when it couldn't be read again: it has control characters in it, or is too large.
        """
        fields = self.to_json()
        JsonObject(fields, MANIFEST_NAME, BundleError).check_printable(_LINE_ENDS)
        version = {"schema_version": fields.pop("schema_version")}
        signed = {**version, _SHA256: content_sha256(version | fields), **fields}
        content = (json.dumps(signed, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
        if len(content) > _MOST_BYTES:
            raise BundleError(
                f"{MANIFEST_NAME} would have {len(content)} bytes, more than the {_MOST_BYTES} that are "
                "read; shorten the vocabulary or the description"
            )
        (bundle / MANIFEST_NAME).write_bytes(content)

    @classmethod
    def read(cls, bundle: Path) -> Manifest:
        """Read `manifest.json` of the folder `bundle`. Raises BundleError naming the field that is wrong."""
        if not os.path.lexists(bundle / MANIFEST_NAME):
            raise BundleError(
                f"{bundle} is not a folder with {MANIFEST_NAME}; give the folder that `cxrscribe export` made"
            )
        return cls.from_json(
            read_json_object(
                regular_file_of(bundle, MANIFEST_NAME),
                _MOST_BYTES,
                error=BundleError,
                remedy="give the folder that an export made",
            )
        )

    @classmethod
    def from_json(cls, fields: JsonObject) -> Manifest:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        version = fields.integer("schema_version", 1)
        if version not in _READ_VERSIONS:
            raise BundleError(
                f"{fields.place}: schema_version is {version}, but this cxrscribe reads "
                f"{' and '.join(map(str, _READ_VERSIONS))}; "
                "export the bundle again, or install the cxrscribe version that wrote it"
            )
        sha256 = _checked_sha256(fields) if version >= _FIRST_WITH_SHA256 else None
        fields.check_printable(_LINE_ENDS)
        manifest = cls(
            producer=fields.text("producer"),
            architecture=Architecture.from_json(fields.object("architecture")),
            vocabulary=_vocabulary(fields),
            preprocessing=Preprocessing.from_json(fields.object("preprocessing")),
            settings=BeamSettings.from_json(fields.object("settings")),
            files=tuple(FileEntry.from_json(entry) for entry in fields.objects("files")),
            parity=None if fields.is_null("parity") else Parity.from_json(fields.object("parity")),
            evaluation=None
            if fields.is_null("evaluation")
            else Evaluation.from_json(fields.object("evaluation")),
            provenance=Provenance.from_json(fields.object("provenance")),
            licence=fields.text("licence"),
            disclaimer=fields.text("disclaimer"),
            precisions=() if version == 1 else tuple(map(Precision.from_json, fields.objects("precisions"))),
            sha256=sha256,
        )
        fields.finish()
        return manifest


def _checked_sha256(fields: JsonObject) -> str:
    """The checksum that the document says it has. Raises BundleError when it has another."""
    said, found = fields.text(_SHA256), content_sha256(fields.without(_SHA256))
    if said != found:
        raise BundleError(
            f"{fields.place} has content with the sha256 {found}, but says {said[:64]!r}; "
            "it is changed or damaged: copy or export the bundle again"
        )
    return said


def _vocabulary(fields: JsonObject) -> Vocabulary:
    words = fields.texts("vocabulary")
    try:
        return Vocabulary(words)
    except CxrscribeError as error:
        raise BundleError(f"{fields.place}: vocabulary: {error}") from None
