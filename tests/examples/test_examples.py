"""The programs in examples/, run as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxrscribe
from cxrscribe.archive import open_run
from cxrscribe.archive.comparison import newest_rows

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LONGEST = 150


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with two films, one of them in a folder of its own, a damaged film, and a text."""
    folder = tmp_path / "archive"
    (folder / "nested").mkdir(parents=True)
    random = np.random.default_rng(3)
    for name in ("a.png", "nested/b.jpg"):
        Image.fromarray(random.integers(0, 256, (60, 50), dtype=np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (folder / "readme.txt").write_text("no film")
    return folder


def run(program: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(EXAMPLES / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_one_film(small_bundle: Path, archive: Path) -> None:
    film = archive / "a.png"
    result = run("one_film.py", film, small_bundle)
    assert (result.returncode, result.stderr) == (0, "")
    with cxrscribe.load(small_bundle) as reporter:
        assert result.stdout.splitlines()[0] == reporter.report(film).text
        assert result.stdout.splitlines()[-1] == reporter.disclaimer


def test_archive_is_scored_once_and_has_a_row_for_each_film(
    small_bundle: Path, archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    result = run("archive.py", archive, out, small_bundle)
    assert (result.returncode, result.stderr) == (1, "")
    assert "3 films done, 1 of them without a report" in result.stdout
    again = run("archive.py", archive, out, small_bundle)
    assert (again.returncode, again.stderr) == (0, "")
    assert "0 films done" in again.stdout
    rows = {film.film: row for film, row in newest_rows(open_run(out))}
    assert list(rows) == ["a.png", "broken.png", "nested/b.jpg"]
    assert rows["broken.png"].reason == "truncated"
    with cxrscribe.load(small_bundle) as reporter:
        for film in ("a.png", "nested/b.jpg"):
            report = reporter.report(archive / film)
            assert rows[film].report is not None
            assert (rows[film].report.text, rows[film].report.log_prob) == (report.text, report.log_prob)


def test_features_then_reports(small_bundle: Path, archive: Path) -> None:
    film = archive / "a.png"
    result = run("features_then_reports.py", film, small_bundle)
    assert (result.returncode, result.stderr) == (0, "")
    settings = cxrscribe.BeamSettings(beam_width=5, n_best=5, length_penalty=0.7)
    with cxrscribe.load(small_bundle) as reporter:
        best = reporter.report(film, settings)
        greedy = reporter.report(film, cxrscribe.BeamSettings(beam_width=1))
    numbered = [line for line in result.stdout.splitlines() if line[:1].isdigit()]
    expected = [(1, greedy), *enumerate((best, *best.alternatives), start=1)]
    assert numbered == [
        f"{rank}. log_prob {report.log_prob:.3f}, score {report.score:.3f}: {report.text}"
        for rank, report in expected
    ]


@pytest.mark.parametrize("program", ["one_film.py", "features_then_reports.py"])
def test_film_that_is_missing_is_named(small_bundle: Path, tmp_path: Path, program: str) -> None:
    result = run(program, tmp_path / "none.png", small_bundle)
    assert result.returncode == 1
    assert str(tmp_path / "none.png") in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_program_is_short_listed_and_says_how_it_is_used(program: Path) -> None:
    assert len(program.read_text(encoding="utf-8").splitlines()) < LONGEST
    assert program.name in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    result = run(program.name)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"usage: python {program.name}" in result.stderr
