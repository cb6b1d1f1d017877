"""The child process that converts, and what happens when it dies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cxrscribe.bundle.contract import decoder_step_interface
from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe_export.graphs import conversion
from cxrscribe_export.graphs.conversion import ConversionError, Traced, convert, require_converter
from cxrscribe_export.graphs.networks import Step
from support.random_networks import VOCABULARY_SIZE, architecture_of, random_decoder


def step_network() -> Traced:
    architecture = architecture_of(layers=1, feature_size=20)
    interface = decoder_step_interface(1, architecture.hidden_size, VOCABULARY_SIZE)
    return Traced(Step(random_decoder(architecture)), interface)


@pytest.mark.parametrize(
    ("child", "last_words"),
    [
        ("import sys; print('gave up', file=sys.stderr); raise SystemExit(3)", "gave up"),
        ("import os; print('dying', flush=True); os.abort()", "dying"),
        ("print('nothing written')", "nothing written"),
        ("raise ValueError('operator foo')", "operator foo"),
    ],
)
def test_a_converter_that_dies_is_an_error_that_names_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: str, last_words: str
) -> None:
    monkeypatch.setattr(conversion, "_CHILD", child)
    with pytest.raises(ConversionError, match="decoder_step") as caught:
        convert([step_network()], tmp_path)
    assert last_words in str(caught.value)


def test_a_converter_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "_CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(conversion, "TIME_LIMIT", 0.2)
    with pytest.raises(ConversionError, match="did not finish"):
        convert([step_network()], tmp_path)


def test_the_converter_may_not_optimize_for_it_would_run_pip() -> None:
    assert 'optimize_tool="None"' in conversion._CHILD


def test_should_the_child_run_pip_it_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = "import os; raise SystemExit('index: ' + os.environ['PIP_NO_INDEX'])"
    monkeypatch.setattr(conversion, "_CHILD", child)
    with pytest.raises(ConversionError, match="index: 1"):
        convert([step_network()], tmp_path)


def test_a_new_python_is_told_which_ones_can_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 1, "final", 0))
    with pytest.raises(InputError, match=r"3\.13.*3\.11 and 3\.12"):
        require_converter()


def test_a_missing_converter_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        conversion.importlib.util, "find_spec", lambda name: None if name == "paddle2onnx" else object()
    )
    with pytest.raises(MissingExtraError, match=r"cxrscribe\[export\]") as caught:
        require_converter()
    assert caught.value.extra == "export"
