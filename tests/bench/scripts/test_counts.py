"""Of nothing there are no medians: scripts ask for at least one of what they count."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")

from cxrscribe_bench.scripts import encoder_engines, fastest, nodes, step_engines


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        (nodes.main, "--images", "0"),
        (nodes.main, "--runs", "0"),
        (encoder_engines.main, "--rounds", "0"),
        (encoder_engines.main, "--starts", "-1"),
        (step_engines.main, "--rounds", "0"),
        (fastest.main, "--rounds", "0"),
    ],
)
def test_what_is_too_few_is_refused(command: click.Command, option: str, value: str) -> None:
    result = CliRunner().invoke(command, [option, value])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output
