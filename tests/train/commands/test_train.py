from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cxrscribe.cli.main import main
from cxrscribe_train.run import Run
from support.square_corpus import write_squares

NETWORK = ["--backbone", "mobilenet_v1", "--backbone-option", "scale=0.125", "--size", "32"]
SMALL = ["--embedding-size", "16", "--hidden-size", "16", "--batch-size", "4", "--warmup-steps", "2"]


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    return write_squares(tmp_path / "corpus")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_from_films_to_features_to_a_run(squares: Path, tmp_path: Path) -> None:
    features, out = tmp_path / "f.h5", tmp_path / "run"
    made = run(
        "features", "--corpus", squares, "--out", features, *NETWORK, "--weights", "random:1", "--json"
    )
    assert made.exit_code == 0, made.output
    assert "RANDOM" in made.stderr
    assert json.loads(made.stdout)["films"] == 14
    trained = run("train", "--corpus", squares, "--features", features, "--out", out, "--epochs", 1, *SMALL)
    assert trained.exit_code == 0, trained.output
    assert f"cxrscribe evaluate {out} --corpus {squares} --features {features}" in trained.stdout
    assert f"cxrscribe export {out}" in trained.stdout
    opened = Run.open(out)
    assert opened.weights_sha256 == json.loads(made.stdout)["weights_sha256"]
    assert opened.architecture.backbone_options == {"scale": 0.125}
    # The run's own encoder makes the same features.
    again = run(
        "features", "--corpus", squares, "--out", tmp_path / "g.h5", *NETWORK,
        "--weights", out / "encoder.safetensors", "--json",
    )  # fmt: skip
    assert json.loads(again.stdout)["weights_sha256"] == opened.weights_sha256
    assert "RANDOM" not in again.stderr


def test_the_command_line_wins_over_the_config_file(squares: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("end_to_end = true\n[fit]\nepochs = 5\nseed = 3\n", encoding="utf-8")
    result = run(
        "train",
        "--corpus",
        squares,
        "--out",
        tmp_path / "run",
        "--config",
        config,
        "--epochs",
        1,
        *NETWORK,
        *SMALL,
    )
    assert result.exit_code == 0, result.output
    fit = Run.open(tmp_path / "run").config.fit
    assert (fit.epochs, fit.seed) == (1, 3)


def test_a_damaged_film_makes_exit_code_1(squares: Path, tmp_path: Path) -> None:
    (squares / "images" / "SQ0_PA.png").write_bytes(b"")
    features = run(
        "features", "--corpus", squares, "--out", tmp_path / "f.h5", *NETWORK, "--weights", "random:1"
    )
    assert features.exit_code == 1
    assert "left out SQ0_PA" in features.stderr
    trained = run(
        "train",
        "--corpus",
        squares,
        "--end-to-end",
        "--out",
        tmp_path / "run",
        "--epochs",
        1,
        *NETWORK,
        *SMALL,
    )
    assert trained.exit_code == 1
    assert "left out SQ0_PA" in trained.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--features FILE.h5"),
        (["--end-to-end", "--features", "f.h5"], "exclude each other"),
        (["--features", "missing.h5"], "missing.h5"),
        (["--end-to-end", "--backbone", "resnet1000"], "resnet1000"),
        (["--end-to-end", "--dropout", "1"], "dropout"),
        (["--end-to-end", "--backbone-option", "scale"], "NAME=VALUE"),
        (["--end-to-end", "--resume"], "nothing to resume"),
    ],
)
def test_wrong_usage_is_explained(squares: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run("train", "--corpus", squares, "--out", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_another_backbone_than_the_features_have_is_refused(squares: Path, tmp_path: Path) -> None:
    run("features", "--corpus", squares, "--out", tmp_path / "f.h5", *NETWORK, "--weights", "random:1")
    result = run(
        "train", "--corpus", squares, "--features", tmp_path / "f.h5", "--out", tmp_path / "run",
        "--backbone", "resnet18",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "mobilenet_v1" in result.stderr
    assert "resnet18" in result.stderr


def test_a_resumed_run_keeps_its_settings(squares: Path, tmp_path: Path) -> None:
    start = ["train", "--corpus", squares, "--end-to-end", "--out", tmp_path / "run"]
    assert run(*start, "--epochs", 1, *NETWORK, *SMALL).exit_code == 0
    refused = run(*start, "--resume", "--learning-rate", 0.5)
    assert refused.exit_code == 2
    assert "learning_rate" in refused.stderr
    assert run(*start, "--resume").exit_code == 0


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_resume(squares: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-c", "from cxrscribe.cli.main import main; main()",
        "train", "--corpus", str(squares), "--end-to-end", "--out", str(tmp_path / "run"),
        "--epochs", "100000", "--patience", "0", *NETWORK, *SMALL,
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--out {tmp_path / 'run'} --resume" in errors
    assert "Traceback" not in errors
    assert Run.open(tmp_path / "run").best.epoch >= 0
