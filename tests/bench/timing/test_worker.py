from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cxrscribe.errors import MissingExtraError
from cxrscribe_bench.timing.worker import Worker, WorkerError


class Subject:
    """What is measured."""

    def __init__(self, start: int) -> None:
        self._value = start

    def add(self, number: int) -> int:
        self._value += number
        return self._value

    def identity(self) -> tuple[int, str | None]:
        return os.getpid(), os.environ.get("CXRSCRIBE_TEST_VARIABLE")

    def talk(self) -> None:
        print("said by python")
        os.system("echo said by a child")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def remember(self, megabytes: int) -> int:
        return len(bytes(megabytes * 2**20).replace(b"\0", b"\1"))

    def fail(self) -> None:
        raise ValueError("a film of 3 pixels")

    def die(self) -> None:
        os._exit(7)


def refuse(extra: str | None) -> None:
    if extra is not None:
        raise MissingExtraError("PyTorch", extra)
    raise ValueError("no such bundle")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


def test_subject_lives_in_a_process_of_its_own_and_keeps_its_state(log: Path) -> None:
    with Worker("subject", Subject, 3, log=log, environment={"CXRSCRIBE_TEST_VARIABLE": "set"}) as worker:
        assert [worker.call("add", 2).value, worker.call("add", 4).value] == [5, 9]
        pid, variable = worker.call("identity").value
    assert pid != os.getpid()
    assert variable == "set"
    assert "CXRSCRIBE_TEST_VARIABLE" not in os.environ


def test_reply_tells_what_the_call_alone_cost(log: Path) -> None:
    with Worker("subject", Subject, 0, log=log) as worker:
        before = worker.call("add", 1)
        large = worker.call("remember", 64)
        after = worker.call("sleep", 0.05)
    assert after.seconds >= 0.05
    assert large.peak_bytes - before.peak_bytes > 48 * 2**20
    # The peak begins anew at each call.
    assert after.peak_bytes < large.peak_bytes


def test_what_is_printed_goes_into_the_log(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Worker("subject", Subject, 0, log=log) as worker:
        worker.call("talk")
    assert capfd.readouterr().out == ""
    assert "said by a child" in log.read_text(encoding="utf-8")


def test_failed_call_names_the_worker_and_its_log_and_others_go_on(log: Path) -> None:
    with Worker("subject", Subject, 1, log=log) as worker:
        with pytest.raises(WorkerError, match=r"subject failed at fail: ValueError: a film of 3 pixels.*log"):
            worker.call("fail")
        assert worker.call("add", 1).value == 2
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_dead_process_is_an_error_with_its_exit_code(log: Path) -> None:
    with Worker("subject", Subject, 1, log=log) as worker:
        with pytest.raises(WorkerError, match="died at die with exit code 7"):
            worker.call("die")
        with pytest.raises(WorkerError, match="died at add"):
            worker.call("add", 1)


def test_opening_that_fails_says_why(log: Path) -> None:
    with pytest.raises(MissingExtraError, match="bench-torch") as missing:
        Worker("peer", refuse, "bench-torch", log=log)
    assert missing.value.extra == "bench-torch"
    with pytest.raises(WorkerError, match="peer failed at opening: ValueError: no such bundle"):
        Worker("peer", refuse, None, log=log)
