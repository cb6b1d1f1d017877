"""Self-critical epochs of a training: resumed to the bit, the best of them kept, from another run too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

from cxrscribe.cli.main import main
from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.corpus.table import read_reports, write_reports
from cxrscribe_train.features import Extraction, extract_features, films_of
from cxrscribe_train.fitting.checkpoint import SelfCriticalStart
from cxrscribe_train.fitting.config import TrainingConfig
from cxrscribe_train.run import Run, read_config
from cxrscribe_train.training import Progress, train
from cxrscribe_train.weights import WeightsSource
from support.square_corpus import tiny_config, write_squares

TOLD = ("Cough on the left.", "Fever, chest pain", "", "Large mass suspected.")
FILMS = 16
STEPS = 4
"""Of an epoch."""
SETTINGS = (
    ("fit", "epochs", 2),
    ("fit", "learning_rate", 0.02),
    ("network", "dropout", 0.3),
    ("self_critical", "self_critical_epochs", 2),
    ("self_critical", "self_critical_rate", 2e-3),
    ("self_critical", "samples", 3),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Path:
    """A corpus that no test changes."""
    return write_squares(folder / "corpus", train=FILMS, val=6, test=2, indications=TOLD)


@pytest.fixture(scope="module")
def features(corpus: Path, folder: Path) -> Path:
    return features_of(corpus, folder / "f.h5")


@pytest.fixture(scope="module")
def straight(corpus: Path, features: Path, folder: Path) -> Path:
    """A run that nobody interrupted."""
    assert train(corpus, folder / "straight", tiny_config(*SETTINGS, end_to_end=False), features).finished
    return folder / "straight"


@pytest.fixture(scope="module")
def before(corpus: Path, features: Path, folder: Path) -> Path:
    """The same without self-critical epochs."""
    train(corpus, folder / "before", tiny_config(*SETTINGS[:3], end_to_end=False), features)
    return folder / "before"


@pytest.fixture(scope="module")
def larger(folder: Path) -> Path:
    """A corpus with findings and texts enough for a context."""
    return write_squares(folder / "larger", train=48, val=8, indications=TOLD)


@pytest.fixture(scope="module")
def larger_features(larger: Path, folder: Path) -> Path:
    return features_of(larger, folder / "larger.h5")


def features_of(corpus: Path, out: Path) -> Path:
    weights = WeightsSource.parse("random:0")
    extraction = Extraction("mobilenet_v1", {"scale": 0.125}, weights, Preprocessing(32, 32))
    extract_features(films_of(read_reports(corpus)), extraction, out)
    return out


def stop_after(asked: int) -> Callable[[], bool]:
    calls = iter(range(1, 10**6))
    return lambda: next(calls) >= asked


def files(run: Path) -> dict[str, object]:
    (state,) = (run / "checkpoint").glob("state-*.safetensors")
    record = json.loads((run / "checkpoint" / "state.json").read_text())["state"]
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {
        "decoder": (run / "decoder.safetensors").read_bytes(),
        "encoder": (run / "encoder.safetensors").read_bytes(),
        "state": state.read_bytes(),
        "start": record["self_critical"],
        "log": [{**line, "seconds": 0} for line in log],
    }


@pytest.mark.parametrize(
    "steps",
    [2 * STEPS, 2 * STEPS + 2, 3 * STEPS, 3 * STEPS + 1],
    ids=["before the first", "inside the first", "between them", "inside the second"],
)
def test_a_resumed_training_equals_a_straight_one_to_the_bit(
    corpus: Path, features: Path, straight: Path, tmp_path: Path, steps: int
) -> None:
    config = tiny_config(*SETTINGS, end_to_end=False)
    stopped = train(corpus, tmp_path / "resumed", config, features, stop=stop_after(steps))
    assert not stopped.finished
    assert stopped.epochs == steps // STEPS
    assert read_config(tmp_path / "resumed") == config
    assert train(corpus, tmp_path / "resumed", config, features, resume=True).finished
    assert files(straight) == files(tmp_path / "resumed")


def test_in_context_with_findings_that_weigh_more_too(
    larger: Path, larger_features: Path, tmp_path: Path
) -> None:
    corpus, features = larger, larger_features
    weighed = ("fit", "finding_weight", 3.0), ("fit", "finding_weight_epochs", 1), ("fit", "batch_size", 16)
    context = ("context", "context", "patient+tags"), ("context", "context_size", 16)
    config = tiny_config(*SETTINGS, *weighed, *context, ("text", "targets", "consensus"), end_to_end=False)
    assert train(corpus, tmp_path / "straight", config, features).finished
    stopped = train(corpus, tmp_path / "resumed", config, features, stop=stop_after(8))
    assert (stopped.finished, stopped.epochs) == (False, 2)
    assert train(corpus, tmp_path / "resumed", config, features, resume=True).finished
    assert files(tmp_path / "straight") == files(tmp_path / "resumed")


def test_end_to_end_too_with_gradients_for_the_backbone(corpus: Path, tmp_path: Path) -> None:
    no_share = ("self_critical", "cross_entropy_share", 0.0)
    config = tiny_config(*SETTINGS, no_share)
    assert train(corpus, tmp_path / "straight", config).finished
    stopped = train(corpus, tmp_path / "resumed", config, stop=stop_after(FILMS + 6 + 2 * STEPS + 2))
    assert (stopped.finished, stopped.epochs) == (False, 2)
    assert train(corpus, tmp_path / "resumed", config, resume=True).finished
    assert files(tmp_path / "straight") == files(tmp_path / "resumed")
    assert train(corpus, tmp_path / "before", tiny_config(*SETTINGS[:3])).finished
    rewarded, before = (network_of(tmp_path / name) for name in ("straight", "before"))
    moved = [name for name, value in rewarded.items() if np.any(before[name] != value)]
    assert any(name.startswith("encoder.") for name in moved)
    assert any(name.startswith("decoder.lstm") for name in moved)
    hints = [name for name in before if "hints" in name]
    assert hints  # which only teach to look, and learn no more
    assert not [name for name in hints if name in rewarded]


def network_of(run: Path) -> dict[str, np.ndarray]:
    """The parameters in a checkpoint: whatever the optimizer has a moment of."""
    (state,) = (run / "checkpoint").glob("state-*.safetensors")
    tensors = safetensors.numpy.load_file(state)
    learning = {name.removeprefix("optimizer/").partition("|")[0] for name in tensors if "moment1" in name}
    return {name: tensors[f"network/{name}"] for name in learning}


def test_two_processes_sample_what_one_does(corpus: Path, features: Path, tmp_path: Path) -> None:
    """Without dropout two processes do what one does, up to the order of sums."""
    found = []
    for processes in (1, 2):
        settings = *SETTINGS, ("network", "dropout", 0.0), ("fit", "processes", processes)
        out = tmp_path / str(processes)
        train(corpus, out, tiny_config(*settings, end_to_end=False), features)
        found.append(json.loads((out / "log.jsonl").read_text().splitlines()[2]))
    for name in ("train_loss", "val_loss", "train_reward", "val_reward"):
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-3)


def test_rewards_rise_and_the_epoch_with_the_highest_is_kept(
    corpus: Path, features: Path, tmp_path: Path
) -> None:
    many = ("self_critical", "self_critical_epochs", 12), ("self_critical", "self_critical_rate", 5e-3)
    starts: list[SelfCriticalStart] = []
    result = train(
        corpus,
        tmp_path / "run",
        tiny_config(*SETTINGS, *many, end_to_end=False),
        features,
        progress=Progress(self_critical=starts.append),
    )
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert ["val_reward" in line for line in log] == [False] * 2 + [True] * 12
    assert ["train_reward" in line for line in log] == [False] * 2 + [True] * 12
    (start,) = starts
    assert (start.epoch, start.step) == (2, 2 * STEPS)
    rewards = [line["val_reward"] for line in log[2:]]
    assert max(rewards) > start.val_reward
    assert np.mean([line["train_reward"] for line in log[-3:]]) > log[2]["train_reward"]
    assert [line["learning_rate"] for line in log[2:]] == pytest.approx([5e-3] * 12)
    assert result.best is not None
    assert result.best.epoch == 2 + int(np.argmax(rewards))
    run = Run.open(tmp_path / "run")
    assert run.best == result.best
    assert run.best.val_reward == max(rewards)


def test_weights_that_no_epoch_betters_are_kept(
    corpus: Path, features: Path, before: Path, tmp_path: Path
) -> None:
    """Steps so small that no greedy word changes: the reward is the same, and the first one stays."""
    still = ("self_critical", "self_critical_rate", 1e-12)
    result = train(corpus, tmp_path / "run", tiny_config(*SETTINGS, still, end_to_end=False), features)
    assert result.epochs == 4
    assert result.best is not None
    assert result.best.val_reward is None
    kept, first = (run / "decoder.safetensors" for run in (tmp_path / "run", before))
    assert kept.read_bytes() == first.read_bytes()


def test_patience_ends_the_epochs_before_and_the_best_of_them_is_where_it_begins(
    corpus: Path, features: Path, tmp_path: Path
) -> None:
    """At this rate each epoch is worse than the one before: the first epoch's weights are gone back to."""
    wild = (
        ("fit", "epochs", 40),
        ("fit", "patience", 1),
        ("fit", "learning_rate", 0.5),
        ("fit", "warmup_steps", 0),
    )
    still = ("self_critical", "self_critical_rate", 1e-12)
    starts: list[SelfCriticalStart] = []
    config = tiny_config(*SETTINGS, *wild, still, end_to_end=False)
    progress = Progress(self_critical=starts.append)
    result = train(corpus, tmp_path / "run", config, features, progress=progress)
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["val_loss"] for line in log[: starts[0].epoch]]
    assert starts[0].epoch < 40
    assert result.epochs == starts[0].epoch + 2
    assert int(np.argmin(losses)) < len(losses) - 1
    assert log[-1]["val_loss"] == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.parametrize("context", ["none", "patient+tags"])
