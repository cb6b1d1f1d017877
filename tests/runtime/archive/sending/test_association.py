"""C-STORE against a node that misbehaves."""

# ruff: noqa: E402 (nothing here can be imported without the extra)
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

REASON = "the extra send isn't installed"
pytest.importorskip("dicomweb_client", reason=REASON)
pytest.importorskip("pynetdicom", reason=REASON)

from click.testing import CliRunner, Result
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import BasicTextSRStorage, CTImageStorage

from cxrscribe.archive import Run
from cxrscribe.archive.sending import association
from cxrscribe.archive.sending.association import Dicom, parse_address
from cxrscribe.archive.sending.document import Document, is_same
from cxrscribe.cli.main import main
from cxrscribe.errors import InputError
from support.certificates import self_signed
from support.node_pacs import FIND, GET, NodePacs, node_pacs
from support.small_reports import pretend_scored, small_report, uid

# pynetdicom doesn't close the socket of a connection that failed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


Begin = Callable[..., Run]


def send(run: Run, address: str, *options: str) -> Result:
    arguments = ["score", "send", run.place.url, "--dicom", address, *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def sent(run: Run, node: NodePacs, *options: str) -> tuple[int, dict[str, Any]]:
    result = send(run, node.address, "--json", *options)
    assert result.stdout, result.stderr
    return result.exit_code, json.loads(result.stdout)


def once(run: Run) -> dict[str, int]:
    return {uid(3, row): 1 for row in range(run.plan.films)}


def test_every_document_is_stored_once_in_one_association(run: Run) -> None:
    with node_pacs() as node:
        code, found = sent(run, node)
        assert (code, found["sent"], found["unconfirmed"]) == (0, 25, 0)
        assert found["destination"] == f"dicom://ANY-SCP@localhost:{node.port}"
        assert node.arrivals == once(run)
        assert node.associations == 1
        for row in range(25):
            document = Document((row,), small_report(row), "", "", "")
            assert is_same(document, dcmread(BytesIO(node.stored[uid(3, row)])))
        assert sent(run, node)[0] == 0
        assert node.associations == 1


def test_node_that_speaks_implicit_only_gets_it(run: Run) -> None:
    with node_pacs(syntaxes=(ImplicitVRLittleEndian,)) as node:
        assert sent(run, node)[0] == 0
        stored = dcmread(BytesIO(node.stored[uid(3, 4)]))
        assert stored.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        assert is_same(Document((4,), small_report(4), "", "", ""), stored)


def test_what_is_there_is_found_and_another_document_left_alone(run: Run) -> None:
    with node_pacs() as node:
        node.stored = {uid(3, 3): small_report(3), uid(3, 4): small_report(4, "Another text.")}
        code, found = sent(run, node)
        assert (code, found["sent"], found["found"], found["uncompared"]) == (1, 23, 1, 0)
        assert [(each["row"], each["status"]) for each in found["refused"]] == [(4, "another_document")]
        assert not {uid(3, 3), uid(3, 4)} & set(node.arrivals)


def test_node_without_c_get_is_compared_by_uid(run: Run) -> None:
    with node_pacs(services=(BasicTextSRStorage, FIND)) as node:
        node.stored = {uid(3, 3): small_report(3)}
        code, found = sent(run, node)
        assert (code, found["sent"], found["found"], found["uncompared"]) == (0, 24, 1, 1)


def test_node_without_queries_confirms_by_its_status(run: Run) -> None:
    with node_pacs(services=(BasicTextSRStorage,)) as node:
        code, found = sent(run, node)
        assert (code, found["sent"], found["unconfirmed"]) == (0, 25, 25)
        assert node.arrivals == once(run)


def test_node_whose_queries_fail_confirms_by_its_status(run: Run) -> None:
    with node_pacs() as node:
        node.find_status = 0xC001
        _, found = sent(run, node)
        assert (found["sent"], found["unconfirmed"]) == (25, 25)


def test_query_that_fails_among_others_is_made_again(run: Run) -> None:
    with node_pacs() as node:
        node.failing = range(20, 60, 7)
        code, found = sent(run, node)
        assert (code, found["sent"], found["unconfirmed"]) == (0, 25, 0)
        assert node.arrivals == once(run)


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_warnings_are_successes(run: Run, status: int) -> None:
    with node_pacs() as node:

        def warn(event: Any, instance: str, number: int) -> int:
            node.take(event)
            return status

        node.trick = warn
        assert sent(run, node)[1]["sent"] == 25


@pytest.mark.parametrize("status", [0x0110, 0x0117, 0xA900, 0xC000, 0xC123])
def test_what_is_refused_is_listed_and_sent_again_only_when_asked(run: Run, status: int) -> None:
    with node_pacs() as node:
        node.trick = lambda event, instance, number: status if instance == uid(3, 12) else None
        code, found = sent(run, node)
        assert (code, found["sent"]) == (1, 24)
        assert [(each["row"], each["status"]) for each in found["refused"]] == [(12, f"0x{status:04X}")]
        stores = node.stores
        assert sent(run, node)[0] == 1
        assert node.stores == stores
        node.trick = lambda event, instance, number: None
        code, found = sent(run, node, "--retry-refused")
        assert (code, found["sent"], node.stores) == (0, 25, stores + 1)


def test_refusal_of_what_came_meanwhile_is_none(run: Run) -> None:
    with node_pacs() as node:

        def duplicate(event: Any, instance: str, number: int) -> int:
            node.take(event)
            return 0x0111

        node.trick = duplicate
        code, found = sent(run, node)
        assert (code, found["found"]) == (0, 25)


def test_node_without_room_is_tried_again(run: Run) -> None:
    with node_pacs() as node:
        node.trick = lambda event, instance, number: 0xA700 if number in (3, 4) else None
        assert sent(run, node)[0] == 0
        assert node.arrivals == once(run)


def test_node_that_stays_without_room_stops_the_command(run: Run) -> None:
    with node_pacs() as node:
        node.trick = lambda event, instance, number: 0xA701 if number > 5 else None
        result = send(run, node.address)
        assert result.exit_code == 2
        assert "has no room for now (0xA701)" in result.stderr
        node.trick = lambda event, instance, number: None
        code, found = sent(run, node)
        assert (code, found["sent"], found["found"]) == (0, 20, 5)
        assert node.arrivals == once(run)


@pytest.mark.parametrize("after", [False, True], ids=["before it is stored", "after it is stored"])
def test_association_that_is_aborted_is_made_anew(run: Run, after: bool) -> None:
    with node_pacs() as node:

        def abort(event: Any, instance: str, number: int) -> int | None:
            if number not in (2, 7):
                return None
            if after:
                node.take(event)
            event.assoc.abort()
            return 0x0000

        node.trick = abort
        code, found = sent(run, node, "--timeout", "5")
        assert code == 0
        assert node.arrivals == once(run)
        assert found["found"] == (2 if after else 0)
        assert node.associations > 1


def test_node_that_does_not_answer_is_not_waited_for(run: Run) -> None:
    with node_pacs() as node:

        def hang(event: Any, instance: str, number: int) -> int | None:
            if number == 2:
                node.ended.wait(3)
            return None

        node.trick = hang
        assert sent(run, node, "--timeout", "0.7")[0] == 0
        assert set(node.arrivals) == set(once(run))


@pytest.mark.parametrize("knows_lists", [True, False])
def test_lists_spare_queries_where_the_node_has_them(begin: Begin, archive: Path, knows_lists: bool) -> None:
    run = begin(archive, shard_films=5, sr=True)
    pretend_scored(run)
    with node_pacs() as node:
        node.knows_lists = knows_lists
        assert sent(run, node)[1]["sent"] == 25
        assert node.arrivals == once(run)
        # The first shard's list, its five alone, and their list; two lists for each other shard.
        assert len(node.finds) == (1 + 5 + 1 + 4 * 2 if knows_lists else 1 + 25 * 2)


def test_node_that_says_yes_and_stores_nothing_is_never_believed(run: Run) -> None:
    with node_pacs() as node:
        node.trick = lambda event, instance, number: 0x0000
        result = send(run, node.address)
        assert result.exit_code == 2
        assert "has taken documents and doesn't list them" in result.stderr
        assert node.stores == 25
        assert not [name for name in run.place.names("sent") if "destination" not in name]


def test_node_that_finds_without_end_is_not_listened_to(run: Run) -> None:
    with node_pacs() as node:
        node.finds_at_least = 100_000
        result = send(run, node.address)
        assert result.exit_code == 2
        assert "didn't end its answer to a C-FIND" in result.stderr
        assert node.stores == 0


def test_answer_without_end_is_not_kept_in_memory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "_MOST_ANSWER", 100_000)
    with node_pacs() as node:
        node.stored = {uid(3, row): small_report(row) for row in range(25)}
        node.stored[uid(3, 7)] = small_report(7, "x" * 200_000)
        result = send(run, node.address)
        assert "the PACS didn't end its answer to a C-GET" in result.stderr
        assert result.exit_code == 1


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGTERM to send")
def test_command_that_is_told_to_end_says_so_and_goes_on_another_time(run: Run) -> None:
    with node_pacs() as node:

        def linger(event: Any, instance: str, number: int) -> None:
            time.sleep(0.1)

        node.trick = linger
        command = [sys.executable, "-m", "cxrscribe", "score", "send", run.place.url, "--dicom", node.address]
        process = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while node.stores < 3:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        printed, said = process.communicate(timeout=150)
        assert (process.returncode, printed) == (130, b"")
        assert said.decode().splitlines()[-1] == "Interrupted."
        assert b"Traceback" not in said
        node.trick = lambda event, instance, number: None
        assert sent(run, node)[0] == 0
        assert node.arrivals == once(run)


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGINT to send")
def test_interrupted_command_does_not_wait_for_the_node(run: Run) -> None:
    with node_pacs() as node:

        def hang(event: Any, instance: str, number: int) -> None:
            node.ended.wait(300)

        node.trick = hang
        command = [sys.executable, "-m", "cxrscribe", "score", "send", run.place.url, "--dicom", node.address]
        process = subprocess.Popen(
            [*command, "--timeout", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while node.stores == 0:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=150)
        assert process.returncode == 130, said
        assert b"Traceback" not in said


@pytest.mark.parametrize("status", [0x0122, 0x0124])
def test_class_that_is_not_taken_stops_at_once(run: Run, status: int) -> None:
    with node_pacs() as node:
        node.trick = lambda event, instance, number: status
        result = send(run, node.address)
        assert result.exit_code == 2
        assert f"takes no Basic Text SR from CXRSCRIBE (status 0x{status:04X})" in result.stderr
        assert node.stores == 1


@pytest.mark.parametrize("services", [(CTImageStorage,), (FIND, GET)])
def test_association_without_the_class_stops_at_once(run: Run, services: tuple[str, ...]) -> None:
    with node_pacs(services=services) as node:
        result = send(run, node.address)
        assert result.exit_code == 2
        assert "takes no Basic Text SR; let it take SOP class" in result.stderr


def test_titles_are_shown_and_wrong_ones_named(run: Run) -> None:
    with node_pacs(title="ARCHIVE", callers=("READER",)) as node:
        result = send(run, node.address, "--calling", "READER")
        assert result.exit_code == 2
        assert "--called" in result.stderr
        result = send(run, node.address, "--called", "ARCHIVE")
        assert result.exit_code == 2
        assert "--calling" in result.stderr
        assert sent(run, node, "--called", "ARCHIVE", "--calling", "READER")[0] == 0


def test_node_with_too_many_associations_is_tried_again(run: Run) -> None:
    with node_pacs(most=1) as node:
        code, found = sent(run, node, "--connections", "3", "--timeout", "5")
        assert code == 0 or found["left"]  # that one waited for another's connection when its end came
        assert found["documents"] >= 10
        assert sent(run, node)[0] == 0
        assert node.arrivals == once(run)


def test_nobody_listens(run: Run) -> None:
    with node_pacs() as node:
        address = node.address
    result = send(run, address, "--timeout", "2")
    assert result.exit_code == 2
    assert "there is no connection to the PACS" in result.stderr


def test_host_with_an_address_that_nobody_listens_at_is_found_at_the_next(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = socket.getaddrinfo

    def two(host: str, *more: Any, **named: Any) -> list[Any]:
        hosts = ("127.0.0.2", "127.0.0.1") if host == "localhost" else (host,)
        return [each for one in hosts for each in known(one, *more, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with node_pacs() as node:
        assert sent(run, node)[0] == 0
        assert node.associations == 1


def test_certificates_are_checked(run: Run, tmp_path: Path) -> None:
    service = self_signed(tmp_path, "service")
    client = self_signed(tmp_path, "client")
    with node_pacs(context=service.server(clients=client.certificate)) as node:
        result = send(run, node.address, "--tls", "--timeout", "5")
        assert result.exit_code == 2
        assert "is not to be believed" in result.stderr
        ca = ("--tls", "--timeout", "5", "--ca", str(service.certificate))
        result = send(run, node.address, *ca)
        assert result.exit_code == 2
        assert "--client-certificate" in result.stderr
        own = ("--client-certificate", str(client.certificate), "--client-key", str(client.key))
        assert sent(run, node, *ca, *own)[1]["sent"] == 25


def test_tls_towards_a_node_that_has_none_is_named(run: Run) -> None:
    with node_pacs() as node:
        result = send(run, node.address, "--tls", "--timeout", "2")
        assert result.exit_code == 2
        assert "refuses the TLS connection" in result.stderr
        assert "it may speak none at this port" in result.stderr


def test_dry_run_connects_and_sends_nothing(run: Run) -> None:
    with node_pacs() as node:
        result = send(run, node.address, "--dry-run")
        assert (result.exit_code, node.stores, node.associations) == (0, 0, 1)
        assert "25 documents of 3 shards" in result.stdout


@pytest.mark.parametrize("title", ["", " ", "SEVENTEEN LETTERS", "A\\B", "Ä", "A\n"])
def test_titles_that_are_none_are_refused(title: str) -> None:
    with pytest.raises(InputError, match="is no AE title"):
        Dicom("localhost", 104, title, "ANY-SCP", 60)
    with pytest.raises(InputError, match="--called"):
        Dicom("localhost", 104, "CXRSCRIBE", title, 60)


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:", ":104", "localhost:0", "a:65536", "a b:1", "::1"]
)
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(InputError, match="give HOST:PORT"):
        parse_address(address)


def test_addresses() -> None:
    assert parse_address("pacs.example:11112") == ("pacs.example", 11112)
    assert parse_address("[::1]:104") == ("::1", 104)
