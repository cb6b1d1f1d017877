"""What a run was begun with: recorded once, and compared whenever it is gone on with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cxrscribe
import cxrscribe.archive
from cxrscribe.archive import Run, open_run, score_shards
from cxrscribe.archive import identity as identity_module
from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.rows.row import RowChoice
from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject
from cxrscribe.reporter import Reporter
from support.edited_manifest import edit_manifest

Begin = Callable[..., Run]


def test_run_that_is_begun_again_is_the_same(begin: Begin, archive: Path) -> None:
    first = begin(archive)
    for again in (begin(archive), begin(), open_run(first.place.path)):
        assert (again.run_id, again.started, again.plan) == (first.run_id, first.started, first.plan)


def test_identity_survives_its_file(begin: Begin, archive: Path) -> None:
    identity = begin(archive).identity
    read = type(identity).from_json(JsonObject(json.loads(json.dumps(identity.to_json())), "run.json"))
    assert read == identity
    assert read.run_id == identity.run_id


def test_identity_of_a_run_by_beam_search_is_what_it_was_before_there_were_samples(
    begin: Begin, archive: Path
) -> None:
    settings = begin(archive).identity.to_json()["settings"]
    assert isinstance(settings, dict)
    assert list(settings) == [
        "beam_width",
        "max_length",
        "min_length",
        "length_penalty",
        "n_best",
        "no_repeat_ngram",
        "banned_words",
    ]


def test_samples_are_part_of_the_identity_and_rows_are_the_reporters(
    begin: Begin, archive: Path, reporter: Reporter, tmp_path: Path
) -> None:
    drawn = replace(reporter.settings, decoding="consensus", samples=4, temperature=0.7, seed=1)
    run = begin(archive, settings=drawn)
    assert run.identity.settings == drawn
    assert open_run(run.place.path).identity == run.identity
    assert run.run_id != begin(archive, path=tmp_path / "other", settings=replace(drawn, seed=2)).run_id
    with pytest.raises(InputError, match=r"settings\.seed was 1 and is 2.*another --run"):
        begin(archive, settings=replace(drawn, seed=2))
    list(score_shards(run, run.generation().missing(), reporter))
    for film, row in newest_rows(run):
        report = reporter.report(archive / film.film, drawn)
        assert row.report is not None
        assert (row.report.tokens, row.report.score) == (report.tokens, report.score)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        (
            {"settings": cxrscribe.BeamSettings(beam_width=2, max_length=100)},
            "settings.beam_width was 3 and is 2",
        ),
        ({"choice": RowChoice(token_log_probs=True)}, "rows.token_log_probs was false and is true"),
        ({"format_name": "parquet"}, 'format was "jsonl" and is "parquet"'),
        ({"shard_films": 20}, "shard_films was 10 and is 20"),
    ],
)
def test_other_settings_are_refused_by_name(
    begin: Begin, archive: Path, changed: dict[str, Any], field: str
) -> None:
    begin(archive)
    with pytest.raises(InputError, match=rf"{field}.*another --run"):
        begin(archive, **changed)


def test_other_sources_are_refused_by_name(begin: Begin, archive: Path) -> None:
    begin(archive)
    with pytest.raises(InputError, match=rf'sources was \["{archive}"\].*another --run'):
        begin(archive / "000")


def test_other_bundle_is_refused(begin: Begin, archive: Path, tmp_path: Path, reporter: Reporter) -> None:
    run = begin(archive)
    folder = tmp_path / "bundle"
    shutil.copytree(cxrscribe.demo_bundle(), folder)
    edit_manifest(folder, lambda fields: fields.update(licence="another"))
    with cxrscribe.load(folder, device="cpu") as other:
        with pytest.raises(InputError, match=r"bundle was .* and is "):
            run.check(other)
        with pytest.raises(InputError, match="begun with something else: bundle"):
            score_shards(run, [0], other)
        shutil.rmtree(folder)
        shutil.copytree(cxrscribe.demo_bundle(), folder)
        with pytest.raises(InputError, match="has changed since it was opened"):
            run.check(other)
    run.check(reporter)


def test_other_versions_are_refused_unless_they_are_accepted(
    begin: Begin, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(archive)
    other = {**run.identity.versions, "pillow": "0.1"}
    monkeypatch.setattr(identity_module, "installed_versions", lambda _: other)
    with pytest.raises(InputError, match=r'versions\.pillow was .* and is "0\.1".*--accept runtime'):
        begin(archive)
    assert begin(archive, accept_runtime=True).run_id == run.run_id
    assert begin(archive).run_id == run.run_id  # from then on it is known


def test_of_two_who_begin_with_other_settings_one_is_refused(begin: Begin, archive: Path) -> None:
    def attempt(width: int) -> Run | InputError:
        try:
            return begin(archive, settings=cxrscribe.BeamSettings(beam_width=width))
        except InputError as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(attempt, range(1, 5)))
    runs = [end for end in ends if isinstance(end, Run)]
    assert len(runs) == 1
    assert all("settings.beam_width" in str(end) for end in ends if isinstance(end, InputError))


def test_run_that_was_changed_is_refused(begin: Begin, archive: Path) -> None:
    path = begin(archive).place.path
    document = json.loads((path / "run.json").read_text())
    document["identity"]["settings"]["beam_width"] = 7
    (path / "run.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="don't belong together"):
        open_run(path)


def test_folder_without_a_run_is_named(tmp_path: Path, begin: Begin) -> None:
    with pytest.raises(InputError, match=f"{tmp_path} holds no run"):
        open_run(tmp_path)
    with pytest.raises(InputError, match="holds no run yet; give the folders"):
        begin(path=tmp_path)


def test_threads_and_workers_are_no_part_of_it(begin: Begin, archive: Path) -> None:
    run = begin(archive)
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu", threads=2) as other:
        run.check(other)
    assert replace(run.identity, root="/elsewhere").run_id != run.run_id


def test_public_names_are_these() -> None:
    assert set(cxrscribe.archive.__all__) == {"Receipt", "Run", "begin_run", "open_run", "score_shards"}


def test_runtime_does_not_bring_the_archive() -> None:
    script = "import sys, cxrscribe; cxrscribe.load; print('cxrscribe.archive' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_bundle_that_is_in_no_folder_can_not_begin_a_run(
    begin: Begin, archive: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "folder", None)
    with pytest.raises(InputError, match="isn't in a folder"):
        begin(archive)