def test_a_finished_run_goes_on_with_rewards_alone(
    larger: Path, larger_features: Path, tmp_path: Path, context: str
) -> None:
    corpus, features = larger, larger_features
    told = ("context", "context", context), ("fit", "batch_size", 16)
    first = tiny_config(("fit", "epochs", 2), ("fit", "memory_loss", 0.0), *told, end_to_end=False)
    train(corpus, tmp_path / "first", first, features)
    still = ("self_critical", "self_critical_rate", 1e-12), ("self_critical", "self_critical_epochs", 1)
    begun = ("fit", "init", str(tmp_path / "first")), ("fit", "epochs", 0), ("fit", "memory_loss", 0.0)
    starts: list[SelfCriticalStart] = []
    progress = Progress(self_critical=starts.append)
    config = tiny_config(*begun, *still, *told, end_to_end=False)
    result = train(corpus, tmp_path / "then", config, features, progress=progress)
    assert (result.epochs, starts[0].epoch) == (1, 0)
    old, new = (
        safetensors.numpy.load_file(tmp_path / name / "decoder.safetensors") for name in ("first", "then")
    )
    for name, value in old.items():
        np.testing.assert_allclose(new[name], value, atol=1e-6)
    assert result.best is not None
    assert result.best.val_reward == pytest.approx(starts[0].val_reward)
    if context != "none":
        others = ("Cough on the right.", "Fever, back pain", "", "Small mass suspected.")
        other = write_squares(tmp_path / "other", train=48, val=8, indications=others)
        with pytest.raises(InputError, match=r"begun anew were: context\..*fitted to each corpus"):
            train(other, tmp_path / "refused", config, features)


