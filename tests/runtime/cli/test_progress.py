"""The progress bar."""

from __future__ import annotations

import io
import sys

import pytest

from cxrscribe.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("length", [3, None])
def test_bar_is_on_stderr_of_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], length: int | None
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress(iter("abc"), length, "films")) == ["a", "b", "c"]
    assert "films" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_silent_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(iter("abc"), 3, "films")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")
