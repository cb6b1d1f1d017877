from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from cxrscribe.errors import InputError
from cxrscribe_train.commands.corpus import corpus
from cxrscribe_train.corpus import fetch as fetch_module
from cxrscribe_train.corpus.split import HashSplit
from cxrscribe_train.corpus.table import read_reports

if TYPE_CHECKING:
    from conftest import FileServer


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(corpus, [str(argument) for argument in arguments])


def _error(*arguments: object) -> str:
    error = _run(*arguments).exception
    assert isinstance(error, InputError)
    return str(error)


def test_nlmcxr_prints_every_count(collection: Path, tmp_path: Path) -> None:
    result = _run("nlmcxr", collection, "--out", tmp_path / "out")
    assert result.exit_code == 0
    table = {line.rsplit(maxsplit=1)[0].strip(): line.split()[-1] for line in result.stdout.splitlines()}
    assert table["files"] == table["studies"] == table["images"] == "4"
    assert table["studies without image"] == "1"
    assert table["studies without findings"] == "2"
    assert table["image files missing"] == "3"
    assert table["FINDINGS tokens, mean"] == "4.5"
    assert result.stderr == ""


def test_nlmcxr_json_is_the_summary_file(collection: Path, tmp_path: Path) -> None:
    result = _run("nlmcxr", collection, "--out", tmp_path / "out", "--json")
    assert result.stdout == (tmp_path / "out" / "summary.json").read_text(encoding="utf-8")
    assert json.loads(result.stdout)["malformed"] == []


def test_nlmcxr_names_malformed_files_and_exits_1(collection: Path, tmp_path: Path) -> None:
    (collection / "ecgen-radiology" / "5.xml").write_text("<eCitation>")
    result = _run("nlmcxr", collection, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("skipped 5.xml: malformed XML")
    assert len(read_reports(tmp_path / "out").rows) == 5


def test_nlmcxr_splits_by_seed_and_shares(collection: Path, tmp_path: Path) -> None:
    shares = ("--seed", 3, "--train", 0.5, "--validation", 0.5)
    _run("nlmcxr", collection, "--out", tmp_path / "out", *shares)
    rows = read_reports(tmp_path / "out").rows
    assert [row.split for row in rows] == [HashSplit(3, 0.5, 0.5)(row.study_id) for row in rows]


def test_nlmcxr_reports_strangers_in_a_split_file_and_refuses_shares_beside_it(
    collection: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "split.json"
    listed.write_text(json.dumps({"test": ["CXR1", "CXR1", *(f"CXR{number}" for number in range(50, 65))]}))
    options = ("nlmcxr", collection, "--out", tmp_path / "out", "--split-file", listed)
    result = _run(*options)
    assert result.exit_code == 0
    assert "1 ids are in the split file more than once: CXR1" in result.stderr
    assert "15 ids are in the split file, but not in the corpus: CXR50, " in result.stderr
    assert result.stderr.rstrip().endswith("...")
    for option in (("--seed", 0), ("--train", 0.8), ("--validation", 0.1)):
        assert f"decides the split alone; leave out {option[0]}" in _error(*options, *option)


def test_the_help_tells_the_defaults_of_the_hash_split() -> None:
    listed = " ".join(_run("nlmcxr", "--help").stdout.split())
    default = HashSplit()
    for told in (
        f"hash of the study id. [default: {default.seed}]",
        f"not for testing. [default: {default.train}]",
        f"validate. [default: {default.validation}]",
    ):
        assert told in listed


def test_fetch_says_what_it_verified_against(file_server: FileServer, tmp_path: Path) -> None:
    options = ("fetch", "nlmcxr", "--out", tmp_path, "--url", file_server.url)
    first = _run(*options, "--json")
    assert first.exit_code == 0
    assert "verified against nothing yet: it is the first download" in first.stderr
    digest = hashlib.sha256(file_server.content).hexdigest()
    assert json.loads(first.stdout)[0]["sha256"] == digest
    assert "verified against the value recorded at the first download" in _run(*options).stderr
    assert "verified against the given value" in _run(*options, "--sha256", digest).stderr


def test_fetch_without_out_makes_a_folder_of_the_collections_name(
    file_server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run("fetch", "nlmcxr", "--url", file_server.url).exit_code == 0
    assert (tmp_path / "nlmcxr" / "NLMCXR_reports.tgz").read_bytes() == file_server.content


def test_fetch_all_gets_both_archives(
    file_server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images_url = file_server.url.replace("reports.tgz", "png.tgz")
    monkeypatch.setattr(fetch_module, "NLMCXR_URLS", {"reports": file_server.url, "images": images_url})
    digest = hashlib.sha256(file_server.content).hexdigest()
    options = ("fetch", "nlmcxr", "--out", tmp_path, "--what", "all")
    assert "1 times --sha256 for 2 archives" in _error(*options, "--sha256", digest)
    assert "--url is the address of one archive" in _error(*options, "--url", file_server.url)
    assert _run(*options, "--sha256", digest, "--sha256", digest).exit_code == 0
    for name in ("NLMCXR_reports.tgz", "NLMCXR_png.tgz"):
        assert (tmp_path / name).read_bytes() == file_server.content


def test_the_public_addresses() -> None:
    assert list(fetch_module.NLMCXR_URLS.values()) == [
        "https://openi.nlm.nih.gov/imgs/collections/NLMCXR_reports.tgz",
        "https://openi.nlm.nih.gov/imgs/collections/NLMCXR_png.tgz",
    ]
