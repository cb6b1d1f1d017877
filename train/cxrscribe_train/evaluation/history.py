"""How often a run was evaluated on a split: the more often, the more its test figures are choices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

HISTORY_FILE: Final = "evaluations.jsonl"


def record_evaluation(
    run: Path, corpus: str, corpus_sha256: str, split: str, about: Mapping[str, object]
) -> int:
    """Note an evaluation in the run's folder; returns how many of this split of this corpus it has now.

    A corpus is known by the sha256 of its `reports.csv`, wherever its folder lies and whatever it is called;
    in lines of earlier versions, which lack that, by the name `corpus` of the folder. A line that can't be
    read counts for nothing. Raises OSError when the folder can't be written to.
    """
    path = run / HISTORY_FILE
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    times = 1 + sum(_is_of(line, corpus, corpus_sha256, split) for line in lines)
    record = {"corpus": corpus, "corpus_sha256": corpus_sha256, "split": split, **about}
    with path.open("a", encoding="utf-8") as file:
        if lines and not path.read_text(encoding="utf-8", errors="replace").endswith("\n"):
            file.write("\n")  # the end of a line that was cut
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return times


def _is_of(line: str, corpus: str, corpus_sha256: str, split: str) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    if not isinstance(record, dict) or record.get("split") != split:
        return False
    if "corpus_sha256" in record:
        return bool(record["corpus_sha256"] == corpus_sha256)
    return bool(record.get("corpus") == corpus)
