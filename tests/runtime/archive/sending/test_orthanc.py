"""A real PACS: 2,000 documents by each way, the sender or the PACS killed at random and started again."""

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

from cxrscribe.archive import Run, begin_run, layout, open_run, sr_tar
from cxrscribe.archive.sending.ledger import Sent, ledgers
from cxrscribe.archive.structured_reports import maker_of
from cxrscribe.films.identifiers import (
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    read_identifiers,
)
from cxrscribe.reporter import Reporter
from cxrscribe.structured_report.document import SourceFilm
from support.identified_film import identified_film
from support.orthanc import Orthanc, orthanc
from support.small_reports import pretend_scored, small_report, uid

pytestmark = pytest.mark.slow

Begin = Callable[..., Run]
Draw = Callable[[str, int], Run]
DOCUMENTS = 2000
KILLS = 2
NAMES = (
    {"PatientName": "Doe^Jane"},
    {"PatientName": "Müller^Jürgen", "SpecificCharacterSet": "ISO_IR 100"},
    {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "SpecificCharacterSet": "ISO_IR 192"},
)


@pytest.fixture(scope="module", params=["dicomweb", "dicom"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pacs(way: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One for each way."""
    with orthanc(tmp_path_factory.mktemp("pacs")) as service:
        yield service


@pytest.fixture(scope="module")
def draw(tmp_path_factory: pytest.TempPathFactory, reporter: Reporter) -> Draw:
    """Make a run, and the documents of its films, each of a study of its own. No film is read."""
    headers = [read_identifiers(identified_film(**each)) for each in NAMES]

    def drawn(name: str, count: int) -> Run:
        folder = tmp_path_factory.mktemp(f"{name}-films")
        for number in range(count):
            (folder / f"{number:04}.dcm").touch()
        path = tmp_path_factory.mktemp(name) / "run"
        run = begin_run(path, [str(folder)], reporter, reporter.settings, shard_films=100, sr=True)
        maker = maker_of(run)
        assert maker is not None
        reports = {}
        for number in range(count):
            study = f"1.2.276.0.99.{number}"
            header = {
                **headers[number % len(NAMES)],
                STUDY_INSTANCE_UID: study.encode(),
                SERIES_INSTANCE_UID: f"{study}.1".encode(),
                SOP_INSTANCE_UID: f"{study}.1.1".encode(),
            }
            film = SourceFilm(header, number.to_bytes(32))
            reports[number] = maker.make([film], f"The heart is not enlarged. {name} {number}.").content
        pretend_scored(run, reports)
        return run

    return drawn


def start(run: Run, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cxrscribe", "score", "send", run.place.url, *options]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, said = process.communicate()
    return process.returncode, said.decode()


def wait_for(process: subprocess.Popen[bytes], pacs: Orthanc, count: int) -> None:
    """Until the PACS has so many, or the process has ended."""
    while process.poll() is None and pacs.count() < count:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)


def documents(run: Run) -> dict[str, Dataset]:
    """By UID."""
    names = (layout.sr_file(0, shard) for shard in run.generation().shards)
    found = (
        dcmread(BytesIO(file)) for name in names for _, file in sr_tar.unpack(run.place.read(name), name)
    )
    return {str(each.SOPInstanceUID): each for each in found}


def options_of(way: str, pacs: Orthanc, connections: int = 4) -> tuple[str, ...]:
    several = ("--connections", str(connections))
    if way == "dicomweb":
        return ("--dicomweb", pacs.web, *several)
    return ("--dicom", pacs.node, "--called", "ORTHANC", *several)


def sent(run: Run) -> Sent:
    (ledger,) = ledgers(open_run(run.place.url).place, run.run_id)
    return Sent.of(ledger.destination, ledger.records().values())


def test_killed_senders_lose_nothing_and_repeat_nothing(way: str, draw: Draw, pacs: Orthanc) -> None:
    run = draw(way, DOCUMENTS)
    expected = documents(run)
    assert len(expected) == DOCUMENTS
    options = options_of(way, pacs)
    chance = random.Random(20)
    for _ in range(KILLS):
        process = start(run, *options)
        wait_for(process, pacs, pacs.count() + chance.randint(50, DOCUMENTS // (KILLS + 1)))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    code, said = finish(start(run, *options))
    assert code == 0, said
    assert sorted(each for each in pacs.instances() if each in expected) == sorted(expected)
    found = sent(run)
    assert (found.documents, found.refused, found.unconfirmed, found.uncompared) == (DOCUMENTS, 0, 0, 0)
    assert found.found > 0  # which were there when their sender was killed
    for instance in random.Random(3).sample(sorted(expected), 9):
        tags = pacs.tags(instance)
        assert tags["PatientName"] == str(expected[instance].PatientName)
        assert (tags["CompletionFlag"], tags["VerificationFlag"]) == ("COMPLETE", "UNVERIFIED")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "restarted"])
def test_pacs_that_ends_in_between_has_all_in_the_end(
    way: str, how: signal.Signals, draw: Draw, pacs: Orthanc
) -> None:
    run = draw(f"{way}-{how.name}", 300)
    expected = documents(run)
    options = options_of(way, pacs, connections=2)
    process = start(run, *options)
    wait_for(process, pacs, pacs.count() + 60)
    pacs.end(how)
    pacs.begin()
    code, said = finish(process)
    for _ in range(3):  # where the PACS was away for longer than a command waits
        if code == 0:
            break
        assert "Traceback" not in said
        code, said = finish(start(run, *options))
    assert code == 0, said
    assert sorted(each for each in pacs.instances() if each in expected) == sorted(expected)
    assert sent(run).documents == 300


def test_other_document_of_one_uid_is_noticed_and_left_alone(
    way: str, begin: Begin, archive: Path, tmp_path: Path, pacs: Orthanc
) -> None:
    run = begin(archive, sr=True)
    pretend_scored(run)
    other = begin(archive, path=tmp_path / "other", shard_films=25, sr=True)
    pretend_scored(other, {7: small_report(7, "Another text.")})
    options = options_of(way, pacs, connections=1)
    for each, expected in ((other, 0), (run, 1)):
        code, said = finish(start(each, *options))
        assert code == expected, said
    (ledger,) = ledgers(run.place, run.run_id)
    (*records,) = ledger.records().values()
    assert [(each.row, each.status) for record in records for each in record.refused] == [
        (7, "another_document")
    ]
    assert sum(record.found for record in records) == 24
    assert pacs.tags(uid(3, 7))["ContentSequence"][0]["TextValue"] == "Another text."


def test_two_senders_at_once_of_which_one_is_killed_send_each_once(
    way: str, draw: Draw, pacs: Orthanc
) -> None:
    run = draw(f"{way}-two", 300)
    expected = documents(run)
    killed, other = (start(run, *options_of(way, pacs, connections=2)) for _ in range(2))
    wait_for(killed, pacs, pacs.count() + 60)
    with suppress(ProcessLookupError):
        os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    code, said = finish(other)
    assert code == 0, said
    assert sorted(each for each in pacs.instances() if each in expected) == sorted(expected)
    assert sent(run).documents == 300
