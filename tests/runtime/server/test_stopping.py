"""The command as a process: ready, under load, stopped by signals; and what it opens."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from cxrscribe.embedded import demo_films
from cxrscribe.server.limits import Limits
from support.http_service import WAIT, Gate, eventually, film, running
from support.skips import skip_or_fail
from support.traced import UNSET

pytestmark = pytest.mark.skipif("sys.platform == 'win32'", reason="signals end programs there")


@contextmanager
def served(*options: object, tracer: tuple[object, ...] = (), home: Path | None = None) -> Iterator[Any]:
    """`cxrscribe serve` in a process of its own, once it is ready: the process, and what it said."""
    command = [*tracer, sys.executable, "-m", "cxrscribe", "serve", "--json", "--port", 0, *options]
    environment = {name: value for name, value in os.environ.items() if name not in UNSET or home is None}
    process = subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment if home is None else {**environment, "HOME": str(home)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def events(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


def asking(address: tuple[str, int], ends: Event, content: bytes) -> tuple[int, int, int]:
    """Ask until there is nobody any more: how often with an answer, cut off in it, and never heard."""
    answered = cut = unheard = 0
    while not ends.is_set():
        connection = http.client.HTTPConnection(*address, timeout=WAIT)
        try:
            connection.request("POST", "/v1/report", content)
        except OSError:
            connection.close()
            return answered, cut, unheard + 1
        try:
            response = connection.getresponse()
            status = response.status
            response.read()
        except (OSError, http.client.HTTPException):
            unheard += 1
            continue
        finally:
            connection.close()
        answered += status == 200
        cut += status != 200
    return answered, cut, unheard


def test_a_signal_under_load_loses_no_accepted_film(fused_bundle: Path) -> None:
    with served("--bundle", fused_bundle, "--device", "cpu", "--warm", 1) as (process, said):
        address = ("127.0.0.1", int(said["url"].rpartition(":")[2]))
        ends = Event()
        with ThreadPoolExecutor(8) as clients:
            counted = [clients.submit(asking, address, ends, film(seed)) for seed in range(8)]
            eventually(lambda: _answered(address) > 20)
            process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=WAIT)
            ends.set()
            answered, other, _unheard = map(sum, zip(*(each.result(WAIT) for each in counted), strict=True))
        assert process.returncode == 0
    requests = [event for event in events(stderr) if event["event"] == "request"]
    reports = [event["status"] for event in requests if event["route"] == "/v1/report"]
    assert set(reports) == {200}
    assert len(reports) == answered  # what the service took, clients have
    assert other == 0
    assert events(stderr)[-1]["event"] == "stopped"
    assert events(stderr)[-1]["unanswered"] == 0


def _answered(address: tuple[str, int]) -> int:
    connection = http.client.HTTPConnection(*address, timeout=WAIT)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return int(text.partition("\ncxrscribe_reports_total ")[2].partition("\n")[0])


def test_what_was_accepted_is_answered_and_nothing_more_let_in(
    fused_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = film(96)
    gate = Gate(monkeypatch, slow)
    with running(fused_bundle) as started, ThreadPoolExecutor(1) as clients:
        accepted = clients.submit(started.report, slow)
        assert gate.reached.wait(WAIT)
        started.listening.stop()
        eventually(lambda: _refused(started.port))
        assert not accepted.done()
        gate.opened.set()
        assert accepted.result(WAIT).status == 200
        started.stop()
        assert started.unanswered == 0


def test_who_gets_no_answer_in_time_is_told_so(fused_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = film(95)
    gate = Gate(monkeypatch, slow)
    with running(fused_bundle, limits=Limits(grace=1)) as started, ThreadPoolExecutor(1) as clients:
        accepted = clients.submit(started.report, slow)
        assert gate.reached.wait(WAIT)
        started.listening.stop()
        answer = accepted.result(WAIT)
        assert (answer.status, answer.code) == (503, "stopping")
        gate.opened.set()
        started.stop()
        assert started.unanswered == 1


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), WAIT).close()
    except ConnectionRefusedError:
        return True
    return False


def test_ctrl_c_ends_it_and_a_second_one_at_once(fused_bundle: Path) -> None:
    with served("--bundle", fused_bundle, "--device", "cpu", "--warm", 0) as (process, said):
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=WAIT)
        assert process.returncode == 0, stderr
    with served("--bundle", fused_bundle, "--device", "cpu", "--warm", 0) as (process, said):
        port = int(said["url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), WAIT) as client:
            client.sendall(b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1")
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.8)
            assert process.poll() is None  # it waits for the rest of the body
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=WAIT)
        assert process.returncode == -signal.SIGTERM


@pytest.mark.slow
def test_films_are_read_by_processes_of_their_own_and_a_killed_one_costs_nobody_else(
    fused_bundle: Path,
) -> None:
    with served("--bundle", fused_bundle, "--device", "cpu", "--threads", 1) as (process, said):
        address = ("127.0.0.1", int(said["url"].rpartition(":")[2]))
        children = _children(process.pid)
        assert children
        for child in children:
            os.kill(child, signal.SIGKILL)
        connection = http.client.HTTPConnection(*address, timeout=WAIT)
        connection.request("POST", "/v1/report", film())
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT)
        assert process.returncode == 0


def _children(pid: int) -> list[int]:
    files = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for file in files for child in file.read_text().split()]
    if not found and not Path("/proc").is_dir():
        pytest.skip("this system doesn't list processes in /proc")
    return found


@pytest.mark.slow
def test_nothing_is_opened_but_the_loopback(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        skip_or_fail("no strace on this machine")
    log = tmp_path / "calls"
    calls = "trace=socket,connect,bind,sendto,sendmsg"
    tracer = (strace, "-f", "-qq", "-e", calls, "-o", log)
    with served("--no-cache", "--device", "cpu", tracer=tracer, home=tmp_path) as (process, said):
        connection = http.client.HTTPConnection(
            "127.0.0.1", int(said["url"].rpartition(":")[2]), timeout=WAIT
        )
        connection.request("POST", "/v1/report", demo_films()[0].read_bytes())
        answer = connection.getresponse()
        assert answer.status == 200
        assert "heart" in answer.read().decode().lower()
        connection.close()
        os.kill(said["pid"], signal.SIGTERM)
        process.communicate(timeout=WAIT)
    lines = log.read_text(encoding="utf-8").splitlines()
    opened = [line for line in lines if "socket(AF_INET" in line or "socket(AF_NETLINK" in line]
    bound = [line for line in lines if "bind(" in line]
    assert len(opened) == len(bound) == 1, lines
    assert 'inet_addr("127.0.0.1")' in bound[0]
    assert not [line for line in lines if "connect(" in line and "AF_INET" in line]
