"""`cxrscribe report --sr`."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pydicom
import pytest
from click.testing import Result

from cxrscribe.cli.report_documents import content_time
from cxrscribe.errors import InputError
from cxrscribe.structured_report.document import PREFIX, read_document
from support.archive_films import small_film
from support.dicom_file import NAME
from support.identified_film import INSTANCE, SERIES, identified_film

Run = Callable[..., Result]


@pytest.fixture
def dicoms(tmp_path: Path) -> Path:
    """Two films of one study, and a third of another."""
    folder = tmp_path / "dicoms"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(identified_film(0))
    (folder / "b.dcm").write_bytes(identified_film(1, SOPInstanceUID="1.2.3.5"))
    (folder / "c.dcm").write_bytes(identified_film(2, StudyInstanceUID="1.2.9"))
    return folder


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")  # 2023-11-14 22:13:20 UTC


def documents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_one_film_has_one_file_with_its_words(
    run: Run, small_bundle: Path, dicoms: Path, tmp_path: Path
) -> None:
    plain = run("report", dicoms / "a.dcm", "--bundle", small_bundle, "--json")
    result = run("report", dicoms / "a.dcm", "--bundle", small_bundle, "--json", "--sr", "one.dcm")
    assert (result.exit_code, result.stdout) == (0, plain.stdout)
    found = pydicom.dcmread(tmp_path / "one.dcm")
    assert (found.ContentDate, found.ContentTime) == ("20231114", "221320")
    assert read_document((tmp_path / "one.dcm").read_bytes()).films == (INSTANCE,)
    (row,) = (json.loads(line) for line in plain.stdout.splitlines())
    assert found.ContentSequence[7].ContentSequence[0].TextValue == (PREFIX + row["text"]).rstrip()
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "one.dcm").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_same_clock_gives_the_same_bytes_and_another_another_document(
    run: Run, small_bundle: Path, dicoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("report", dicoms / "a.dcm", "--bundle", small_bundle, "--sr")
    for name in ("one.dcm", "two.dcm"):
        assert run(*options, name).exit_code == 0
    assert run(*options, "wide.dcm", "--beam-width", "1").exit_code == 0
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000001")
    assert run(*options, "later.dcm").exit_code == 0
    one, two, wide, later = (
        (tmp_path / name).read_bytes() for name in ("one.dcm", "two.dcm", "wide.dcm", "later.dcm")
    )
    assert one == two
    assert len({read_document(each).uid for each in (one, wide, later)}) == 3


def test_several_films_go_to_a_folder_by_their_uids(
    run: Run, small_bundle: Path, dicoms: Path, tmp_path: Path
) -> None:
    result = run("report", dicoms, "--bundle", small_bundle, "--sr", "out", "--json")
    assert result.exit_code == 0
    assert "3 structured reports in out; 0 reports have none" in result.stderr
    found = documents(tmp_path / "out")
    assert {name: read_document(each).uid + ".dcm" for name, each in found.items()} == {
        name: name for name in found
    }
    assert len(found) == 3
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    again = run("report", dicoms, "--bundle", small_bundle, "--sr", "out", "--json")
    assert again.exit_code == 0  # the same bytes are there
    assert documents(tmp_path / "out") == found
    changed = tmp_path / "out" / next(iter(found))
    changed.write_bytes(b"something else")
    refused = run("report", dicoms, "--bundle", small_bundle, "--sr", "out", "--json")
    assert refused.exit_code == 2
    assert "exists; give --overwrite" in refused.stderr
    assert run("report", dicoms, "--bundle", small_bundle, "--sr", "out", "--overwrite").exit_code == 0
    assert documents(tmp_path / "out") == found


def test_a_file_is_for_one_report_and_is_not_replaced(
    run: Run, small_bundle: Path, dicoms: Path, tmp_path: Path
) -> None:
    options = ("--bundle", small_bundle, "--sr", "one.dcm")
    result = run("report", dicoms, *options)
    assert result.exit_code == 2
    assert (
        "one.dcm can have one structured report, and there are 3 films; give --sr a folder" in result.stderr
    )
    assert result.stdout == ""
    assert run("report", "-", *options, stdin=f"{dicoms / 'a.dcm'}\n").exit_code == 2
    (tmp_path / "one.dcm").write_bytes(b"mine")
    result = run("report", dicoms / "a.dcm", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "one.dcm exists; give --overwrite" in result.stderr
    assert (tmp_path / "one.dcm").read_bytes() == b"mine"
    assert run("report", dicoms / "a.dcm", *options, "--overwrite").exit_code == 0
    assert read_document((tmp_path / "one.dcm").read_bytes()).films == (INSTANCE,)
    (tmp_path / "file").write_bytes(b"")
    assert "is no folder" in run("report", dicoms, "--bundle", small_bundle, "--sr", "file").stderr


def test_film_itself_is_never_replaced(run: Run, small_bundle: Path, dicoms: Path, tmp_path: Path) -> None:
    film = dicoms / "a.dcm"
    (tmp_path / "link.dcm").hardlink_to(film)
    before = film.read_bytes()
    for name in (film, tmp_path / "link.dcm"):
        result = run("report", film, "--bundle", small_bundle, "--sr", name, "--overwrite")
        assert result.exit_code == 2
        assert "is the film; give --sr another name" in result.stderr
    assert film.read_bytes() == before


def test_file_of_a_film_that_is_done_stays_with_resume(
    run: Run, small_bundle: Path, dicoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("report", dicoms / "a.dcm", "--bundle", small_bundle, "--sr", "one.dcm", "--out", "out.jsonl")
    assert run(*options).exit_code == 0
    found = (tmp_path / "one.dcm").read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000001")
    result = run(*options, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "0 structured reports in one.dcm" in result.stderr
    (tmp_path / "out.jsonl").write_bytes(b"")  # as if its row hadn't been written
    result = run(*options, "--resume")
    assert result.exit_code == 2
    assert "one.dcm exists" in result.stderr
    assert (tmp_path / "one.dcm").read_bytes() == found


def test_films_of_a_study_are_all_in_one(run: Run, small_bundle: Path, dicoms: Path, tmp_path: Path) -> None:
    options = ("--bundle", small_bundle, "--by", "study", "--study-from", "dicom", "--sr")
    result = run("report", dicoms, *options, "out")
    assert result.exit_code == 0, result.stderr
    films = sorted(read_document(each).films for each in documents(tmp_path / "out").values())
    assert films == [(INSTANCE,), (INSTANCE, "1.2.3.5")]
    # Films that weren't read are no evidence.
    (dicoms / "b.dcm").write_bytes(identified_film(1)[:-50])
    result = run("report", dicoms / "a.dcm", dicoms / "b.dcm", *options, "one.dcm")
    assert "Left out of its study" in result.stderr
    assert read_document((tmp_path / "one.dcm").read_bytes()).films == (INSTANCE,)


def test_study_of_several_patients_studies_has_none(run: Run, small_bundle: Path, dicoms: Path) -> None:
    result = run("report", dicoms, "--bundle", small_bundle, "--by", "study", "--sr", "one.dcm")
    assert result.exit_code == 1
    why = "c.dcm: has no structured report: it is of another study (StudyInstanceUID) than the first"
    assert why in result.stderr
    assert "0 structured reports in one.dcm; 1 reports have none" in result.stderr
    assert result.stdout
    assert not Path("one.dcm").exists()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("film.png", small_film(0), "film.png: has no structured report: it is no DICOM file"),
        (
            "x.dcm",
            identified_film(StudyInstanceUID=""),
            "x.dcm: has no structured report: it has no valid Study",
        ),
        (
            "x.dcm",
            identified_film().replace(SERIES.encode(), NAME[:16].encode()),
            "it has no valid SeriesInstanceUID",
        ),
    ],
)
def test_film_that_can_have_none_is_named_and_reported_all_the_same(
    run: Run, small_bundle: Path, tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(content)
    result = run("report", name, "--bundle", small_bundle, "--sr", "one.dcm")
    assert result.exit_code == 1
    assert why in result.stderr
    assert NAME not in result.stderr
    assert name in result.stdout
    assert not (tmp_path / "one.dcm").exists()


def test_without_the_extra_it_says_so(
    run: Run, small_bundle: Path, dicoms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxrscribe.cli.report_documents.find_spec", lambda name: None)
    result = run("report", dicoms / "a.dcm", "--bundle", small_bundle, "--sr", "one.dcm")
    assert result.exit_code == 2
    assert "pip install" in result.stderr


def test_folder_that_cannot_be_made_is_named(
    run: Run, small_bundle: Path, dicoms: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = run("report", dicoms / "a.dcm", "--bundle", small_bundle, "--sr", Path("file") / "one.dcm")
    assert result.exit_code == 2
    assert "one.dcm can't be written" in result.stderr
    result = run("report", dicoms / "a.dcm", "--bundle", small_bundle, "--sr", Path("file") / "out")
    assert result.exit_code == 2
    assert "can't be made" in result.stderr


def test_time_is_the_clocks_unless_the_environment_says_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert content_time() == datetime(2023, 11, 14, 22, 13, 20)  # noqa: DTZ001
    for wrong in ("soon", "1e9", "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        with pytest.raises(InputError, match="SOURCE_DATE_EPOCH"):
            content_time()
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    before = datetime.now().replace(microsecond=0)  # noqa: DTZ005
    assert before <= content_time() <= datetime.now()  # noqa: DTZ005


def test_series_of_the_document_is_not_the_films(
    run: Run, small_bundle: Path, dicoms: Path, tmp_path: Path
) -> None:
    assert run("report", dicoms / "a.dcm", "--bundle", small_bundle, "--sr", "one.dcm").exit_code == 0
    assert pydicom.dcmread(tmp_path / "one.dcm").SeriesInstanceUID != SERIES
