"""A real PACS: documents of 2,000 drawn films by each way, the sender killed at random and started again."""

# ruff: noqa: E402 (nothing here can be imported without the extra)
from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest

REASON = "the extra send isn't installed"
pytest.importorskip("dicomweb_client", reason=REASON)
pytest.importorskip("pynetdicom", reason=REASON)

from pydicom import dcmread
from pydicom.dataset import Dataset

from cxrscribe.archive import Run, begin_run, layout, open_run, score_shards, sr_tar
from cxrscribe.archive.sending.ledger import Sent, ledgers
from cxrscribe.reporter import Reporter
from support.identified_film import identified_film
from support.orthanc import Orthanc, orthanc
from support.small_reports import pretend_scored, small_report, uid

pytestmark = pytest.mark.slow

Begin = Callable[..., Run]
DOCUMENTS = 2000
KILLS = 5
NAMES = (
    {"PatientName": "Doe^Jane"},
    {"PatientName": "Müller^Jürgen", "SpecificCharacterSet": "ISO_IR 100"},
    {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "SpecificCharacterSet": "ISO_IR 192"},
)


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc(tmp_path) as service:
        yield service


def start(run: Run, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cxrscribe", "score", "send", run.place.url, *options]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, reporter: Reporter) -> Run:
    """A run over drawn films, each of a study of its own, and its documents."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(DOCUMENTS):
        study = f"1.2.276.0.99.{number}"
        attributes = {
            "StudyInstanceUID": study,
            "SeriesInstanceUID": f"{study}.1",
            "SOPInstanceUID": f"{study}.1.1",
            **NAMES[number % len(NAMES)],
        }
        (folder / f"{number:04}.dcm").write_bytes(identified_film(number % 50, **attributes))
    path = tmp_path_factory.mktemp("scored") / "run"
    run = begin_run(path, [str(folder)], reporter, reporter.settings, shard_films=100, sr=True)
    list(score_shards(run, run.generation().missing(), reporter))
    return run


def documents(run: Run) -> dict[str, Dataset]:
    """By UID."""
    names = (layout.sr_file(0, shard) for shard in run.generation().shards)
    found = (
        dcmread(BytesIO(file)) for name in names for _, file in sr_tar.unpack(run.place.read(name), name)
    )
    return {str(each.SOPInstanceUID): each for each in found}


@pytest.mark.parametrize("way", ["dicomweb", "dicom"])
def test_killed_senders_lose_nothing_and_repeat_nothing(way: str, scored: Run, pacs: Orthanc) -> None:
    run = scored
    expected = documents(run)
    assert len(expected) == DOCUMENTS
    options = options_of(way, pacs)
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
    # In the module's run there is a ledger for each way.
    ledger = next(
        each for each in ledgers(run.place, run.run_id) if str(port_of(way, pacs)) in each.destination
    )
    found = Sent.of(ledger.destination, ledger.records().values())
    assert (found.documents, found.refused, found.unconfirmed, found.uncompared) == (DOCUMENTS, 0, 0, 0)
    assert found.found > 0  # which were there when their sender was killed
    for instance in random.Random(3).sample(sorted(expected), 9):
        tags = pacs.tags(instance)
        assert tags["PatientName"] == str(expected[instance].PatientName)
        assert (tags["CompletionFlag"], tags["VerificationFlag"]) == ("COMPLETE", "UNVERIFIED")


@pytest.mark.parametrize("way", ["dicomweb", "dicom"])
def test_other_document_of_one_uid_is_noticed_and_left_alone(
    way: str, begin: Begin, archive: Path, tmp_path: Path, pacs: Orthanc
) -> None:
    run = begin(archive, sr=True)
    pretend_scored(run)
    other = begin(archive, path=tmp_path / "other", shard_films=25, sr=True)
    pretend_scored(other, {7: small_report(7, "Another text.")})
    options = options_of(way, pacs)
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


def options_of(way: str, pacs: Orthanc) -> tuple[str, ...]:
    if way == "dicomweb":
        return ("--dicomweb", pacs.web)
    return ("--dicom", pacs.node, "--called", "ORTHANC", "--connections", "2")


def port_of(way: str, pacs: Orthanc) -> int:
    return pacs.http if way == "dicomweb" else pacs.dicom


def count(pacs: Orthanc) -> int:
    return int(pacs.ask("/statistics")["CountInstances"])


def test_two_senders_at_once_send_each_once(begin: Begin, archive: Path, pacs: Orthanc) -> None:
    run = begin(archive, sr=True)
    expected = pretend_scored(run)
    senders = [start(run, "--dicomweb", pacs.web) for _ in range(2)]
    for process in senders:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert sorted(pacs.instances()) == sorted(expected)
    (ledger,) = ledgers(open_run(run.place.url).place, run.run_id)
    assert sum(each.documents for each in ledger.records().values()) == 25