def test_what_a_run_does_not_know_is_no_start_for_rewards(
    features: Path, before: Path, tmp_path: Path
) -> None:
    corpus = write_squares(tmp_path / "corpus", train=FILMS, val=6, test=2, indications=TOLD)
    begun = (
        ("fit", "init", str(before)),
        ("fit", "epochs", 0),
        ("self_critical", "self_critical_epochs", 1),
    )
    other = tiny_config(*begun, ("network", "hidden_size", 20), end_to_end=False)
    with pytest.raises(InputError, match=r"epochs = 0 .* begun anew were: .*lstm.*config\.toml"):
        train(corpus, tmp_path / "sizes", other, features)
    rows = [
        type(row)(**{**vars(row), "findings": row.findings + " Quite unheard words."})
        for row in read_reports(corpus).rows
    ]
    write_reports(corpus, rows)
    with pytest.raises(InputError, match="3 words that the run doesn't know"):
        train(corpus, tmp_path / "words", tiny_config(*begun, end_to_end=False), features)


def test_other_reports_are_not_what_rewards_were_begun_with(features: Path, tmp_path: Path) -> None:
    """Words that no target has still count in the rewards."""
    corpus = write_squares(tmp_path / "corpus", train=FILMS, val=6, test=2, indications=TOLD)
    rows = [
        type(row)(**{**vars(row), "findings": f"Normal. {row.findings} Unheard."})
        for row in read_reports(corpus).rows
    ]
    write_reports(corpus, rows)
    # One word a report, and all the same: the other words aren't even in the vocabulary.
    short = ("text", "max_tokens", 1), ("text", "min_count", FILMS)
    config = tiny_config(*SETTINGS, *short, end_to_end=False)
    assert not train(corpus, tmp_path / "run", config, features, stop=stop_after(3)).finished
    rows[0] = type(rows[0])(**{**vars(rows[0]), "findings": rows[0].findings + " New."})
    write_reports(corpus, rows)
    with pytest.raises(InputError, match="another reports"):
        train(corpus, tmp_path / "run", config, features, resume=True)


