from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.nlmcxr import tabulate
from cxrscribe_train.corpus.split import HashSplit, read_split
from cxrscribe_train.corpus.study import MAX_XML_BYTES
from cxrscribe_train.corpus.table import read_reports


def _pack(root: Path, archive: Path, extra: dict[str, bytes] | None = None) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root / "ecgen-radiology", "ecgen-radiology")
        for name, content in (extra or {}).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive


def test_every_image_and_every_study_without_image_has_a_row(collection: Path) -> None:
    tabulate(collection, collection)
    rows = read_reports(collection).rows
    # Natural order; the study without image keeps its place.
    assert [row.image_id or row.study_id for row in rows] == [
        "CXR1_IM-1-1001",
        "CXR1_IM-1-2001",
        "CXR2_IM-2-1001",
        "CXR9_IM-9-1001",
        "CXR10",
    ]
    assert [row.image_path for row in rows] == ["", "images/CXR1_IM-1-2001.png", "", "", ""]
    assert rows[0].findings == rows[1].findings == "Lungs are clear."
    assert rows[2].mesh == "Cardiomegaly/mild;Scoliosis"
    assert rows[0].split == rows[1].split == HashSplit()("CXR1")


def test_everything_is_counted(collection: Path, tmp_path: Path) -> None:
    summary = tabulate(collection, tmp_path / "out")
    assert (summary.files, summary.studies, summary.images) == (4, 4, 4)
    assert (summary.image_files_found, summary.image_files_missing, summary.image_files_unnamed) == (1, 3, 1)
    assert (summary.studies_without_image, summary.studies_without_findings) == (1, 2)
    assert (summary.studies_without_impression, summary.studies_without_both) == (2, 1)
    assert sum(size.studies for size in summary.splits.values()) == 4
    assert sum(size.images for size in summary.splits.values()) == 4
    assert sum(size.usable_images for size in summary.splits.values()) == 1
    # "lungs are clear ." and "no effusion no mass ."
    lengths = summary.findings_tokens
    assert (lengths.mean, lengths.p50, lengths.p90, lengths.max) == (4.5, 4, 5, 5)
    written = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert written == json.loads(summary.to_json())
    assert written["studies_without_findings"] == 2


def test_images_outside_the_corpus_get_absolute_paths(collection: Path, tmp_path: Path) -> None:
    tabulate(collection, tmp_path / "out", images=collection / "images")
    corpus = read_reports(tmp_path / "out")
    expected = (collection / "images" / "CXR1_IM-1-2001.png").resolve()
    assert corpus.rows[1].image_path == str(expected)
    assert corpus.image_file(corpus.rows[1]) == expected


