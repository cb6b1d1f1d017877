"""Runs, their shards and tars, and what is remembered of them in `sent/`."""

# ruff: noqa: E402 (nothing here can be imported without the extra)
from __future__ import annotations

import errno
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

REASON = "the extra send isn't installed"
pytest.importorskip("dicomweb_client", reason=REASON)
pytest.importorskip("pynetdicom", reason=REASON)

from click.testing import CliRunner

from cxrscribe.archive import Run, layout, sr_tar
from cxrscribe.archive.generation import write_retry
from cxrscribe.archive.sending.ledger import Ledger, SentShard, ShardKey, ledgers
from cxrscribe.archive.verify import verify
from cxrscribe.cli.main import main
from cxrscribe.errors import InputError, Reason
from support.send_command import once, send, sent
from support.small_reports import pretend_scored, small_report, uid
from support.web_pacs import Answer, WebPacs, web_pacs

Begin = Callable[..., Run]


def test_run_goes_to_two_places(run: Run, pacs: WebPacs) -> None:
    with web_pacs() as second:
        assert sent(run, pacs)[0] == sent(run, second)[0] == 0
        assert pacs.arrivals == second.arrivals == once(run)
        assert {each.destination for each in ledgers(run.place, run.run_id)} == {pacs.url, second.url}


def test_equal_films_of_a_shard_have_one_document(begin: Begin, archive: Path, pacs: WebPacs) -> None:
    run = begin(archive, sr=True)
    pretend_scored(run, {3: small_report(2), 5: small_report(4, "Another text.")})
    code, found = sent(run, pacs)
    assert (code, found["documents"], found["sent"]) == (1, 25, 24)
    assert [each["row"] for each in found["refused"]] == [5]
    assert set(pacs.arrivals.values()) == {1}
    assert len(pacs.arrivals) == 23


def test_shards_that_are_not_scored_are_not_sent_and_counted(
    begin: Begin, archive: Path, pacs: WebPacs
) -> None:
    run = begin(archive, sr=True)
    pretend_scored(run)
    run.place.remove(run.generation().part(1))
    code, found = sent(run, pacs)
    assert (code, found["sent"], found["unscored_shards"]) == (1, 15, 1)


def test_run_without_documents_is_refused(begin: Begin, archive: Path, pacs: WebPacs) -> None:
    run = begin(archive)
    run.place.create(run.generation().part(0), b"")
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert "was begun without --sr" in result.stderr


def test_damaged_tar_is_named(run: Run, pacs: WebPacs) -> None:
    name = layout.sr_file(0, 1)
    content = run.place.read(name)
    run.place.remove(name)
    run.place.create(name, content[:-2000])
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert f"{run.place.locate(name)} is damaged" in result.stderr


def test_tar_that_is_another_one_is_not_sent_again(run: Run, pacs: WebPacs) -> None:
    pacs.stored = {uid(3, 17): small_report(17, "Another text.")}
    assert sent(run, pacs)[0] == 1
    name = layout.sr_file(0, 1)
    run.place.remove(name)
    run.place.create(name, sr_tar.pack([(17, small_report(99))]))
    result = send(run, "--dicomweb", pacs.url, "--retry-refused")
    assert result.exit_code == 2
    assert "isn't the tar that was sent" in result.stderr


def test_record_of_another_run_is_refused(run: Run, pacs: WebPacs) -> None:
    sent(run, pacs)
    with pytest.raises(InputError, match="is of another run or shard"):
        Ledger(run.place, "0" * 64, pacs.url).records()


def test_status_says_what_was_sent(run: Run, pacs: WebPacs) -> None:
    pacs.stored = {uid(3, 7): small_report(7, "Another text.")}
    sent(run, pacs)
    with web_pacs() as second:
        sent(run, second)
        for path in run.place.names("parts"):
            run.place.remove(path)  # which are none that status could read
        result = CliRunner().invoke(main, ["score", "status", run.place.url])
        assert f"25 documents = 24 sent + 0 there already + 1 refused: {pacs.url}" in result.stdout
        found = json.loads(CliRunner().invoke(main, ["score", "status", run.place.url, "--json"]).stdout)
        assert {(each["destination"], each["sent"], each["refused"]) for each in found["sent"]} == {
            (pacs.url, 24, 1),
            (second.url, 25, 0),
        }


