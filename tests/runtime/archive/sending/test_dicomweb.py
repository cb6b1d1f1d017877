"""STOW-RS against a service that misbehaves."""

# ruff: noqa: E402 (nothing here can be imported without the extra)
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REASON = "the extra send isn't installed"
pytest.importorskip("dicomweb_client", reason=REASON)
pytest.importorskip("pynetdicom", reason=REASON)

from click.testing import CliRunner, Result

from cxrscribe.archive import Run, layout, sr_tar
from cxrscribe.archive.generation import write_retry
from cxrscribe.archive.sending import dicomweb
from cxrscribe.archive.sending.ledger import Ledger, ledgers
from cxrscribe.cli.main import main
from cxrscribe.errors import InputError, Reason
from support.certificates import self_signed
from support.small_reports import pretend_scored, small_report, uid
from support.web_pacs import Answer, Request, WebPacs, web_pacs

Begin = Callable[..., Run]


def send(run: Run, *options: str) -> Result:
    return CliRunner().invoke(main, ["score", "send", run.place.url, *options], catch_exceptions=False)


def sent(run: Run, pacs: WebPacs, *options: str) -> tuple[int, dict[str, Any]]:
    result = send(run, "--dicomweb", pacs.url, "--json", *options)
    assert result.stdout, result.stderr
    return result.exit_code, json.loads(result.stdout)


def once(run: Run) -> dict[str, int]:
    return {uid(3, row): 1 for row in range(run.plan.films)}


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


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(503, {"Retry-After": "0"}),
        Answer(429, {"Retry-After": "Fri, 01 Jan 2021 00:00:00 GMT"}),
        Answer(429, {"Retry-After": "soon"}),
        Answer(200, {"Content-Type": dicomweb._JSON}, b"[", cut=True),
        Answer(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
    ],
)
def test_what_passes_costs_nothing(run: Run, pacs: WebPacs, answer: Answer) -> None:
    pacs.trick = lambda request: answer if request.number in (2, 3) else None
    code, found = sent(run, pacs)
    assert (code, found["sent"] + found["found"]) == (0, 25)
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


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_not_let_in_stops_at_once(run: Run, pacs: WebPacs, status: int) -> None:
    pacs.trick = lambda request: Answer(status, body=b"secret page of the server")
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert f"doesn't let this sender in (HTTP {status})" in result.stderr
    assert "secret" not in result.output
    assert len(pacs.requests) == 1


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


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirections_are_not_followed(
    run: Run, pacs: WebPacs, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRSCRIBE_DICOMWEB_TOKEN", "s3cr3t-token")
    with web_pacs() as other:
        pacs.trick = lambda request: Answer(status, {"Location": f"{other.url}/\x1b[2J?s3cr3t"})
        result = send(run, "--dicomweb", pacs.url)
        assert result.exit_code == 2
        assert f"sends to http://localhost (HTTP {status}), which is not followed" in result.stderr
        assert other.requests == []


def test_token_goes_with_requests_and_nowhere_else(
    run: Run, pacs: WebPacs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXRSCRIBE_DICOMWEB_TOKEN", "s3cr3t-token")
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 0
    assert {request.headers["authorization"] for request in pacs.requests} == {"Bearer s3cr3t-token"}
    assert "s3cr3t" not in result.output
    assert not [name for name in run.place.names(".") if b"s3cr3t" in run.place.read(name)]


def test_netrc_and_proxies_of_the_environment_are_not_used(
    run: Run, pacs: WebPacs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine localhost login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert sent(run, pacs)[0] == 0
    assert not any("authorization" in request.headers for request in pacs.requests)


def test_nothing_of_a_patient_is_told(run: Run, pacs: WebPacs) -> None:
    pacs.stored = {uid(3, 7): small_report(7, "Another text.")}
    pacs.trick = lambda request: (
        Answer(400, body=b"Doe^Jane P5")
        if request.method == "POST" and uid(3, 5) in request.documents()
        else None
    )
    result = send(run, "--dicomweb", pacs.url)
    told = [run.place.read(name) for name in run.place.names(layout.SENT_FOLDER)]
    for content in (result.output.encode(), *told):
        assert b"Doe" not in content
        assert b"P5" not in content
        assert uid(1, 5).encode() not in content  # the study


def test_no_answer_is_read_without_end(run: Run, pacs: WebPacs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "_MOST_ANSWER", 100_000)
    endless = Answer(200, {"Content-Type": "application/dicom+json"}, b"[" + b" " * 3_000_000)
    pacs.trick = lambda request: endless if request.number == 2 else None
    assert sent(run, pacs)[0] == 0


def test_several_connections_send_each_once(run: Run, pacs: WebPacs) -> None:
    code, found = sent(run, pacs, "--connections", "3")
    assert (code, found["sent"]) == (0, 25)
    assert pacs.arrivals == once(run)


def test_dry_run_sends_nothing(run: Run, pacs: WebPacs) -> None:
    result = send(run, "--dicomweb", pacs.url, "--dry-run")
    assert (result.exit_code, pacs.counts("POST"), pacs.stored) == (0, 0, {})
    assert f"25 documents of 3 shards are to be sent to {pacs.url}" in result.stdout
    assert run.place.names(layout.SENT_FOLDER) == []


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


def test_certificates_are_checked_and_clients_have_theirs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = self_signed(tmp_path, "service")
    client = self_signed(tmp_path, "client", password="open sesame")
    with web_pacs(service.server(clients=client.certificate)) as pacs:
        result = send(run, "--dicomweb", pacs.url)
        assert result.exit_code == 2
        assert "is not to be believed" in result.stderr
        ca = ("--ca", str(service.certificate))
        result = send(run, "--dicomweb", pacs.url, *ca)
        assert result.exit_code == 2
        own = ("--client-certificate", str(client.certificate), "--client-key", str(client.key))
        result = send(run, "--dicomweb", pacs.url, *ca, *own)
        assert result.exit_code == 2
        assert "CXRSCRIBE_CLIENT_KEY_PASSWORD" in result.stderr
        monkeypatch.setenv("CXRSCRIBE_CLIENT_KEY_PASSWORD", "open sesame")
        code, found = sent(run, pacs, *ca, *own)
        assert (code, found["sent"]) == (0, 25)


def test_certificate_of_another_host_is_not_believed(run: Run, tmp_path: Path) -> None:
    service = self_signed(tmp_path, "service", hosts="DNS:elsewhere.example")
    with web_pacs(service.server()) as pacs:
        result = send(run, "--dicomweb", pacs.url, "--ca", str(service.certificate))
        assert result.exit_code == 2
        assert "is not to be believed" in result.stderr


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
