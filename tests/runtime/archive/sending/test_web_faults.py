"""A DICOMweb service that fails, forgets, and answers nonsense."""

# ruff: noqa: E402 (nothing here can be imported without the extra)
from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import pytest

REASON = "the extra send isn't installed"
pytest.importorskip("dicomweb_client", reason=REASON)
pytest.importorskip("pynetdicom", reason=REASON)


from cxrscribe.archive import Run, layout
from cxrscribe.archive.sending import guarded_session
from support.send_command import once, send, sent
from support.small_reports import pretend_scored, small_report, uid
from support.web_pacs import Answer, Request, WebPacs, web_pacs

Begin = Callable[..., Run]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(503, {"Retry-After": "0"}),
        Answer(429, {"Retry-After": "Fri, 01 Jan 2021 00:00:00 GMT"}),
        Answer(429, {"Retry-After": "soon"}),
        Answer(200, {"Content-Type": guarded_session.JSON}, b"[", cut=True),
        Answer(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
        Answer(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(1 << 26))),
        Answer(200, raw=b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200_000),
        Answer(200, raw=b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 3_000_000),
        Answer(200, raw=b"SSH-2.0-OpenSSH\r\n"),
        Answer(200, raw=HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[]"),
        Answer(200, raw=b"HTTP/1.1 999 So\r\n\r\n"),
        Answer(200, raw=b"\0" * 1000),
    ],
    ids=lambda answer: f"{answer.status} {(answer.raw or answer.body)[:24]!r}",
)
def test_what_passes_costs_nothing(run: Run, pacs: WebPacs, answer: Answer) -> None:
    pacs.trick = lambda request: answer if request.number in (2, 3) else None
    code, found = sent(run, pacs)
    assert (code, found["sent"] + found["found"]) == (0, 25)
    assert pacs.arrivals == once(run)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"Content-Type": guarded_session.JSON}, b"[" * 100_000 + b"]" * 100_000),
        Answer(200, {"Content-Type": guarded_session.JSON}, b'[{"00080018": {"Value": ["\xff\xfe"]}}]'),
        Answer(200, {"Content-Type": guarded_session.JSON}, b'{"00080018": {"Value": [[], {}, null]}}'),
        Answer(200, {"Content-Type": guarded_session.JSON}, b'[{"00080018": {"Value": [{}, [1]]}}]'),
        Answer(200, raw=HEAD + b"Content-Length: -5\r\n\r\n[]"),
    ],
    ids=lambda answer: f"{(answer.raw or answer.body)[:40]!r}",
)
def test_nonsense_in_answer_to_a_question_does_no_harm(run: Run, pacs: WebPacs, answer: Answer) -> None:
    pacs.trick = lambda request: answer if request.method == "GET" and request.number in (2, 3) else None
    code, found = sent(run, pacs)
    assert (code, found["sent"]) == (0, 25)
    assert pacs.arrivals == once(run)


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n"])
def test_answers_without_length_end_with_their_connection(run: Run, pacs: WebPacs, head: bytes) -> None:
    def old(request: Request) -> Answer | None:
        answer = pacs.proper(request)
        kind = answer.headers.get("Content-Type", guarded_session.JSON).encode()
        body = answer.body or b"[]"
        return Answer(200, raw=head + b"Content-Type: " + kind + b"\r\n\r\n" + body)

    pacs.trick = old
    pacs.stored = {uid(3, 7): small_report(7)}
    code, found = sent(run, pacs)
    assert (code, found["sent"], found["found"]) == (0, 24, 1)


def test_service_that_says_yes_and_stores_nothing_is_never_believed(run: Run, pacs: WebPacs) -> None:
    def lie(request: Request) -> Answer | None:
        if request.method != "POST":
            return None
        answer = pacs.store(request)
        pacs.stored.clear()
        return answer

    pacs.trick = lie
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert "has taken documents and doesn't list them" in result.stderr
    assert not [name for name in run.place.names(layout.SENT_FOLDER) if "destination" not in name]


@pytest.mark.parametrize("documents", [10, 25])
def test_service_that_lists_what_it_took_seconds_later_is_waited_for(
    begin: Begin, archive: Path, pacs: WebPacs, documents: int
) -> None:
    run = begin(archive, shard_films=documents, sr=True)
    pretend_scored(run)
    queries: Counter[str] = Counter()

    def lag(request: Request) -> Answer | None:
        if request.method != "GET":
            return None
        asked = [each for each in request.uids() if each in pacs.stored]
        queries.update(asked)
        pacs.hidden = {each for each in asked if queries[each] < 4}
        return None

    pacs.trick = lag
    code, found = sent(run, pacs)
    assert (code, found["sent"], found["unconfirmed"]) == (0, 25, 0)
    assert pacs.arrivals == once(run)


