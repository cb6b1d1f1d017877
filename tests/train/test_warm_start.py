from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.commands.train import train as train_command
from cxrscribe_train.corpus.table import read_reports, write_reports
from cxrscribe_train.features import Extraction, extract_features, films_of
from cxrscribe_train.run import Run
from cxrscribe_train.training import Progress, train
from cxrscribe_train.warm_start import WarmStart
from cxrscribe_train.weights import WeightsSource, state_arrays
from support.square_corpus import tiny_config, write_squares

ONE_EPOCH = ("fit", "epochs", 1)
# So small that weights are still where they began.
STILL = (
    ONE_EPOCH,
    ("fit", "learning_rate", 1e-12),
    ("fit", "final_learning_rate", 0.0),
    ("fit", "weight_decay", 0.0),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `first` on films, and the corpora `corpus` and `other`, which has other words."""
    folder = tmp_path_factory.mktemp("trained")
    corpus = write_squares(folder / "corpus")
    train(corpus, folder / "first", tiny_config(("fit", "epochs", 2), ("fit", "seed", 9)))
    other = write_squares(folder / "other")
    rows = read_reports(other).rows
    write_reports(
        other,
        [
            replace(row, study_id=f"O{row.study_id}", findings=row.findings.replace("mass", "opacity seen"))
            for row in rows
        ],
    )
    return folder


def init(trained: Path) -> tuple[str, str, str]:
    return ("fit", "init", str(trained / "first"))


def features(corpus: Path, out: Path, weights: str) -> Path:
    extraction = Extraction(
        "mobilenet_v1", {"scale": 0.125}, WeightsSource.parse(weights), Preprocessing(32, 32)
    )
    extract_features(films_of(read_reports(corpus)), extraction, out)
    return out


def begun(trained: Path, out: Path, *changes: tuple[str, str, Any], **given: Any) -> tuple[Run, WarmStart]:
    config = tiny_config(init(trained), *changes, end_to_end=not given)
    train(trained / "other", out, config, **given)
    return Run.open(out), WarmStart.read(out)


def test_words_are_merged_by_name(trained: Path, tmp_path: Path) -> None:
    run, start = begun(trained, tmp_path / "run", *STILL)
    first = Run.open(trained / "first")
    assert (start.new_words, start.dropped_words) == (("opacity", "seen"), ("mass",))
    assert start.shared_words == len(first.vocabulary) - len(("mass",)) - 4
    assert start.taken_by_word == ("embedding.weight", "output.weight", "output.bias")
    own, theirs = state_arrays(run.decoder()), state_arrays(first.decoder())
    for word in run.vocabulary.words:
        here, there = run.vocabulary.id_of(word), first.vocabulary.id_of(word)
        same = [
            np.allclose(own["embedding.weight"][here], theirs["embedding.weight"][there], atol=1e-6),
            np.allclose(own["output.weight"][:, here], theirs["output.weight"][:, there], atol=1e-6),
            np.allclose(own["output.bias"][here], theirs["output.bias"][there], atol=1e-6),
        ]
        assert same == [word in first.vocabulary] * 3, word


def test_all_that_has_its_place_is_taken_and_recorded(trained: Path, tmp_path: Path) -> None:
    run, start = begun(trained, tmp_path / "run", *STILL)
    first = Run.open(trained / "first")
    own, theirs = state_arrays(run.decoder()), state_arrays(first.decoder())
    assert {*start.taken, *start.taken_by_word} == {*own, "encoder"}
    assert start.anew == {}
    for name in set(start.taken) - {"encoder"}:
        np.testing.assert_allclose(own[name], theirs[name], atol=1e-6)
    began, there = state_arrays(run.encoder().backbone), state_arrays(first.encoder().backbone)
    kernels = [name for name in began if began[name].ndim == 4]
    assert kernels
    for name in kernels:
        np.testing.assert_allclose(began[name], there[name], atol=1e-6)
    assert run.weights == f"run:{first.weights_sha256}"
    assert start.run == str(trained / "first")


def test_what_has_another_shape_begins_anew_and_says_why(trained: Path, tmp_path: Path) -> None:
    _, start = begun(trained, tmp_path / "run", ONE_EPOCH, ("network", "embedding_size", 20))
    assert {"image_projection.weight", "image_projection.bias", "embedding.weight"} <= start.anew.keys()
    assert any(name.startswith("lstm") for name in start.anew)
    old, new = start.anew["embedding.weight"].split(" in the run and ")
    assert (old.endswith("16]"), new.endswith("20] here")) == (True, True)
    assert start.taken_by_word == ("output.weight", "output.bias")
    assert "encoder" in start.taken


def test_more_layers_keep_the_first_and_begin_the_last(trained: Path, tmp_path: Path) -> None:
    _, start = begun(trained, tmp_path / "run", ONE_EPOCH, ("network", "layers", 3))
    assert set(start.anew.values()) == {"the run has no such weight"}
    assert sum(name.startswith("lstm") for name in start.taken) == 8
    assert len(start.anew) == 4


def test_features_of_the_same_encoder_keep_the_projection(trained: Path, tmp_path: Path) -> None:
    own = features(trained / "other", tmp_path / "own.h5", str(trained / "first" / "encoder.safetensors"))
    _, start = begun(trained, tmp_path / "run", ONE_EPOCH, features_file=own)
    assert start.anew == {}
    assert "encoder" not in start.taken
    foreign = features(trained / "other", tmp_path / "foreign.h5", "random:3")
    _, start = begun(trained, tmp_path / "foreign", ONE_EPOCH, features_file=foreign)
    reason = "the features here are of another encoder"
    assert start.anew == dict.fromkeys(("image_projection.weight", "image_projection.bias"), reason)


def test_another_backbone_begins_anew(trained: Path, tmp_path: Path) -> None:
    wider = ("network", "backbone_options", {"scale": 0.25})
    run, start = begun(trained, tmp_path / "run", ONE_EPOCH, wider)
    assert start.anew.keys() == {"image_projection.weight", "image_projection.bias", "encoder"}
    assert run.weights == "random:0"
    weights = str(trained / "first" / "encoder.safetensors")
    run, start = begun(trained, tmp_path / "file", ONE_EPOCH, ("fit", "weights", weights))
    assert start.anew["encoder"] == f"the backbone begins from {weights}"
    assert run.weights.startswith("file:")


@pytest.mark.parametrize("steps", [2, 3], ids=["at an epoch's end", "inside an epoch"])
@pytest.mark.parametrize("on_features", [False, True])
def test_a_resumed_training_needs_the_other_run_no_more(
    trained: Path, tmp_path: Path, steps: int, on_features: bool
) -> None:
    shutil.copytree(trained / "first", tmp_path / "first")
    file = features(trained / "other", tmp_path / "f.h5", "random:3") if on_features else None
    settings = (("fit", "init", str(tmp_path / "first")), ("fit", "epochs", 3), ("network", "dropout", 0.3))
    config = tiny_config(*settings, end_to_end=not on_features)
    train(trained / "other", tmp_path / "straight", config, file)
    films = 0 if on_features else 12
    train(trained / "other", tmp_path / "resumed", config, file, stop=counted(films + steps))
    shutil.rmtree(tmp_path / "first")
    assert train(trained / "other", tmp_path / "resumed", config, file, resume=True).finished
    for name in ("encoder.safetensors", "decoder.safetensors", "init.json", "studies.json"):
        assert (tmp_path / "straight" / name).read_bytes() == (tmp_path / "resumed" / name).read_bytes()
    straight, resumed = Run.open(tmp_path / "straight"), Run.open(tmp_path / "resumed")
    assert straight.weights == resumed.weights


def counted(calls: int) -> Callable[[], bool]:
    asked = iter(range(1, 1000))
    return lambda: next(asked) >= calls


def test_the_run_is_begun_anew_by_its_config(trained: Path, tmp_path: Path) -> None:
    begun(trained, tmp_path / "run", ONE_EPOCH)
    config = Run.open(tmp_path / "run").config
    assert config.fit.init == str(trained / "first")
    train(trained / "other", tmp_path / "again", config)
    again = (tmp_path / "again" / "decoder.safetensors").read_bytes()
    assert again == (tmp_path / "run" / "decoder.safetensors").read_bytes()


def test_what_the_other_run_was_trained_on_stays_known(trained: Path, tmp_path: Path) -> None:
    run, start = begun(trained, tmp_path / "run", ONE_EPOCH)
    first = Run.open(trained / "first").training_studies()
    assert run.training_studies() == first | {f"O{study}" for study in first}
    assert start.seen_validation_studies == 0
    # The validation studies of this corpus are among those that the other run was trained on.
    swapped = shutil.copytree(trained / "corpus", tmp_path / "swapped")
    turned = {"train": "val", "val": "train", "test": "test"}
    write_reports(swapped, [replace(row, split=turned[row.split]) for row in read_reports(swapped).rows])
    told: list[WarmStart] = []
    train(
        swapped, tmp_path / "leak", tiny_config(init(trained), ONE_EPOCH), progress=Progress(took=told.append)
    )
    assert told[0].seen_validation_studies == 8
    assert "8 validation studies are among those" in told[0].lines()[-1]


def test_the_command_says_what_it_took(trained: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        train_command,
        [
            "--corpus", str(trained / "other"), "--end-to-end", "--out", str(tmp_path / "run"),
            "--init", str(trained / "first"), "--backbone", "mobilenet_v1",
            "--backbone-option", "scale=0.125",
            "--size", "32", "--embedding-size", "16", "--hidden-size", "20", "--batch-size", "4",
            "--epochs", "1", "--warmup-steps", "2",
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"begun from {trained / 'first'}: " in result.stderr
    assert "words kept, 2 new, 1 dropped" in result.stderr
    assert "taken for the words kept: embedding.weight" in result.stderr
    assert "begun anew: output.weight (its shape is [24, " in result.stderr


def test_what_is_no_run_is_refused_before_anything_is_made(trained: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "init", str(tmp_path / "none")))
    with pytest.raises(InputError, match=r"--init: .*none holds no run\.json"):
        train(trained / "other", tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


def test_a_run_can_not_begin_from_its_own_folder(trained: Path, tmp_path: Path) -> None:
    empty = tmp_path / "run"
    with pytest.raises(InputError, match=r"is the folder that --out names"):
        train(trained / "other", empty, tiny_config(("fit", "init", str(empty))))


def test_a_damaged_record_is_refused_when_the_run_goes_on(trained: Path, tmp_path: Path) -> None:
    config = tiny_config(init(trained), ("fit", "epochs", 3))
    train(trained / "other", tmp_path / "run", config, stop=counted(14))
    record = json.loads((tmp_path / "run" / "init.json").read_text())
    del record["taken"]
    (tmp_path / "run" / "init.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"init\.json has no field 'taken'"):
        train(trained / "other", tmp_path / "run", config, resume=True)
