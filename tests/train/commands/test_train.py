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
from cxrscribe.embedded import demo_bundle
from cxrscribe_train.commands.train import StopAsked
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


def test_the_range_of_png_is_chosen_once_and_kept(squares: Path, tmp_path: Path) -> None:
    features, out = tmp_path / "f.h5", tmp_path / "run"
    made = run(
        "features", "--corpus", squares, "--out", features, *NETWORK, "--weights", "random:1",
        "--png-range", "full",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    on_features = ("train", "--corpus", squares, "--features", features, "--epochs", 1, *SMALL)
    trained = run(*on_features, "--out", out)
    assert trained.exit_code == 0, trained.output
    assert Run.open(out).preprocessing.png_range == "full"
    refused = run(*on_features, "--out", tmp_path / "other", "--png-range", "used")
    assert refused.exit_code == 2
    assert "made with png_range = 'full', not 'used'" in refused.stderr
    on_films = ("train", "--corpus", squares, "--end-to-end", "--epochs", 1, *NETWORK, *SMALL)
    trained = run(*on_films, "--out", tmp_path / "films", "--png-range", "full")
    assert trained.exit_code == 0, trained.output
    assert Run.open(tmp_path / "films").preprocessing.png_range == "full"


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
        (
            ["--end-to-end", "--backbone", "mobilenet_v1", "--backbone-option", "scale=0.0001"],
            "can't be used",
        ),
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


def test_features_by_a_bundle_take_its_network_and_no_other(squares: Path, tmp_path: Path) -> None:
    by_bundle = ("features", "--corpus", squares, "--out", tmp_path / "f.h5", "--weights", demo_bundle())
    for name, value in (("--backbone", "resnet18"), ("--backbone-option", "scale=0.5"), ("--size", 192)):
        refused = run(*by_bundle, name, value)
        assert refused.exit_code == 2
        assert f"{name} is given, but the bundle" in refused.stderr
    made = run(*by_bundle, "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["feature_size"] == 256


def test_a_resumed_run_keeps_its_settings(squares: Path, tmp_path: Path) -> None:
    start = ["train", "--corpus", squares, "--end-to-end", "--out", tmp_path / "run"]
    assert run(*start, "--epochs", 1, *NETWORK, *SMALL).exit_code == 0
    refused = run(*start, "--resume", "--learning-rate", 0.5)
    assert refused.exit_code == 2
    assert "learning_rate" in refused.stderr
    assert run(*start, "--resume").exit_code == 0


@pytest.fixture
def features(squares: Path, tmp_path: Path) -> Path:
    path = tmp_path / "f.h5"
    assert (
        run("features", "--corpus", squares, "--out", path, *NETWORK, "--weights", "random:1").exit_code == 0
    )
    return path


def test_the_config_of_a_run_on_features_trains_the_same_again(
    squares: Path, features: Path, tmp_path: Path
) -> None:
    start = ["train", "--corpus", squares, "--features", features]
    first, again = tmp_path / "first", tmp_path / "again"
    assert run(*start, "--out", first, "--epochs", 2, "--memory-loss", 0.1, *SMALL).exit_code == 0
    result = run(*start, "--out", again, "--config", first / "config.toml")
    assert result.exit_code == 0, result.output
    network = Run.open(again).config.network
    assert (network.backbone, network.backbone_options, network.size) == (
        "mobilenet_v1",
        {"scale": 0.125},
        32,
    )
    for name in ("config.toml", "decoder.safetensors", "encoder.safetensors", "vocabulary.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    histories = [
        [{**json.loads(line), "seconds": 0} for line in (out / "log.jsonl").read_text().splitlines()]
        for out in (first, again)
    ]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 2


def test_the_demo_models_decoder_config_fits_features(squares: Path, features: Path, tmp_path: Path) -> None:
    config = Path(__file__).parents[3] / "train" / "demo-model" / "decoder.toml"
    start = ["train", "--corpus", squares, "--features", features, "--config", config, "--out"]
    result = run(*start, tmp_path / "run", "--epochs", 1, "--processes", 1, *SMALL)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--finding-loss", "2"],
        ["--word-loss", "0"],
        ["--calibration-films", "64"],
        ["--weights", "imagenet"],
        ["--rotation", "1"],
    ],
)
def test_what_changes_nothing_on_features_is_refused(
    squares: Path, features: Path, tmp_path: Path, arguments: list[str]
) -> None:
    config = tmp_path / "config.toml"
    section = "augmentation" if arguments[0] == "--rotation" else "fit"
    name, value = arguments[0].removeprefix("--").replace("-", "_"), arguments[1]
    toml_value = f'"{value}"' if name == "weights" else f"{value}"
    config.write_text(f"[{section}]\n{name} = {toml_value}\n", encoding="utf-8")
    for given in (arguments, ["--config", config]):
        result = run("train", "--corpus", squares, "--features", features, "--out", tmp_path / "run", *given)
        assert result.exit_code == 2
        assert f"{section}.{name} is" in result.stderr
        assert "leave it out" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_resumed_on_features_of_another_backbone(
    squares: Path, features: Path, tmp_path: Path
) -> None:
    start = ["train", "--corpus", squares, "--out", tmp_path / "run", "--features"]
    assert run(*start, features, "--epochs", 1, *SMALL).exit_code == 0
    others = tmp_path / "g.h5"
    network = ["--backbone", "mobilenet_v1", "--backbone-option", "scale=0.25", "--size", "32"]
    run("features", "--corpus", squares, "--out", others, *network, "--weights", "random:1")
    result = run(*start, others, "--resume")
    assert result.exit_code == 2
    assert "0.25" in result.stderr
    assert "0.125" in result.stderr
    assert run(*start, features, "--resume").exit_code == 0


def test_images_without_features_are_told_apart(squares: Path, features: Path, tmp_path: Path) -> None:
    more = write_squares(
        tmp_path / "more", train=10, val=2
    )  # as many films, so that two of them change sides
    (more / "reports.csv").write_text(
        (more / "reports.csv").read_text().replace("SQ9", "NEW9"), encoding="utf-8"
    )
    (more / "images" / "SQ9_PA.png").rename(more / "images" / "NEW9_PA.png")
    start = ["train", "--corpus", more, "--features", features, "--out", tmp_path / "run"]
    result = run(*start, "--epochs", 1, *SMALL)
    assert result.exit_code == 0, result.output
    assert "9 training and 2 validation images" in result.stderr
    assert "0 rows without image, 0 without FINDINGS, 1 images without features" in result.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["corpus"]["without_features"] == 1


def test_ctrl_c_while_films_are_prepared_says_what_to_do(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ["train", "--corpus", squares, "--end-to-end", "--out", tmp_path / "run", "--epochs", 1]
    with monkeypatch.context() as patch:
        patch.setattr(StopAsked, "__call__", lambda self: True)
        stopped = run(*start, *NETWORK, *SMALL)
    assert stopped.exit_code == 130
    assert "while films were prepared. The same command goes on there." in stopped.stderr
    assert "--resume" not in stopped.stderr
    again = run(*start, *NETWORK, *SMALL)
    assert again.exit_code == 0, again.output


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