def test_service_that_lists_everything_for_any_query_gets_each_once(run: Run, pacs: WebPacs) -> None:
    pacs.lists_everything = True
    pacs.stored = {uid(3, row): small_report(row) for row in (0, 7, 100, 101)}
    code, found = sent(run, pacs)
    assert (code, found["sent"], found["found"]) == (0, 23, 2)
    assert pacs.arrivals == {uid(3, row): 1 for row in range(25) if row not in (0, 7)}


def test_service_without_lists_gets_each_once(run: Run, pacs: WebPacs) -> None:
    pacs.knows_lists = False
    pacs.stored = {uid(3, row): small_report(row) for row in (0, 7, 13)}
    code, found = sent(run, pacs)
    assert (code, found["sent"], found["found"]) == (0, 22, 3)
    assert set(pacs.arrivals.values()) == {1}


@pytest.mark.parametrize("status", [400, 403, 404, 414, 500, 503])
def test_service_that_refuses_lists_is_asked_one_by_one(run: Run, pacs: WebPacs, status: int) -> None:
    pacs.trick = lambda request: Answer(status) if len(request.uids()) > 1 else None
    code, found = sent(run, pacs)
    assert (code, found["sent"], found["unconfirmed"]) == (0, 25, 0)
    assert sum(len(request.uids()) > 1 for request in pacs.requests) == 1


def test_lists_spare_queries(begin: Begin, archive: Path, pacs: WebPacs) -> None:
    run = begin(archive, shard_films=5, sr=True)
    pretend_scored(run)
    assert sent(run, pacs)[0] == 0
    assert pacs.arrivals == once(run)
    # The connection; the first shard's list, its five alone, and their list; two lists for each other shard.
    assert pacs.counts("GET") == 1 + 1 + 5 + 1 + 4 * 2


def test_service_that_no_longer_lets_in_keeps_what_it_has(run: Run, pacs: WebPacs) -> None:
    pacs.trick = lambda request: Answer(401) if pacs.counts("POST") > 1 and request.method == "POST" else None
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert "doesn't let this sender in (HTTP 401)" in result.stderr
    pacs.trick = lambda request: None
    assert sent(run, pacs)[0] == 0
    assert pacs.arrivals == once(run)


def test_eight_connections_send_each_once(begin: Begin, archive: Path, pacs: WebPacs) -> None:
    run = begin(archive, shard_films=2, sr=True)
    pretend_scored(run)
    code, found = sent(run, pacs, "--connections", "8")
    assert (code, found["sent"]) == (0, 25)
    assert pacs.arrivals == once(run)


def test_answer_that_is_lost_is_asked_for(run: Run, pacs: WebPacs) -> None:
    def lose(request: Request) -> Answer | None:
        if request.method == "POST" and request.number == 1:
            pacs.store(request)
            return Answer(200, {}, b"", cut=True)
        return None

    pacs.trick = lose
    code, found = sent(run, pacs)
    assert (code, found["sent"], found["found"]) == (0, 15, 10)
    assert pacs.arrivals == once(run)


@pytest.mark.parametrize(
    "body", [b"", b"<xml/>", b"{}", b"[" * 100_000, b'{"00081198": 3}', b'{"00081199": {"Value": [1, null]}}']
)
def test_answer_that_says_nothing_is_settled_by_asking(run: Run, pacs: WebPacs, body: bytes) -> None:
    def mumble(request: Request) -> Answer | None:
        if request.method != "POST":
            return None
        pacs.store(request)
        return Answer(200, {"Content-Type": "application/dicom+json"}, body)

    pacs.trick = mumble
    assert sent(run, pacs)[0] == 0
    assert pacs.arrivals == once(run)


def test_answer_that_leaves_a_document_out_is_no_yes(run: Run, pacs: WebPacs) -> None:
    def forget(request: Request) -> Answer | None:
        if request.method != "POST" or request.number > 1:
            return None
        some = dict(list(request.documents().items())[:-1])
        answer = pacs.store(request)
        del pacs.stored[uid(3, 9)]
        pacs.arrivals.subtract([uid(3, 9)])
        body = json.loads(answer.body)
        body["00081199"]["Value"] = [
            each for each in body["00081199"]["Value"] if each["00081155"]["Value"][0] in some
        ]
        return Answer(202, answer.headers, json.dumps(body).encode())

    pacs.trick = forget
    code, found = sent(run, pacs)
    assert (code, found["sent"]) == (0, 25)
    assert pacs.arrivals == once(run)


