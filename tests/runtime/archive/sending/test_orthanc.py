"""A real PACS: 2,000 documents by each way, the sender killed at random and started again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cxrscribe.archive import Run, open_run
from cxrscribe.archive.sending.ledger import Sent, ledgers
from support.archive_films import write_films
from support.orthanc import Orthanc, orthanc
from support.small_reports import pretend_scored, small_report, uid

pytestmark = pytest.mark.slow

Begin = Callable[..., Run]
DOCUMENTS = 2000
KILLS = 5


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc(tmp_path) as service:
        yield service


def start(run: Run, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cxrscribe", "score", "send", run.place.url, *options]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.mark.parametrize("way", ["dicomweb", "dicom"])
def test_killed_senders_lose_nothing_and_repeat_nothing(
    way: str, begin: Begin, tmp_path: Path, pacs: Orthanc
) -> None:
    run = begin(write_films(tmp_path / "archive", DOCUMENTS), shard_films=100)
    expected = pretend_scored(run)
    options = ("--dicomweb", pacs.web) if way == "dicomweb" else ("--dicom", pacs.node, "--called", "ORTHANC")
    chance = random.Random(20)
    for _ in range(KILLS):
        process = start(run, *options)
        before = count(pacs)
        wanted = min(before + chance.randint(50, DOCUMENTS // KILLS), DOCUMENTS)
        while process.poll() is None and count(pacs) < wanted:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process = start(run, *options)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert sorted(pacs.instances()) == sorted(expected)
    (ledger,) = ledgers(run.place, run.run_id)
    found = Sent.of(ledger.destination, ledger.records().values())
    assert (found.documents, found.refused, found.unconfirmed, found.uncompared) == (DOCUMENTS, 0, 0, 0)
    assert found.found > 0  # which were there when their sender was killed


@pytest.mark.parametrize("way", ["dicomweb", "dicom"])
def test_other_document_of_one_uid_is_noticed_and_left_alone(
    way: str, begin: Begin, archive: Path, tmp_path: Path, pacs: Orthanc
) -> None:
    run = begin(archive)
    pretend_scored(run)
    other = begin(archive, path=tmp_path / "other", shard_films=25)
    pretend_scored(other, {7: small_report(7, "Another text.")})
    options = ("--dicomweb", pacs.web) if way == "dicomweb" else ("--dicom", pacs.node, "--called", "ORTHANC")
    for each, code in ((other, 0), (run, 1)):
        process = start(each, *options)
        _, said = process.communicate()
        assert process.returncode == code, said
    (ledger,) = ledgers(run.place, run.run_id)
    (*records,) = ledger.records().values()
    assert [(each.row, each.status) for record in records for each in record.refused] == [
        (7, "another_document")
    ]
    assert sum(record.found for record in records) == 24
    assert pacs.tags(uid(3, 7))["ContentSequence"][0]["TextValue"] == "Another text."


def count(pacs: Orthanc) -> int:
    return int(pacs.ask("/statistics")["CountInstances"])


def test_two_senders_at_once_send_each_once(begin: Begin, archive: Path, pacs: Orthanc) -> None:
    run = begin(archive)
    expected = pretend_scored(run)
    senders = [start(run, "--dicomweb", pacs.web) for _ in range(2)]
    for process in senders:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert sorted(pacs.instances()) == sorted(expected)
    (ledger,) = ledgers(open_run(run.place.url).place, run.run_id)
    assert sum(each.documents for each in ledger.records().values()) == 25
