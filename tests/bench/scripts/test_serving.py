"""The load test of the service, small: nothing is lost, nobody honest suffers, and the figures say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cxrscribe_bench.scripts.serving import main

pytest.importorskip("uvicorn", reason="needs the extra serve")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("films")
    paths = [folder / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 30), np.uint8)
        Image.fromarray(pixels).save(path)
    return [str(path) for path in paths]


def run(bundle: Path, films: list[str], *arguments: str) -> Any:
    command = [*films, "--bundle", str(bundle), "--json", *arguments, "--serve-option", "--isolate"]
    result = CliRunner().invoke(main, [*command, "--serve-option", "none"], catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_load_is_answered_with_the_same_words(small_bundle: Path, films: list[str]) -> None:
    load = run(
        small_bundle,
        films,
        *["--part", "load", "--clients", "1", "--clients", "3", "--requests", "8", "--rounds", "2"],
    )["load"]
    assert load["stream_rate"] > 0
    assert 0 < load["single_film_p50_ms"] <= load["single_film_p99_ms"]
    one, three = load["clients"]["1"], load["clients"]["3"]
    assert one["statuses"] == {"200": 4}
    assert three["statuses"] == {"200": 24}
    for found in (one, three):
        assert found["wrong"] == 0
        assert found["rate"] > 0
        assert found["over_stream"] > 0
        assert 0 < found["p50_ms"] <= found["p99_ms"]


def test_nothing_that_was_accepted_is_lost_when_it_stops(small_bundle: Path, films: list[str]) -> None:
    stop = run(small_bundle, films, "--part", "stop", "--load-seconds", "0.5")["stop"]
    assert stop["answered"] == stop["accepted"] > 0
    assert stop["lost"] == 0
    assert stop["exit_code"] == 0
    assert stop["sent"] == stop["answered"] + sum(stop["refused"].values()) + stop["closed_without_answer"]


def test_attackers_are_refused_and_others_served(small_bundle: Path, films: list[str]) -> None:
    found = run(
        small_bundle,
        films,
        *["--part", "garbage", "--part", "half", "--no-hold", "--tries", "60", "--rounds", "1"],
    )
    garbage, half = found["garbage"], found["half"]
    assert sum(garbage["answers"].values()) == garbage["tries"] == 60
    assert not {status for status in garbage["answers"] if status.startswith("5")}
    assert half["left"]["answers"] == {"left": 60}
    for part in (garbage, half):
        assert part["neighbour"]["reports"] > 0
        assert part["neighbour"]["failed"] == 0


def test_a_crowd_keeps_nobody_out(small_bundle: Path, films: list[str]) -> None:
    found = run(
        small_bundle,
        films,
        *[
            "--part",
            "connections",
            "--connections",
            "60",
            "--serve-option",
            "--most-connections",
            "--serve-option",
            "8",
        ],
    )["connections"]
    assert found["bounded"]["made"] == found["all_let_in"]["made"] == 60
    assert found["bounded"]["open_when_all_were_made"] <= 8
    assert found["all_let_in"]["open_when_all_were_made"] == 60
    for part in found.values():
        assert part["answers_others"]
        assert part["neighbour"]["reports"] > 0
    assert found["all_let_in"]["neighbour"]["failed"] == 0  # of few, the crowd takes the newest ones too


def test_a_soak_watches_the_memory(small_bundle: Path, films: list[str]) -> None:
    found = run(small_bundle, films, "--part", "soak", "--seconds", "0.2")["soak"]
    assert found["wrong"] == 0
    assert len(found["points"]) >= 2
    assert found["reports"] == found["points"][-1]["reports"] > 0


def test_a_service_that_does_not_start_is_an_error(films: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*films, "--part", "stop", "--serve-option", "--no-such-option"])
    assert "No such option" in str(result.exception)
