"""STOW-RS, QIDO-RS and WADO-RS with a service that does as it should."""

# ruff: noqa: E402 (nothing here can be imported without the extra)
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

REASON = "the extra send isn't installed"
pytest.importorskip("dicomweb_client", reason=REASON)
pytest.importorskip("pynetdicom", reason=REASON)


from cxrscribe.archive import Run
from support.send_command import once, send, sent
from support.small_reports import pretend_scored, small_report, uid
from support.web_pacs import Answer, Request, WebPacs

Begin = Callable[..., Run]


def test_every_document_is_stored_once_and_confirmed(run: Run, pacs: WebPacs) -> None:
    code, found = sent(run, pacs)
    assert (code, found["documents"], found["sent"], found["found"], found["refused"]) == (0, 25, 25, 0, [])
    assert (found["unconfirmed"], found["uncompared"], found["left"]) == (0, 0, [])
    assert pacs.arrivals == once(run)
    assert {number: small_report(number) for number in range(25)} == {
        number: pacs.stored[uid(3, number)] for number in range(25)
    }


def test_what_is_known_is_not_asked_again(run: Run, pacs: WebPacs) -> None:
    sent(run, pacs)
    requests = len(pacs.requests)
    assert sent(run, pacs)[0] == 0
    assert len(pacs.requests) == requests


def test_what_is_there_is_found_and_not_sent(run: Run, pacs: WebPacs) -> None:
    pacs.stored = {uid(3, row): small_report(row) for row in range(0, 25, 2)}
    code, found = sent(run, pacs)
    assert (code, found["sent"], found["found"], found["uncompared"]) == (0, 12, 13, 0)
    assert pacs.arrivals == {uid(3, row): 1 for row in range(1, 25, 2)}


def test_attributes_that_a_pacs_changes_make_no_other_document(run: Run, pacs: WebPacs) -> None:
    pacs.stored = {uid(3, 4): small_report(4, patient="ROE^JANE")}
    assert sent(run, pacs)[1]["found"] == 1


def test_other_document_of_one_uid_is_noticed_and_left_alone(run: Run, pacs: WebPacs) -> None:
    pacs.stored = {uid(3, 7): small_report(7, "Another text.")}
    code, found = sent(run, pacs)
    assert (code, found["sent"]) == (1, 24)
    (refused,) = found["refused"]
    assert (refused["row"], refused["status"], refused["sop_instance_uid"]) == (
        7,
        "another_document",
        uid(3, 7),
    )
    assert uid(3, 7) not in pacs.arrivals


def test_garbage_in_a_documents_place_is_another_document(run: Run, pacs: WebPacs) -> None:
    pacs.stored = {uid(3, 7): b"\0" * 200}
    code, _ = sent(run, pacs)
    assert code == 1
    assert uid(3, 7) not in pacs.arrivals


def test_service_that_hands_nothing_out_is_compared_by_uid(run: Run, pacs: WebPacs) -> None:
    pacs.stored = {uid(3, 7): small_report(7)}
    pacs.trick = lambda request: Answer(405) if request.path.endswith(uid(3, 7)) else None
    _, found = sent(run, pacs)
    assert (found["sent"], found["found"], found["uncompared"]) == (24, 1, 1)


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_service_without_queries_confirms_by_its_answer(run: Run, pacs: WebPacs, status: int) -> None:
    pacs.trick = lambda request: Answer(status) if request.method == "GET" else None
    code, found = sent(run, pacs)
    assert (code, found["sent"], found["unconfirmed"]) == (0, 25, 25)
    assert pacs.arrivals == once(run)


