"""Nobody's name and number leave the plan and the parts: not in logs, metrics, messages or tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEGBaseline8Bit

from cxrscribe.archive import open_run
from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.verify import verify
from support.archive_films import small_film, write_tar
from support.dicom_file import NAME, NUMBER, dicom, encapsulated, written

PLANTED = (NAME, NAME.partition("^")[0], NUMBER, "Doe_Jane", "ID-4711")
GREY = np.random.default_rng(0).integers(0, 4000, (64, 64)).astype(np.uint16)
COLUMNS = (
    {"Modality": "CR"},
    {"Modality": "MG"},
    {"Modality": "DX", "WindowCenter": 5, "WindowWidth": -1},
    {"Modality": "CR", "HighBit": 15},
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Films whose names and attributes name a patient: good ones, and ones of many kinds of damage."""
    folder = tmp_path / "archive" / "Doe_Jane"
    folder.mkdir(parents=True)
    for number, attributes in enumerate(COLUMNS):
        content = written(dicom(GREY, bits=12, **attributes))
        (folder / f"ID-4711-{number}.dcm").write_bytes(content)
        (folder / f"ID-4711-{number}-cut.dcm").write_bytes(content[: len(content) // 2])
    (folder / "ID-4711-odd.dcm").write_bytes(encapsulated(b"\xff\xd8\xff nonsense", GREY, JPEGBaseline8Bit))
    (folder / "ID-4711.png").write_bytes(small_film(0))
    (folder / "ID-4711-gone.png").write_bytes(small_film(1))
    write_tar(
        folder / "ID-4711.tar", {"Doe_Jane/ID-4711.png": small_film(2), "ID-4711-cut.png": small_film(3)[:90]}
    )
    return tmp_path / "archive"


@pytest.mark.parametrize("workers", [1, 2])
def test_planted_names_are_nowhere_but_in_plan_and_parts(archive: Path, tmp_path: Path, workers: int) -> None:
    run = tmp_path / "run"
    said = ""

    def command(*arguments: object, debug: bool = False) -> None:
        nonlocal said
        words = [sys.executable, *(["-X", "dev"] if debug else []), "-m", "cxrscribe", "score", *arguments]
        done = subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        )
        assert done.returncode in (0, 1), done.stderr
        said += done.stdout + done.stderr

    way = ("--workers", workers, "--device", "cpu", "--max-quarantined", 1)
    command(archive, "--run", run, "--shard-films", 4, "--plan-only", *way)
    (archive / "Doe_Jane" / "ID-4711-gone.png").unlink()
    command("--run", run, *way)
    command("retry", run, *way)
    command("status", run)
    command("verify", run, "--deep", "--sample", 3, "--device", "cpu")
    opened = open_run(run)
    assert verify(opened).missing == 0
    assert sum(row.reason is not None for _, row in newest_rows(opened)) >= 8
    assert any("Doe_Jane" in row.film for _, row in newest_rows(opened))
    for _, row in newest_rows(opened):
        assert not any(word in (row.message or "") for word in PLANTED), row.message
    texts = {"output": said} | {
        str(path.relative_to(run)): path.name + path.read_text(encoding="utf-8")
        for path in run.rglob("*")
        if path.is_file() and not path.name.endswith(".jsonl.gz")
    }
    assert any(name.startswith("events/") for name in texts)
    assert "progress.prom" in texts
    found = {name for name, text in texts.items() if any(word in text for word in PLANTED)}
    assert found == set()
