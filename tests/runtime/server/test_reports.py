"""Reports over HTTP are those of the reporter, and leave when they are done."""

from __future__ import annotations

import asyncio
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import cxrscribe
from cxrscribe import BeamSettings, Reporter, Study
from cxrscribe.cli.report_row import ReportRow, StudyRow
from support.http_service import WAIT, Gate, Running, answer_of, film, running


def test_a_report_has_the_fields_of_the_command_line(service: Running, reporter: Reporter) -> None:
    answer = service.report(film(1))
    assert answer.status == 200
    row = ReportRow("x.png", reporter.report(film(1)), reporter.disclaimer)
    assert answer.json == {**json.loads(row.to_json_line()), "film": None}
    assert list(answer.json) == list(row.to_json())
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_settings_are_those_of_the_query(service: Running, reporter: Reporter) -> None:
    settings = BeamSettings(beam_width=4, max_length=7, n_best=3, length_penalty=0.5, banned_words=("b", "c"))
    query = (
        "?beam_width=4&max_length=7&n_best=3&length_penalty=0.5&banned_words=b&banned_words=c&min_length=0"
    )
    answer = service.report(film(2), query)
    assert answer.status == 200, answer.content
    wanted = reporter.report(film(2), settings)
    assert answer.json["text"] == wanted.text
    assert answer.json["alternatives"] == json.loads(
        json.dumps([each.to_json() for each in wanted.alternatives])
    )


def test_drawn_reports_say_how(service: Running, reporter: Reporter) -> None:
    answer = service.report(film(3), "?decoding=sample&samples=4&seed=7&temperature=0.9&top_k=5")
    settings = reporter.settings.with_chosen(
        {"decoding": "sample", "samples": 4, "seed": 7, "temperature": 0.9, "top_k": 5}
    )
    assert answer.json["text"] == reporter.report(film(3), settings).text
    assert answer.json["settings"] == json.loads(json.dumps(settings.to_json()))


def test_the_name_of_a_film_is_what_the_client_says(service: Running) -> None:
    disposition = {"Content-Disposition": 'attachment; filename="left lateral.png"'}
    assert service.report(film(), headers=disposition).json["film"] == "left lateral.png"
    chunked = service.ask("POST", "/v1/report", iter([film()[:100], film()[100:]]))
    assert (chunked.status, chunked.json["film"]) == (200, None)


def test_a_form_is_an_array_in_the_order_of_its_parts(service: Running, reporter: Reporter) -> None:
    parts = [("a", "one.png", film(1)), ("b", "bad.png", b"no film"), ("c", "two.png", film(2))]
    answer = service.form(parts)
    assert answer.status == 200
    assert [row["film"] for row in answer.json] == ["one.png", "bad.png", "two.png"]
    assert [row["text"] for row in answer.json] == [
        reporter.report(film(1)).text,
        None,
        reporter.report(film(2)).text,
    ]
    assert answer.json[0]["error"] is None
    assert "film of 7 bytes" in answer.json[1]["error"]


def test_a_study_is_one_report_of_all_films(service: Running, reporter: Reporter) -> None:
    films = [film(1), b"no film", film(2)]
    answer = service.form([("film", "same.png", each) for each in films], "?by=study")
    row = StudyRow("", ("", "", ""), reporter.report(Study(films)), reporter.disclaimer)
    assert answer.json["text"] == row.to_json()["text"]
    assert list(answer.json) == list(row.to_json())
    assert answer.json["films"] == ["same.png"] * 3
    assert [each["film"] for each in answer.json["left_out"]] == ["same.png"]
    alone = service.report(film(1), "?by=study")
    assert (alone.json["films"], alone.json["text"]) == ([None], reporter.report(film(1)).text)
    none = service.form([("film", "a", b"no film"), ("film", "b", b"none either")], "?by=study")
    assert (none.status, none.json["error"]["reason"]) == (422, "not_a_radiograph")


def test_an_indication_is_a_part_of_the_form_and_of_no_answer(context_bundle: Path) -> None:
    text = "Cough, fever. Shortness of breath."
    with cxrscribe.load(context_bundle, device="cpu") as own, running(context_bundle) as started:
        wanted = own.report(film(1), indication=text)
        parts = [("film", "a.png", film(1)), ("indication", None, text.encode()), ("film", "b.png", film(1))]
        answer = started.form(parts)
        assert [row["text"] for row in answer.json] == [wanted.text] * 2
        assert [row["log_prob"] for row in answer.json] == [wanted.log_prob] * 2
        assert answer.json[0]["indication"] is True
        assert answer.json[0]["indication_from"] == "request"
        assert b"Cough" not in answer.content
        without = started.report(film(1)).json
        assert (without["indication"], without["indication_from"]) == (False, None)
        assert without["log_prob"] != wanted.log_prob
        assert "Cough" not in "".join(started.lines)
        assert started.ask("GET", "/v1/model").json["reads_indications"] is True


def test_a_model_without_context_refuses_an_indication(service: Running) -> None:
    answer = service.form([("film", "a.png", film()), ("indication", None, b"SECRET pain")])
    assert (answer.status, answer.code) == (400, "wrong_settings")
    assert b"SECRET" not in answer.content


def test_many_at_once_have_the_words_that_each_has_alone(service: Running, reporter: Reporter) -> None:
    wanted = [reporter.report(film(seed)).text for seed in range(40)]
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda seed: service.report(film(seed)), range(40)))
    assert [answer.json["text"] for answer in answers] == wanted


def test_a_connection_serves_one_request_after_the_other(service: Running, reporter: Reporter) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=WAIT)) as connection:
        for seed in range(3):
            connection.request("POST", "/v1/report", film(seed))
            assert answer_of(connection).json["text"] == reporter.report(film(seed)).text


def test_an_answer_leaves_before_one_that_was_asked_for_earlier(
    fused_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = film(99)
    gate = Gate(monkeypatch, slow)
    with running(fused_bundle) as started, ThreadPoolExecutor(1) as clients:
        first = clients.submit(started.report, slow)
        assert gate.reached.wait(WAIT)
        assert started.report(film(1)).status == 200
        assert not first.done()
        gate.opened.set()
        assert first.result(WAIT).status == 200


def test_a_program_in_asyncio_may_ask_too(service: Running) -> None:
    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        head = f"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(film())}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + film())
        content = await reader.read()
        writer.close()
        return content

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 200")
