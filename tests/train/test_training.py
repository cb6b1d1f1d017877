from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy

from cxrscribe.errors import CxrscribeError, InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.corpus.table import read_reports, write_reports
from cxrscribe_train.feature_file import FeatureFile
from cxrscribe_train.features import Extraction, extract_features, films_of
from cxrscribe_train.fitting.config import TrainingConfig
from cxrscribe_train.run import Run, read_config
from cxrscribe_train.training import Progress, TrainingResult, train
from cxrscribe_train.weights import WeightsSource
from support.square_corpus import tiny_config

DROPOUT = ("network", "dropout", 0.3)
FILMS = 12


def stop_after(steps: int, films: int = FILMS) -> Callable[[], bool]:
    """Stop after that many steps, once `films` films are prepared."""
    calls = iter(range(1, 10**6))
    return lambda: next(calls) >= films + steps


def outcome(run: Path) -> tuple[list[tuple[float, float, float]], dict[str, np.ndarray]]:
    """Losses and learning rate of every epoch, and every tensor of the checkpoint, optimizer included."""
    place = json.loads((run / "checkpoint" / "state.json").read_text())
    history = [
        (record["train_loss"], record["val_loss"], record["learning_rate"])
        for record in place["state"]["history"]
    ]
    return history, safetensors.numpy.load_file(run / "checkpoint" / place["tensors"])


def assert_same_outcome(first: Path, second: Path) -> None:
    (history, tensors), (other_history, other_tensors) = outcome(first), outcome(second)
    assert history == other_history
    assert tensors.keys() == other_tensors.keys()
    assert [name for name in tensors if not np.array_equal(tensors[name], other_tensors[name])] == []
    for name in ("encoder.safetensors", "decoder.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def make_features(corpus: Path, out: Path, weights: str = "random:0") -> Path:
    extraction = Extraction(
        "mobilenet_v1", {"scale": 0.125}, WeightsSource.parse(weights), Preprocessing(32, 32)
    )
    extract_features(films_of(read_reports(corpus)), extraction, out)
    return out


@pytest.mark.parametrize("steps", [4, 5], ids=["at an epoch's end", "inside an epoch"])
def test_a_resumed_training_equals_a_straight_one_to_the_bit(
    squares: Path, tmp_path: Path, steps: int
) -> None:
    config = tiny_config(("fit", "epochs", 4), DROPOUT)
    assert train(squares, tmp_path / "straight", config).finished
    interrupted = train(squares, tmp_path / "resumed", config, stop=stop_after(steps))
    assert not interrupted.finished
    assert interrupted.epochs == 2
    assert read_config(tmp_path / "resumed") == config
    assert train(squares, tmp_path / "resumed", read_config(tmp_path / "resumed"), resume=True).finished
    assert_same_outcome(tmp_path / "straight", tmp_path / "resumed")


def test_a_resumed_training_on_features_equals_a_straight_one(squares: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "epochs", 4), DROPOUT, end_to_end=False)
    features = make_features(squares, tmp_path / "f.h5")
    train(squares, tmp_path / "straight", config, features)
    assert not train(squares, tmp_path / "resumed", config, features, stop=stop_after(3, films=0)).finished
    train(squares, tmp_path / "resumed", config, features, resume=True)
    assert_same_outcome(tmp_path / "straight", tmp_path / "resumed")


def test_the_seed_decides(squares: Path, tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        train(squares, tmp_path / name, tiny_config(("fit", "epochs", 1), ("fit", "seed", seed)))
    assert_same_outcome(tmp_path / "first", tmp_path / "again")
    assert outcome(tmp_path / "first")[0] != outcome(tmp_path / "other")[0]


def overfitted(squares: Path, out: Path, weights: str | None = None) -> TrainingResult:
    """Train without anything that holds learning back; on features of `weights`, or on films."""
    # Each film stands ten times in the corpus, so that an epoch has more than one step.
    rows = read_reports(squares).rows
    copies = [replace(row, image_id=f"{row.image_id}{copy}") for row in rows for copy in range(10)]
    write_reports(squares, copies)
    still = ("rotation", "shift", "scale", "crop", "brightness", "contrast")
    on_films = (
        ("fit", "calibration_films", 16),
        *(("fit", name, 0.0) for name in ("finding_loss", "word_loss")),
        *(("augmentation", name, 0.0) for name in still),
    )
    config = tiny_config(
        ("network", "backbone_options", {"scale": 0.25}),
        ("network", "size", 48),
        ("network", "embedding_size", 32),
        ("network", "hidden_size", 64),
        ("network", "layers", 1),
        ("network", "dropout", 0.0),
        ("fit", "epochs", 60),
        ("fit", "batch_size", 16),
        ("fit", "learning_rate", 5e-3),
        ("fit", "patience", 0),
        ("fit", "weight_decay", 0.0),
        ("fit", "memory_loss", 0.0),
        *(on_films if weights is None else ()),
        end_to_end=weights is None,
    )
    features = None if weights is None else make_features(squares, out.with_suffix(".h5"), weights)
    return train(squares, out, config, features)


@pytest.mark.slow
def test_eight_films_are_learned_by_heart(squares: Path, tmp_path: Path) -> None:
    result = overfitted(squares, tmp_path / "run")
    assert outcome(tmp_path / "run")[0][-1][0] < 0.05
    assert result.epochs == 60


@pytest.mark.slow
def test_eight_feature_vectors_are_learned_by_heart(squares: Path, tmp_path: Path) -> None:
    overfitted(squares, tmp_path / "run", weights="random:0")
    assert outcome(tmp_path / "run")[0][-1][0] < 0.05


def test_training_stops_early_and_keeps_the_best_epoch(squares: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "epochs", 40), ("fit", "patience", 1), ("fit", "learning_rate", 0.3))
    result = train(squares, tmp_path / "run", config)
    losses = [loss for _, loss, _ in outcome(tmp_path / "run")[0]]
    assert result.finished
    assert result.epochs == len(losses) < 40
    assert result.best is not None
    assert result.best.epoch == int(np.argmin(losses)) == len(losses) - 2
    assert Run.open(tmp_path / "run").best == result.best