def test_documents_of_a_retry_are_sent_too(begin: Begin, archive: Path, pacs: WebPacs) -> None:
    run = begin(archive, sr=True)
    pretend_scored(run)
    name = layout.sr_file(0, 0)
    members = sr_tar.unpack(run.place.read(name), name)
    run.place.remove(name)
    run.place.create(name, sr_tar.pack([each for each in members if each[0] != 3]))
    assert sent(run, pacs)[1]["sent"] == 24
    write_retry(run.place, 1, {0: {3: Reason.MISSING}})
    assert sent(run, pacs)[0] == 1  # the retry isn't done
    run.place.create(layout.sr_file(1, 0), sr_tar.pack([(3, small_report(3))]))
    run.place.create(run.generation(1).part(0), b"")
    code, found = sent(run, pacs)
    assert (code, found["sent"]) == (0, 25)
    assert pacs.arrivals == once(run)


def test_dry_run_sends_nothing(run: Run, pacs: WebPacs) -> None:
    result = send(run, "--dicomweb", pacs.url, "--dry-run")
    assert (result.exit_code, pacs.counts("POST"), pacs.stored) == (0, 0, {})
    assert f"25 documents of 3 shards are to be sent to {pacs.url}" in result.stdout
    assert run.place.names(layout.SENT_FOLDER) == []


def records_of(run: Run) -> list[str]:
    return [name for name in run.place.names(layout.SENT_FOLDER) if "destination" not in name]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"schema": 2}', b"null", b"[" * 100_000])
def test_damaged_record_is_named_and_can_be_removed(run: Run, pacs: WebPacs, content: bytes) -> None:
    sent(run, pacs)
    name = records_of(run)[1]
    run.place.remove(name)
    run.place.create(name, content)
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert run.place.locate(name) in result.stderr
    assert "remove it: the next `score send` asks for the documents of its shard again" in result.stderr
    assert any(run.place.locate(name) in each for each in verify(run).problems)
    run.place.remove(name)
    assert sent(run, pacs)[0] == 0
    assert pacs.arrivals == once(run)


def test_folder_of_another_pacs_is_named(run: Run, pacs: WebPacs) -> None:
    sent(run, pacs)
    name = layout.destination_file(layout.sent_folder(pacs.url))
    run.place.remove(name)
    run.place.create(name, b'{"schema": 1, "destination": "https://elsewhere.example"}')
    with pytest.raises(InputError, match="is of another PACS"):
        list(ledgers(run.place, run.run_id))
    run.place.remove(name)
    assert list(ledgers(run.place, run.run_id)) == []


def test_what_is_remembered_is_none_of_the_problems_of_a_run(scored: Run) -> None:
    before = verify(scored)
    Ledger(scored.place, scored.run_id, "https://pacs.example").write(
        SentShard(ShardKey(0, 0), scored.run_id, "0" * 64, 0, 0, 0, 0, 0, ())
    )
    assert verify(scored) == before


def test_no_room_to_remember_ends_the_command_and_loses_nothing(
    run: Run, pacs: WebPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(type(run.place)):  # type: ignore[misc]
        def create(self, name: str, content: bytes) -> bool:
            with self._writing(name):
                raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("cxrscribe.archive.places.folder.Folder.create", Full.create)
        result = send(run, "--dicomweb", pacs.url)
        assert result.exit_code == 2
        assert "No space left on device" in result.stderr
        assert "Traceback" not in result.output
    code, found = sent(run, pacs)
    assert (code, found["sent"] + found["found"]) == (0, 25)
    assert found["found"] >= 10
    assert pacs.arrivals == once(run)


def test_clock_that_jumps_changes_nothing(run: Run, pacs: WebPacs, monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.count(4e9, -1e6)
    monkeypatch.setattr("cxrscribe.archive.sending.guarded_session.time", lambda: next(times))
    monkeypatch.setattr("time.time", lambda: next(times))
    pacs.trick = lambda request: (
        Answer(429, {"Retry-After": "Fri, 01 Jan 2021 00:00:00 GMT"}) if request.number == 2 else None
    )
    assert sent(run, pacs)[0] == 0
    assert pacs.arrivals == once(run)
