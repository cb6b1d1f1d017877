"""What the first report costs in a fresh process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cxrscribe_bench.parts.startup import Start, StartCost, StartupRecord, main, measure_startup, table


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def record(small_bundle: Path, film: Path) -> StartupRecord:
    return measure_startup(small_bundle, film, rounds=1)


def test_every_kind_of_start_is_measured_in_order_of_time(record: StartupRecord) -> None:
    assert [cost.start for cost in record.costs] == list(Start)
    for cost in record.costs:
        assert 0 < cost.import_seconds <= cost.load_seconds <= cost.report_seconds
        assert cost.peak_megabytes >= record.cost(Start.EMPTY).peak_megabytes
    assert record.times_empty(record.cost(Start.EMPTY)) == 1
    assert record.times_empty(record.cost(Start.WARM)) > 1


def test_model_is_the_graphs_that_are_opened(record: StartupRecord, small_bundle: Path) -> None:
    graphs = ("encoder.onnx", "decoder_init.onnx", "decoder_step.onnx")
    assert record.model_megabytes == sum((small_bundle / name).stat().st_size for name in graphs) / 1e6


def test_table_and_json_say_the_same() -> None:
    costs = tuple(StartCost(start, 0.1, 0.2, 0.02 * (place + 1), 50.0) for place, start in enumerate(Start))
    record = StartupRecord("bundle", 20.0, 3, costs)
    assert "warm      0.100 s  0.200 s  0.080 s      4.0    50.0 MB       +30.0 MB" in table(record)
    fields = record.to_json()
    warm = fields["costs"][-1]  # type: ignore[index]
    assert warm["start"] == "warm"
    assert warm["times_empty"] == pytest.approx(4)
    assert warm["megabytes_beyond_model"] == pytest.approx(30)


def test_command_prints_json(small_bundle: Path, film: Path) -> None:
    result = CliRunner().invoke(main, [str(small_bundle), "--film", str(film), "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    assert [cost["start"] for cost in json.loads(result.stdout)["costs"]] == ["empty", "off", "cold", "warm"]