@pytest.mark.parametrize("form", ["folder", "reports", "archive", "folder with archive"])
def test_folder_and_archive_give_the_same_table(collection: Path, tmp_path: Path, form: str) -> None:
    tabulate(collection, tmp_path / "expected")
    archive = _pack(collection, collection / "NLMCXR_reports.tgz")
    root = {"reports": collection / "ecgen-radiology", "archive": archive}.get(form, collection)
    if form == "folder with archive":
        (collection / "ecgen-radiology").rename(tmp_path / "elsewhere")
    tabulate(root, tmp_path / "out")
    for name in ("reports.csv", "summary.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()


def test_malformed_files_are_named_and_the_rest_is_tabled(collection: Path, tmp_path: Path) -> None:
    reports = collection / "ecgen-radiology"
    (reports / "5.xml").write_bytes(b"<eCitation>")
    (reports / "6.xml").write_bytes((reports / "1.xml").read_bytes())
    (reports / "7.xml").write_bytes(b" " * (MAX_XML_BYTES + 1))
    (reports / "8.xml").mkdir()
    (reports / "notes.txt").write_text("not a report")
    (reports / "._1.xml").write_bytes(b"\0")
    summary = tabulate(collection, tmp_path / "out")
    assert (summary.files, summary.studies, summary.malformed_files) == (8, 4, 4)
    reasons = (
        "5.xml: malformed XML",
        "6.xml: study 'CXR1' stands in",
        "7.xml: 131073 bytes",
        "8.xml: can't be read",
    )
    for problem, reason in zip(summary.malformed, reasons, strict=True):
        assert problem.startswith(reason)


def test_archive_members_never_reach_the_disk(collection: Path, tmp_path: Path) -> None:
    extra = {"../../escape.xml": b"<a/>", "/absolute.xml": b"<a/>", "big.xml": b" " * (MAX_XML_BYTES + 1)}
    archive = _pack(collection, tmp_path / "NLMCXR_reports.tgz", extra)
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        link = tarfile.TarInfo("2.xml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    before = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
    summary = tabulate(archive, tmp_path / "out")
    assert [problem.partition(":")[0] for problem in summary.malformed] == [
        "escape.xml",
        "absolute.xml",
        "big.xml",
    ]
    assert {path for path in tmp_path.rglob("*") if "out" not in path.parts} == before
    with pytest.raises(InputError, match=r"no readable report.*2\.xml: is no plain file"):
        tabulate(tmp_path / "link.tar", tmp_path / "out2")


def test_a_damaged_archive_is_refused(collection: Path, tmp_path: Path) -> None:
    archive = _pack(collection, tmp_path / "NLMCXR_reports.tgz")
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"NLMCXR_reports\.tgz can't be read as an archive"):
        tabulate(archive, tmp_path / "out")
    archive.write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match="can't be read as an archive"):
        tabulate(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_root_without_reports_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no reports in"):
        tabulate(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="no reports in"):
        tabulate(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "ecgen-radiology").mkdir()
    with pytest.raises(InputError, match="no readable report"):
        tabulate(tmp_path, tmp_path / "out")


def test_a_missing_image_folder_is_refused(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image folder"):
        tabulate(collection, tmp_path / "out", images=tmp_path / "absent")


def test_listed_split_leaves_others_unused_and_reports_strangers(collection: Path, tmp_path: Path) -> None:
    listed = tmp_path / "split.json"
    listed.write_text(
        '{"train": ["CXR1_IM-1", "CXR1_IM-1"], "val": ["CXR77"], "test": ["CXR2"]}', encoding="utf-8"
    )
    summary = tabulate(collection, tmp_path / "out", split=read_split(listed))
    assert [row.split for row in read_reports(tmp_path / "out").rows] == ["train", "train", "test", "", ""]
    assert {name: size.studies for name, size in summary.splits.items()} == {
        "train": 1,
        "val": 0,
        "test": 1,
        "": 2,
    }
    assert summary.split_ids_unknown == ("CXR77",)
    assert summary.split_ids_repeated == ("CXR1_IM-1",)


def test_adding_studies_moves_none(collection: Path, tmp_path: Path) -> None:
    tabulate(collection, tmp_path / "all")
    (collection / "ecgen-radiology" / "2.xml").unlink()
    tabulate(collection, tmp_path / "fewer")
    fewer = read_reports(tmp_path / "fewer").rows
    assert fewer == tuple(row for row in read_reports(tmp_path / "all").rows if row.study_id != "CXR2")


def test_the_real_collection_has_its_known_counts(shared_data: Path, tmp_path: Path) -> None:
    summary = tabulate(
        shared_data / "nlmcxr" / "NLMCXR_reports.tgz",
        tmp_path,
        shared_data / "films" / "iu",
        read_split(shared_data / "nlmcxr" / "r2gen_split.json"),
    )
    assert (summary.files, summary.studies, summary.images, summary.malformed) == (3955, 3955, 7470, ())
    assert 3955 - summary.studies_without_findings == 3425
    assert 3955 - summary.studies_without_impression == 3921
    assert (summary.studies_without_both, summary.studies_without_image) == (28, 104)
    assert (summary.image_files_found, summary.image_files_unnamed) == (8, 0)
    sizes = {name: size.studies for name, size in summary.splits.items()}
    assert sizes == {"train": 2069, "val": 296, "test": 590, "": 1000}
    assert summary.split_ids_unknown == summary.split_ids_repeated == ()
    assert len(read_reports(tmp_path).rows) == 7470 + 104
