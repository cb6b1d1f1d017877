from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxrscribe_bench.scripts import beam_width


@pytest.mark.slow
def test_every_width_is_measured_on_phantoms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_width, "WIDTHS", (1, 3))
    plot = tmp_path / "plot.png"
    given = [str(tmp_path / "drawn"), "--studies", "4", "--rounds", "1", "--plot", str(plot), "--json"]
    result = CliRunner().invoke(beam_width.main, given)
    assert result.exit_code == 0, result.output
    tried = json.loads(result.stdout)
    settings = [(one["settings"]["beam_width"], one["settings"]["length_penalty"]) for one in tried]
    assert settings == [(1, 0.0), (1, 1.0), (3, 0.0), (3, 1.0)]
    assert all(one["reports_per_second"] > 0 and 0 <= one["figures"]["label_f1_micro"] <= 1 for one in tried)
    assert plot.read_bytes().startswith(b"\x89PNG")