def test_taken_and_not_listed_is_not_sent_again_at_once_and_not_confirmed(run: Run, pacs: WebPacs) -> None:
    pacs.hidden = {uid(3, 2)}
    code, found = sent(run, pacs)
    assert (code, found["documents"]) == (1, 15)
    assert [(each["shard"], each["reason"]) for each in found["left"]] == [
        (0, "the PACS has taken documents and doesn't list them")
    ]
    assert pacs.arrivals == once(run)
    pacs.hidden = set()
    assert sent(run, pacs)[0] == 0
    assert pacs.arrivals == once(run)


@pytest.mark.parametrize("body", [b"<NativeDicomModel/>", b""])
def test_answer_that_does_not_say_which_were_refused_is_settled_by_asking(
    run: Run, pacs: WebPacs, body: bytes
) -> None:
    bad = {uid(3, 5): 0xC000}

    def mumble(request: Request) -> Answer | None:
        if request.method != "POST":
            return None
        answer = pacs.store(request, {each: bad[each] for each in request.documents() if each in bad})
        return Answer(answer.status, {"Content-Type": "application/dicom+xml"}, body)

    pacs.trick = mumble
    code, found = sent(run, pacs)
    assert (code, found["sent"] + found["found"]) == (1, 24)
    assert [(each["row"], each["status"]) for each in found["refused"]] == [(5, "409")]
    assert pacs.arrivals == {each: 1 for each in once(run) if each not in bad}


def test_document_that_a_pacs_fails_at_is_refused_where_others_are_taken(run: Run, pacs: WebPacs) -> None:
    pacs.trick = lambda request: (
        Answer(500) if request.method == "POST" and uid(3, 5) in request.documents() else None
    )
    code, found = sent(run, pacs)
    assert (code, found["sent"]) == (1, 24)
    assert [(each["row"], each["status"]) for each in found["refused"]] == [(5, "500")]


def test_document_that_a_pacs_fails_at_is_refused_where_others_were_there_already(
    run: Run, pacs: WebPacs
) -> None:
    assert sent(run, pacs)[0] == 0
    del pacs.stored[uid(3, 5)]
    rmtree(Path(run.place.url) / "sent")  # as after a kill
    pacs.trick = lambda request: Answer(500) if request.method == "POST" else None
    code, found = sent(run, pacs)
    assert (code, found["found"], found["left"]) == (1, 24, [])
    assert [(each["row"], each["status"]) for each in found["refused"]] == [(5, "500")]


def test_document_that_is_not_found_once_it_is_stored_is_not_confirmed(run: Run, pacs: WebPacs) -> None:
    def forgets(request: Request) -> Answer | None:
        if request.method == "GET" and "/series/" in request.path:
            return Answer(404)
        if request.method == "GET" and len(request.uids()) > 1:
            return Answer(400)
        return None

    pacs.trick = forgets
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert "doesn't list" in result.stderr
    pacs.trick = lambda request: None
    assert sent(run, pacs)[0] == 0
    assert pacs.arrivals == once(run)


def test_pacs_that_is_down_stops_the_command_and_loses_nothing(run: Run, pacs: WebPacs) -> None:
    pacs.trick = lambda request: Answer(503) if request.number > 1 or request.method == "POST" else None
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert "3 shards in a row were left (the PACS answered HTTP 503)" in result.stderr
    pacs.trick = lambda request: None
    assert sent(run, pacs)[0] == 0


def test_pacs_that_asks_for_a_long_wait_is_left(run: Run, pacs: WebPacs) -> None:
    pacs.trick = lambda request: (
        Answer(429, {"Retry-After": "100000"}) if request.method == "POST" and request.number == 1 else None
    )
    code, found = sent(run, pacs)
    assert (code, len(found["left"]), pacs.counts("POST")) == (1, 1, 3)


def test_pacs_that_does_not_answer_is_not_waited_for(run: Run, pacs: WebPacs) -> None:
    pacs.trick = lambda request: Answer(200, hang=True) if request.number == 2 else None
    code, _ = sent(run, pacs, "--timeout", "0.5")
    assert code == 0


def test_nobody_listens(run: Run) -> None:
    with web_pacs() as pacs:
        url = pacs.url
    result = send(run, "--dicomweb", url)
    assert result.exit_code == 2
    assert "the connection to the PACS failed" in result.stderr


def test_no_answer_is_read_without_end(run: Run, pacs: WebPacs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_session, "_MOST_ANSWER", 100_000)
    endless = Answer(200, {"Content-Type": "application/dicom+json"}, b"[" + b" " * 3_000_000)
    pacs.trick = lambda request: endless if request.number == 2 else None
    assert sent(run, pacs)[0] == 0
