"""A bundle whose int8 graphs are copies of those of fp32: for what chooses between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cxrscribe.bundle.files import FileEntry
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_cost import Precision
from cxrscribe_export.precision.kinds import GRAPHS
from support.small_bundle import SmallBundle


def with_int8(folder: Path, *records: Precision) -> Path:
    """Write a small bundle with these records of its precisions into `folder`, and give it back."""
    SmallBundle(fused=True).write(folder)
    (folder / "int8").mkdir()
    manifest = Manifest.read(folder)
    copies: list[FileEntry] = []
    for entry in manifest.files:
        if entry.path in GRAPHS:
            (folder / "int8" / entry.path).write_bytes((folder / entry.path).read_bytes())
            copies.append(replace(entry, path=f"int8/{entry.path}", precision="int8"))
    replace(manifest, files=(*manifest.files, *copies), precisions=records).write(folder)
    return folder
