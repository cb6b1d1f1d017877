"""Whether two processors wrote the same reports: python compare.py HERE.jsonl THERE.jsonl."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

MOST = 1e-3
"""By how much log-probabilities may differ: other kernels add up in another order."""


def main() -> None:
    """Print what differs, and end with 1 where words do."""
    here, there = (_reports(Path(path)) for path in sys.argv[1:3])
    if not here or list(here) != list(there):
        sys.exit(f"they are of other films: {sorted(here)} and {sorted(there)}")
    for film in here:
        if here[film]["tokens"] != there[film]["tokens"]:
            sys.exit(f"{film} has other words:\n  {here[film]['text']}\n  {there[film]['text']}")
    difference = max(abs(here[film]["log_prob"] - there[film]["log_prob"]) for film in here)
    if difference > MOST:
        sys.exit(f"log-probabilities differ by up to {difference:.2g}")
    print(
        f"{len(here)} reports have the same words as on {platform.machine()}; "
        f"log-probabilities differ by up to {difference:.2g}"
    )


def _reports(path: Path) -> dict[str, dict[str, Any]]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {row["film"]: row for row in rows}


if __name__ == "__main__":
    main()
