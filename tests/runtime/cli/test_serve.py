"""`cxrscribe serve`: options that are refused, and what is said where something is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from cxrscribe.engine import Engine

Run = Callable[..., Result]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the service would be started with."""
    calls: list[tuple[Any, ...]] = []

    def serve(*arguments: Any, when_ready: Callable[[str], None], **named: Any) -> int:
        calls.append((*arguments, named))
        when_ready("http://127.0.0.1:1")
        return 0

    monkeypatch.setattr("cxrscribe.server.listening.serve", serve)
    monkeypatch.delenv("CXRSCRIBE_TOKEN", raising=False)
    return calls


def test_this_machine_alone_and_processes_for_all_films(run: Run, asked: list[tuple[Any, ...]]) -> None:
    result = run("serve", "--json")
    assert result.exit_code == 0, result.output
    assert '"url": "http://127.0.0.1:1"' in result.stdout
    load, place, access, limits, named = asked[0]
    assert isinstance(load.__self__, Engine)
    assert load.__self__.isolate == "all"
    assert load.__self__.spinning is False
    assert run("serve", "--spinning").exit_code == 0
    assert asked[1][0].__self__.spinning is True
    assert (place.host, access.token) == ("127.0.0.1", None)
    assert "localhost" in access.hosts
    assert (limits.body_bytes, limits.waiting, named["warm"]) == (64_000_000, 256, 8)
    assert "token" not in result.stderr


def test_an_address_that_others_reach_is_warned_of(
    run: Run, asked: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    loud = run("serve", "--host", "0.0.0.0")
    assert '"warning"' in loud.stderr
    assert "there is no token" in loud.stderr
    (tmp_path / "token").write_text("a" * 32)
    quieter = run("serve", "--host", "0.0.0.0", "--token-file", tmp_path / "token")
    assert "there is no token" not in quieter.stderr
    assert "unencrypted" in quieter.stderr
    assert "a" * 32 not in quieter.output
    assert asked[1][2].token == b"a" * 32
    assert asked[1][2].hosts is None
    assert "a" * 32 not in repr(asked[1][2])


@pytest.mark.parametrize(
    "options",
    [
        ("--unix", "s", "--port", "1"),
        ("--tls-certificate", "c.pem"),
        ("--token-file", "nowhere"),
        ("--allow-origin", "*"),
        ("--port", "65536"),
        ("--grace", "0"),
    ],
)
def test_options_that_do_not_fit(run: Run, asked: list[tuple[Any, ...]], options: tuple[str, ...]) -> None:
    assert run("serve", *options).exit_code == 2
    assert not asked


def test_what_cannot_be_used_ends_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pem").write_text("no certificate")
    pair = ("--tls-certificate", tmp_path / "pem", "--tls-key", tmp_path / "pem")
    assert "certificate" in run("serve", *pair).stderr
    assert "can't listen" in run("serve", "--host", "203.0.113.1", "--port", "1").stderr
    missing = run("serve", "--bundle", tmp_path / "none", "--port", "0")
    assert missing.exit_code == 2
    assert "none" in missing.stderr


@pytest.mark.parametrize("module", ["uvicorn", "python_multipart"])
def test_without_the_extra_it_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(("cxrscribe.server", module))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    result = run("serve")
    assert result.exit_code == 2
    assert "pip install 'cxrscribe[serve]'" in result.stderr
    assert run("serve", "--help").exit_code == 0
