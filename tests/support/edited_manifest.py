"""A bundle's manifest with other content and the checksum that goes with it, as a forger writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cxrscribe.bundle import files
from cxrscribe.bundle.manifest import MANIFEST_NAME


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest as JSON. A checksum that `change` leaves as it is becomes right again."""
    file = bundle / MANIFEST_NAME
    fields = json.loads(file.read_text("utf-8"))
    before = fields.get("sha256")
    change(fields)
    if before is not None and fields.get("sha256") == before:
        fields["sha256"] = files.content_sha256({name: fields[name] for name in fields if name != "sha256"})
    file.write_text(json.dumps(fields), "utf-8")