def test_what_is_refused_is_listed_and_sent_again_only_when_asked(run: Run, pacs: WebPacs) -> None:
    bad = {uid(3, 3): 0xC000, uid(3, 12): 0xA900}

    def refuse(request: Request) -> Answer | None:
        if request.method != "POST":
            return None
        return pacs.store(request, {each: bad[each] for each in request.documents() if each in bad})

    pacs.trick = refuse
    code, found = sent(run, pacs)
    assert code == 1
    assert [(each["row"], each["status"]) for each in found["refused"]] == [(3, "0xC000"), (12, "0xA900")]
    posts = pacs.counts("POST")
    code, found = sent(run, pacs)
    assert (code, len(found["refused"]), pacs.counts("POST")) == (1, 2, posts)
    del bad[uid(3, 12)]
    code, found = sent(run, pacs, "--retry-refused")
    assert [each["row"] for each in found["refused"]] == [3]
    assert (code, found["sent"], found["documents"]) == (1, 24, 25)
    text = send(run, "--dicomweb", pacs.url).stdout
    assert "24 sent + 0 there already + 1 refused" in text
    assert "3  0xC000" in text
    bad.clear()
    assert sent(run, pacs, "--retry-refused")[0] == 0
    assert pacs.arrivals == once(run)


def test_pacs_that_refuses_everything_stops_the_command(
    run: Run, pacs: WebPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxrscribe.archive.sending.sender.REFUSED_IN_A_ROW", 20)
    pacs.trick = lambda request: Answer(400) if request.method == "POST" else None
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert "the PACS refused the last 20 documents (status 400" in result.stderr
    pacs.trick = lambda request: None
    code, found = sent(run, pacs, "--retry-refused")
    assert (code, found["sent"], found["documents"]) == (0, 25, 25)


def test_request_refused_as_a_whole_is_sent_document_by_document(run: Run, pacs: WebPacs) -> None:
    def refuse(request: Request) -> Answer | None:
        is_bad = request.method == "POST" and uid(3, 5) in request.documents()
        return Answer(409, body=b"no") if is_bad else None

    pacs.trick = refuse
    _, found = sent(run, pacs)
    assert [(each["row"], each["status"]) for each in found["refused"]] == [(5, "409")]
    assert set(pacs.arrivals) == set(once(run)) - {uid(3, 5)}
    assert set(pacs.arrivals.values()) == {1}


def test_refusal_of_what_came_meanwhile_is_none(run: Run, pacs: WebPacs) -> None:
    """As Google's store answers when two senders are at one shard."""

    def conflict(request: Request) -> Answer | None:
        if request.method != "POST":
            return None
        documents = request.documents()
        pacs.stored |= documents
        return pacs.store(request, dict.fromkeys(documents, 0xB00E))

    pacs.trick = conflict
    code, found = sent(run, pacs)
    assert (code, found["found"], found["refused"]) == (0, 25, [])


def test_path_without_a_service_stops_at_once(run: Run, pacs: WebPacs) -> None:
    pacs.trick = lambda request: Answer(404)
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert "no STOW-RS service there (HTTP 404); check the path of --dicomweb" in result.stderr
    assert pacs.counts("POST") == 1


def test_class_that_is_not_taken_stops_at_once(run: Run, pacs: WebPacs) -> None:
    pacs.trick = lambda request: (
        pacs.store(request, dict.fromkeys(request.documents(), 0x0122)) if request.method == "POST" else None
    )
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert "takes no Basic Text SR" in result.stderr


def test_several_connections_send_each_once(run: Run, pacs: WebPacs) -> None:
    code, found = sent(run, pacs, "--connections", "3")
    assert (code, found["sent"]) == (0, 25)
    assert pacs.arrivals == once(run)


def test_document_that_would_end_its_part_of_a_request_is_refused(
    begin: Begin, archive: Path, pacs: WebPacs
) -> None:
    run = begin(archive, sr=True)
    pretend_scored(run)
    sent(run, pacs)
    post = next(each for each in pacs.requests if each.method == "POST")
    mark = post.headers["content-type"].partition('boundary="')[2].partition('"')[0]
    evil = f"\r\n--{mark}\r\nContent-Type: application/dicom\r\n\r\nanother document"
    other = begin(archive, path=Path(f"{run.place.url}-other"), shard_films=25, sr=True)
    pretend_scored(other, {row: small_report(100 + row, evil if row == 5 else "") for row in range(25)})
    code, found = sent(other, pacs)
    assert (code, found["sent"]) == (1, 24)
    assert [(each["row"], each["status"]) for each in found["refused"]] == [(5, "400")]
