"""What the service says of itself: health, model, metrics, OpenAPI, log."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import cxrscribe
from cxrscribe import Reporter
from cxrscribe.errors import BundleError
from cxrscribe.server.listening import Place
from cxrscribe.version import __version__
from support.http_service import Running, eventually, film, running


def test_health_says_loading_ready_and_failed(fused_bundle: Path) -> None:
    may_load = Event()

    def load() -> Reporter:
        assert may_load.wait(60)
        return cxrscribe.load(fused_bundle, device="cpu")

    started = Running(load)
    try:
        started.wait_listening()
        live, ready = started.ask("GET", "/health/live"), started.ask("GET", "/health/ready")
        assert (live.status, live.json) == (200, {"status": "alive"})
        assert (ready.status, ready.json) == (503, {"status": "loading"})
        early = started.report(film())
        assert (early.status, early.code, early.headers["retry-after"]) == (503, "loading", "1")
        may_load.set()
        started.wait_ready()
        assert started.ask("GET", "/health/ready").json == {"status": "ready"}
        assert started.ask("HEAD", "/health/ready").content == b""
        queue = started.listening._service._queue
        assert queue is not None
        queue._failure = RuntimeError("gone")
        assert started.ask("GET", "/health/live").json == {"status": "failed"}
        assert started.report(film()).code == "failed"
    finally:
        may_load.set()
        started.stop()


def test_a_bundle_that_cannot_be_loaded_ends_it(tmp_path: Path) -> None:
    started = Running(lambda: cxrscribe.load(tmp_path / "none"))
    started.thread.join(60)
    assert isinstance(started.error, BundleError)


def test_the_model_without_a_path(service: Running, reporter: Reporter, fused_bundle: Path) -> None:
    model = service.ask("GET", "/v1/model").json
    assert model["version"] == __version__
    assert model["vocabulary_size"] == len(reporter.vocabulary)
    assert model["settings"] == json.loads(json.dumps(reporter.settings.to_json()))
    assert (model["precision"], model["device"]) == (reporter.precision, "cpu")
    assert model["disclaimer"] == reporter.disclaimer
    assert str(fused_bundle) not in json.dumps(model)


def test_metrics_are_openmetrics_and_count(fused_bundle: Path) -> None:
    with running(fused_bundle) as started:
        started.report(film(1), "?min_length=3")
        started.form([("a", "a.png", film(2)), ("b", "b.png", b"no film")])
        started.report(b"no film")
        started.ask("GET", "/nowhere")
        answer = started.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in text_string_to_metric_families(answer.content.decode())}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }

    def requests(route: str, method: str, status: int) -> float:
        labels = (("method", method), ("route", route), ("status", str(status)))
        return samples["cxrscribe_requests_total", *labels]

    assert requests("/v1/report", "POST", 200) == 2
    assert requests("/v1/report", "POST", 422) == 1
    assert requests("other", "GET", 404) == 1
    assert samples["cxrscribe_films_total",] == 4
    assert samples["cxrscribe_reports_total",] == 2
    assert samples["cxrscribe_errors_total", ("reason", "not_a_radiograph")] == 2
    assert samples["cxrscribe_read_seconds_count",] == 4
    assert samples["cxrscribe_request_seconds_count",] == 3
    assert samples["cxrscribe_waiting",] == samples["cxrscribe_held_bytes",] == 0
    assert samples["cxrscribe_words_total",] > 0
    assert samples["cxrscribe_step_rows_total",] >= samples["cxrscribe_steps_total",] > 0
    assert samples["cxrscribe_ready",] == 1


def schema_of(document: dict[str, Any], name: str) -> Draft202012Validator:
    return Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})


def test_the_description_is_openapi_and_holds(service: Running) -> None:
    document = service.ask("GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()
    for name in document["components"]["schemas"]:
        Draft202012Validator.check_schema(document["components"]["schemas"][name])
    drawn = service.report(film(1), "?decoding=sample&samples=2&n_best=2").json
    for report in (service.report(film(1)).json, drawn, *service.form([("a", "a", b"no film")]).json):
        schema_of(document, "FilmReport").validate(report)
    study = service.form([("a", "a", film(1)), ("b", "b", b"no film")], "?by=study").json
    schema_of(document, "StudyReport").validate(study)
    for problem in (service.report(b"no film").json, service.ask("GET", "/nowhere").json):
        schema_of(document, "Problem").validate(problem)
    schema_of(document, "Model").validate(service.ask("GET", "/v1/model").json)
    schema_of(document, "Health").validate(service.ask("GET", "/health/live").json)
    with pytest.raises(Exception, match=r"not valid|is a required|not of type"):
        schema_of(document, "FilmReport").validate({"film": 3})


def test_every_parameter_of_the_description_is_taken(service: Running, reporter: Reporter) -> None:
    document = service.ask("GET", "/openapi.json").json
    parameters = document["paths"]["/v1/report"]["post"]["parameters"]
    assert {each["name"] for each in parameters} == {"by"} | set(vars(reporter.settings))
    for each in parameters:
        schema = each["schema"]
        value = schema.get("default", schema.get("enum", [None])[0])
        if value is None or isinstance(value, list):
            continue
        assert service.report(film(1), f"?{each['name']}={value}").status == 200


def test_the_log_has_nothing_of_a_patient(context_bundle: Path) -> None:
    marker = "DOE^JANE"
    with running(context_bundle) as started:
        parts = [("film", f"{marker}.png", film(1)), ("indication", None, marker.encode())]
        ok = started.form(parts, "?min_length=5")
        started.form([("film", f"{marker}.png", marker.encode())], "?by=study")
        started.ask("POST", f"/v1/report?patient={marker}", film(1))
        started.ask("POST", f"/v1/report?banned_words={marker}", film(1))
        started.ask("GET", f"/{marker}")
        started.ask("GET", "/v1/model", headers={"X-Request-ID": marker, "User-Agent": marker})
        started.ask(marker.replace("^", "-"), "/")
        with started.connect() as client:
            client.sendall(f"{marker}\r\n\r\n".encode())
            client.recv(1000)
        text, log, metrics = ok.json[0]["text"], "".join(started.lines), started.metrics()
        events = started.events()
    for word in ("DOE", "JANE"):
        assert word not in log
        assert word not in metrics
    assert text
    assert text not in log
    assert len(events) == 7
    by_id = {event["id"]: event for event in events}
    assert by_id[ok.headers["x-request-id"]]["status"] == 200
    assert set(events[0]) == {
        *("time", "event", "id", "method", "route", "status", "milliseconds", "bytes", "films", "reason")
    }
    assert [event["status"] for event in events] == [200, 422, 400, 400, 404, 200, 404]


@pytest.mark.skipif("sys.platform == 'win32'", reason="no unix sockets in Python there")
def test_a_unix_socket(fused_bundle: Path, tmp_path: Path) -> None:
    import socket

    path = tmp_path / "s"
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(path))
    left_over.close()
    with running(fused_bundle, place=Place(unix=path)) as started:
        assert started.url == f"unix:{path}"
        assert path.stat().st_mode & 0o007 == 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        with pytest.raises(cxrscribe.InputError, match="another program"):
            Place(unix=path).open()
    eventually(lambda: not path.exists())
    path.write_text("a file")
    with pytest.raises(cxrscribe.InputError, match="no socket"):
        Place(unix=path).open()


def test_a_port_that_is_taken(service: Running) -> None:
    with pytest.raises(cxrscribe.InputError, match="can't listen"):
        Place(port=service.port).open()