def test_the_vocabulary_comes_from_the_training_split_alone(squares: Path, tmp_path: Path) -> None:
    rows = read_reports(squares).rows
    write_reports(
        squares,
        [
            type(row)(**{**vars(row), "findings": row.findings + " Foreign foreign words."})
            if row.split != "train"
            else row
            for row in rows
        ],
    )
    train(squares, tmp_path / "run", tiny_config(("fit", "epochs", 1)))
    vocabulary = Run.open(tmp_path / "run").vocabulary
    assert "mass" in vocabulary
    assert "foreign" not in vocabulary


def test_a_damaged_film_is_left_out_of_training(squares: Path, tmp_path: Path) -> None:
    (squares / "images" / "SQ2_PA.png").write_bytes(b"")
    result = train(squares, tmp_path / "run", tiny_config(("fit", "epochs", 1)))
    assert [film.image_id for film in result.damaged] == ["SQ2_PA"]
    counts = Run.open(tmp_path / "run").corpus
    assert (counts.train, counts.val, counts.damaged) == (7, 4, 1)
    assert (counts.without_image, counts.without_features) == (0, 0)


def test_images_without_features_are_counted_for_themselves(squares: Path, tmp_path: Path) -> None:
    rows = list(read_reports(squares).rows)
    rows[1] = replace(rows[1], image_id="", image_path="")
    write_reports(squares, rows)
    features = make_features(squares, tmp_path / "f.h5")
    rows += [replace(rows[0], image_id=f"{rows[0].image_id}{copy}") for copy in range(3)]
    write_reports(squares, rows)
    train(squares, tmp_path / "run", tiny_config(("fit", "epochs", 1), end_to_end=False), features)
    counts = Run.open(tmp_path / "run").corpus
    assert (counts.train, counts.val, counts.damaged) == (7, 4, 0)
    assert (counts.without_image, counts.without_features) == (1, 3)


def test_the_run_says_which_encoder_made_the_features(squares: Path, tmp_path: Path) -> None:
    features = make_features(squares, tmp_path / "f.h5")
    config = tiny_config(
        ("network", "backbone", "resnet101"),
        ("network", "backbone_options", {}),
        ("network", "size", 224),
        ("fit", "epochs", 1),
        end_to_end=False,
    )
    train(squares, tmp_path / "run", config, features)
    network = read_config(tmp_path / "run").network
    assert (network.backbone, network.backbone_options, network.size) == (
        "mobilenet_v1",
        {"scale": 0.125},
        32,
    )


def test_a_training_stopped_while_films_are_prepared_goes_on_there(squares: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "epochs", 1))
    result = train(squares, tmp_path / "run", config, stop=stop_after(0, films=10))
    assert (result.prepared, result.finished, result.best) == (False, False, None)
    assert not (tmp_path / "run" / "run.json").exists()
    prepared: list[int] = []
    progress = Progress(prepared=lambda films, of: prepared.append(films))
    assert train(squares, tmp_path / "run", config, progress=progress).finished
    assert prepared == [8, 2, 1, 1]
    train(squares, tmp_path / "straight", config)
    assert_same_outcome(tmp_path / "straight", tmp_path / "run")


@pytest.mark.parametrize("on_features", [False, True])
@pytest.mark.parametrize("folder", ["file.txt/run", "/proc/nowhere/run"])
def test_a_run_folder_that_can_not_be_made_is_an_error(
    squares: Path, tmp_path: Path, folder: str, on_features: bool
) -> None:
    (tmp_path / "file.txt").write_text("no folder")
    features = make_features(squares, tmp_path / "f.h5") if on_features else None
    with pytest.raises(InputError, match=r"can't write .*another folder"):
        train(squares, tmp_path / folder, tiny_config(end_to_end=not on_features), features)