def test_a_run_without_says_nothing_of_it(before: Path) -> None:
    for name in ("config.toml", "run.json", "log.jsonl"):
        text = (before / name).read_text(encoding="utf-8")
        assert not [word for word in ("self_critical", "reward", "targets", "samples") if word in text]


def test_curves_show_rewards(straight: Path, before: Path) -> None:
    from PIL import Image

    widths = []
    for run in (before, straight):
        with Image.open(run / "curves.png") as image:
            widths.append(image.width)
    assert widths == [800, 1200]


def test_consensus_targets_are_said_in_run_evaluation_and_bundle(
    corpus: Path, features: Path, tmp_path: Path
) -> None:
    from cxrscribe_export.label import provenance_of

    run = tmp_path / "run"
    start = ["train", "--corpus", str(corpus), "--features", str(features), "--out", str(run)]
    small = ["--embedding-size", "16", "--hidden-size", "16", "--batch-size", "4", "--epochs", "1"]
    done = CliRunner().invoke(main, [*start, *small, "--targets", "consensus"])
    assert done.exit_code == 0, done.output
    said = "CONSENSUS TARGETS: 10 of 16 training films teach not their own report"
    assert said in done.stderr
    record = json.loads((run / "run.json").read_text())
    assert record["targets"] == {
        "kind": "consensus", "films": 16, "replaced": 10, "groups": 2, "largest": 8, "targets": 2,
    }  # fmt: skip
    assert 'targets = "consensus"' in (run / "config.toml").read_text()
    assert said in provenance_of(Run.open(run)).description
    pytest.importorskip("pycocoevalcap", reason="needs the extra train")
    arguments = [
        "evaluate",
        str(run),
        "--corpus",
        str(corpus),
        "--features",
        str(features),
        "--bootstrap",
        "5",
    ]
    shown = CliRunner().invoke(main, [*arguments, "--json", "--out", str(tmp_path / "figures")])
    assert shown.exit_code == 0, shown.output
    assert said in json.loads(shown.stdout)["evaluated"]["targets"]
    assert said in CliRunner().invoke(main, arguments).stdout


def on_command(corpus: Path, features: Path, out: Path, *more: str) -> list[str]:
    small = ["--embedding-size", "16", "--hidden-size", "16", "--batch-size", "4", "--warmup-steps", "2"]
    start = ["train", "--corpus", str(corpus), "--features", str(features), "--out", str(out)]
    return [*start, *small, *more]


def test_on_the_command_line(corpus: Path, features: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = CliRunner().invoke(main, on_command(corpus, features, out, "--epochs", "1", "--self-critical"))
    assert done.exit_code == 0, done.output
    assert "self-critical from epoch 2 on; validation reward so far" in done.stderr
    assert "epoch 4/4" in done.stderr
    assert read_config(out).self_critical.self_critical_epochs == 3
    start = ["train", "--corpus", str(corpus), "--features", str(features), "--out", str(out), "--resume"]
    assert CliRunner().invoke(main, [*start, "--self-critical"]).exit_code == 0
    plain = tmp_path / "plain"
    CliRunner().invoke(main, on_command(corpus, features, plain, "--epochs", "1"))
    again = [*start[:6], str(plain), "--resume", "--self-critical"]
    refused = CliRunner().invoke(main, again)
    assert refused.exit_code == 2
    assert "self_critical_epochs = 0, not 3" in refused.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("self_critical", "self_critical_epochs", -1), "self_critical_epochs is -1: give at least 0"),
        (("self_critical", "samples", 1), "samples is 1: give at least 2"),
        (("self_critical", "self_critical_rate", 0.0), "self_critical_rate is 0.0: give a number above 0"),
        (("self_critical", "label_reward", -0.1), "label_reward is -0.1"),
        (("fit", "epochs", 0), "epochs is 0; give at least 1; or 0 with init"),
        (("text", "targets", "mine"), "targets is 'mine'; give own or consensus"),
    ],
)
def test_wrong_settings_are_refused_by_name(change: tuple[str, str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny_config(*SETTINGS, change)


def test_settings_that_change_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"samples is 8: that changes nothing .* --self-critical"):
        tiny_config(("self_critical", "samples", 8))


def test_settings_survive_their_toml(tmp_path: Path) -> None:
    config = tiny_config(*SETTINGS, ("text", "targets", "consensus"))
    (tmp_path / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    assert read_config(tmp_path) == config
    plain: TrainingConfig = tiny_config()
    assert "self_critical" not in plain.to_toml()