@pytest.mark.parametrize("on_features", [False, True])
def test_a_loss_that_is_not_finite_says_how_to_train_again(
    squares: Path, tmp_path: Path, on_features: bool
) -> None:
    features = make_features(squares, tmp_path / "f.h5") if on_features else None
    fast = (("fit", "epochs", 3), ("fit", "learning_rate", 1e30), ("fit", "warmup_steps", 0))
    out = tmp_path / "run"
    with pytest.raises(CxrscribeError, match=rf"loss .* is .*learning_rate.*another --out than {out},"):
        train(squares, out, tiny_config(*fast, end_to_end=not on_features), features)


def test_features_that_are_not_finite_are_refused_before_the_training(squares: Path, tmp_path: Path) -> None:
    features = make_features(squares, tmp_path / "f.h5")
    change_features(features, np.nan)
    with pytest.raises(InputError, match=r"f\.h5 has features that are not finite.*SQ3_PA"):
        train(squares, tmp_path / "run", tiny_config(end_to_end=False), features)
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten(squares: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "epochs", 1))
    train(squares, tmp_path / "run", config)
    with pytest.raises(InputError, match="already holds a run"):
        train(squares, tmp_path / "run", config)


def test_nothing_can_be_resumed_in_an_empty_folder(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to resume"):
        train(squares, tmp_path / "run", tiny_config(), resume=True)


def _changed_corpus(squares: Path, config: TrainingConfig) -> TrainingConfig:
    write_reports(squares, read_reports(squares).rows[1:])
    return config


def _changed_config(_: Path, config: TrainingConfig) -> TrainingConfig:
    return tiny_config(("fit", "epochs", 2), ("fit", "seed", 9))


@pytest.mark.parametrize(("change", "what"), [(_changed_corpus, "corpus"), (_changed_config, "config")])
def test_a_training_is_not_resumed_with_something_else(
    squares: Path, tmp_path: Path, change: Callable[[Path, TrainingConfig], TrainingConfig], what: str
) -> None:
    config = tiny_config(("fit", "epochs", 2))
    train(squares, tmp_path / "run", config, stop=stop_after(1))
    with pytest.raises(InputError, match=f"another {what}"):
        train(squares, tmp_path / "run", change(squares, config), resume=True)


def test_a_training_is_not_resumed_on_features_of_another_encoder(squares: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "epochs", 2), end_to_end=False)
    features = make_features(squares, tmp_path / "f.h5")
    train(squares, tmp_path / "run", config, features, stop=stop_after(1, films=0))
    others = make_features(squares, tmp_path / "g.h5", "random:1")
    with pytest.raises(InputError, match="another encoder"):
        train(squares, tmp_path / "run", config, others, resume=True)


def change_features(path: Path, value: float) -> None:
    """Change one number of one film, and nothing that says where the features come from."""
    with h5py.File(path, "r+") as file:
        file["features"][3, 5] = value


def test_a_training_is_not_resumed_on_features_of_other_content(squares: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "epochs", 2), end_to_end=False)
    features = make_features(squares, tmp_path / "f.h5")
    before = FeatureFile.open(features).features[3, 5]
    train(squares, tmp_path / "run", config, features, stop=stop_after(1, films=0))
    change_features(features, 7.0)
    with pytest.raises(InputError, match="another content of the features"):
        train(squares, tmp_path / "run", config, features, resume=True)
    change_features(features, before)
    assert train(squares, tmp_path / "run", config, features, resume=True).finished


def test_a_training_is_not_resumed_on_other_films(squares: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "epochs", 2))
    train(squares, tmp_path / "run", config, stop=stop_after(1))
    film = squares / "images" / "SQ3_PA.png"
    content = film.read_bytes()
    film.write_bytes((squares / "images" / "SQ4_PA.png").read_bytes())
    with pytest.raises(InputError, match="another content of the films"):
        train(squares, tmp_path / "run", config, resume=True)
    film.write_bytes(content)
    moved = squares.rename(tmp_path / "elsewhere")
    assert train(moved, tmp_path / "run", config, resume=True).finished


def test_a_damaged_film_cache_is_made_again_on_resuming(squares: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "epochs", 2))
    assert not train(squares, tmp_path / "run", config, stop=stop_after(1)).finished
    index = tmp_path / "run" / "checkpoint" / "inputs-train.json"
    index.write_bytes(index.read_bytes()[:40])
    assert train(squares, tmp_path / "run", config, resume=True).finished


def test_features_of_an_unfinished_extraction_are_refused(squares: Path, tmp_path: Path) -> None:
    features = make_features(squares, tmp_path / "f.h5")
    with h5py.File(features, "r+") as file:
        file.attrs["complete"] = False
    with pytest.raises(InputError, match="not complete"):
        train(squares, tmp_path / "run", tiny_config(end_to_end=False), features)


def test_label_smoothing_leaves_the_validation_loss_comparable(squares: Path, tmp_path: Path) -> None:
    for name, smoothing in (("plain", 0.0), ("smooth", 0.3)):
        changes = (
            ("fit", "epochs", 1),
            ("fit", "learning_rate", 1e-6),
            ("fit", "label_smoothing", smoothing),
        )
        train(squares, tmp_path / name, tiny_config(*changes))
    plain, smooth = (outcome(tmp_path / name)[0][0][1] for name in ("plain", "smooth"))
    assert plain == pytest.approx(smooth, abs=1e-3)
