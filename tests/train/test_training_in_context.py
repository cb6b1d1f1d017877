"""Training a model with a context: resumed to the bit, evaluated with and without what it is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cxrscribe.cli.main import main
from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.corpus.table import read_reports, write_reports
from cxrscribe_train.features import Extraction, extract_features, films_of
from cxrscribe_train.fitting.config import TrainingConfig
from cxrscribe_train.run import Run, read_config
from cxrscribe_train.training import train
from cxrscribe_train.weights import WeightsSource
from support.square_corpus import tiny_config, write_squares

TOLD = ("Cough on the left.", "Fever, chest pain", "", "Large mass suspected.")
CONTEXT = (
    ("fit", "epochs", 4),
    ("network", "dropout", 0.3),
    ("context", "context_size", 16),
    ("fit", "finding_weight", 3.0),
    ("fit", "finding_weight_epochs", 2),
)


def in_context(context: str = "patient+tags", *, end_to_end: bool = False) -> TrainingConfig:
    return tiny_config(*CONTEXT, ("context", "context", context), end_to_end=end_to_end)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_squares(tmp_path / "corpus", train=48, val=8, test=8, indications=TOLD)


@pytest.fixture
def features(corpus: Path, tmp_path: Path) -> Path:
    extraction = Extraction(
        "mobilenet_v1", {"scale": 0.125}, WeightsSource.parse("random:0"), Preprocessing(32, 32)
    )
    extract_features(films_of(read_reports(corpus)), extraction, tmp_path / "f.h5")
    return tmp_path / "f.h5"


def files(run: Path) -> dict[str, bytes]:
    names = ("decoder.safetensors", "patient_text.json", "checkpoint/context.safetensors")
    (state,) = (run / "checkpoint").glob("state-*.safetensors")
    return {**{name: (run / name).read_bytes() for name in names}, "state": state.read_bytes()}


@pytest.mark.parametrize("steps", [12, 29], ids=["at an epoch's end", "inside a weighted epoch"])
def test_a_resumed_training_equals_a_straight_one_to_the_bit(
    corpus: Path, features: Path, tmp_path: Path, steps: int
) -> None:
    config = in_context()
    assert train(corpus, tmp_path / "straight", config, features).finished
    asked = iter(range(1, 1000))
    stopped = train(corpus, tmp_path / "resumed", config, features, stop=lambda: next(asked) >= steps)
    assert not stopped.finished
    assert read_config(tmp_path / "resumed") == config
    assert train(corpus, tmp_path / "resumed", config, features, resume=True).finished
    assert files(tmp_path / "straight") == files(tmp_path / "resumed")


def test_two_processes_take_texts_away_as_one_does(corpus: Path, features: Path, tmp_path: Path) -> None:
    """Without dropout of units two processes do what one does, up to the order of sums."""
    calm = ("network", "dropout", 0.0), ("context", "context", "patient+tags"), ("fit", "epochs", 2)
    one, two = (tiny_config(*calm, ("fit", "processes", n), end_to_end=False) for n in (1, 2))
    losses = [
        train(corpus, tmp_path / f"{place}", config, features).best for place, config in enumerate((one, two))
    ]
    assert losses[0] is not None
    assert losses[1] is not None
    assert losses[0].train_loss == pytest.approx(losses[1].train_loss, rel=1e-4)
    assert losses[0].val_loss == pytest.approx(losses[1].val_loss, rel=1e-4)


def test_the_best_epoch_is_one_of_the_last_where_losses_are_weighed(
    corpus: Path, features: Path, tmp_path: Path
) -> None:
    result = train(corpus, tmp_path / "run", in_context("patient"), features)
    assert result.best is not None
    assert result.best.epoch >= 2
    assert Run.open(tmp_path / "run").best == result.best


def test_patience_does_not_end_a_training_before_findings_weigh_more(
    corpus: Path, features: Path, tmp_path: Path
) -> None:
    settings = (("fit", "learning_rate", 1e-9), ("fit", "patience", 1), ("context", "context", "patient"))
    config = tiny_config(*CONTEXT, *settings, end_to_end=False)
    assert train(corpus, tmp_path / "run", config, features).epochs >= 3


def test_other_indications_are_not_what_a_run_was_begun_with(
    corpus: Path, features: Path, tmp_path: Path
) -> None:
    asked = iter(range(1, 1000))
    train(corpus, tmp_path / "run", in_context(), features, stop=lambda: next(asked) >= 3)
    rows = list(read_reports(corpus).rows)
    rows[0] = type(rows[0])(**{**vars(rows[0]), "indication": "Another text"})
    write_reports(corpus, rows)
    with pytest.raises(InputError, match="another context"):
        train(corpus, tmp_path / "run", in_context(), features, resume=True)


def test_a_corpus_without_indications_is_refused(tmp_path: Path) -> None:
    silent = write_squares(tmp_path / "silent", train=24)
    with pytest.raises(InputError, match="0 studies of the training split have an INDICATION"):
        train(silent, tmp_path / "run", in_context("patient", end_to_end=True))


def test_end_to_end_has_no_tags_but_the_patients_text(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tags are told from features"):
        in_context(end_to_end=True)
    assert train(corpus, tmp_path / "run", in_context("patient", end_to_end=True)).finished
    run = Run.open(tmp_path / "run")
    assert run.architecture.context is not None
    assert run.architecture.context.tags == 0
    text = run.patient_text()
    assert text is not None
    assert text.encode("cough").any()


def test_settings_that_change_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="changes nothing in a training without context"):
        tiny_config(("context", "context_size", 16))
    with pytest.raises(InputError, match="give both"):
        tiny_config(("fit", "finding_weight", 3.0))
    with pytest.raises(InputError, match="no more than epochs"):
        tiny_config(("fit", "finding_weight", 3.0), ("fit", "finding_weight_epochs", 31))


def test_a_run_without_context_says_nothing_of_one(corpus: Path, features: Path, tmp_path: Path) -> None:
    train(corpus, tmp_path / "run", tiny_config(("fit", "epochs", 1), end_to_end=False), features)
    assert "context" not in (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")
    assert "finding_weight" not in (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")
    assert "context" not in json.loads((tmp_path / "run" / "run.json").read_text())["architecture"]
    assert not (tmp_path / "run" / "patient_text.json").exists()
    assert Run.open(tmp_path / "run").patient_text() is None


def test_evaluate_shows_what_the_text_brings(corpus: Path, features: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocoevalcap", reason="needs the extra train")
    run = tmp_path / "run"
    train(corpus, run, in_context(), features)
    arguments = ["evaluate", str(run), "--corpus", str(corpus), "--bootstrap", "5", "--json"]
    done = CliRunner().invoke(main, [*arguments, "--features", str(features)])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert {"model", "without_film", "without_text"} <= figures.keys()
    assert {"without_film", "without_text"} <= figures["differences"].keys()
    from_films = json.loads(CliRunner().invoke(main, arguments).stdout)
    assert from_films["model"] == figures["model"]
    assert from_films["without_text"] == figures["without_text"]


def test_tags_of_new_films_are_told_by_the_network_itself(
    corpus: Path, features: Path, tmp_path: Path
) -> None:
    import paddle

    train(corpus, tmp_path / "run", in_context(), features)
    run = Run.open(tmp_path / "run")
    decoder = run.decoder()
    sizes = run.architecture.context
    assert sizes is not None
    assert sizes.tags > 0
    random = np.random.default_rng(0)
    film = paddle.to_tensor(random.normal(size=(3, run.architecture.feature_size)).astype(np.float32))
    patient = paddle.zeros([3, sizes.patient_size])
    told = decoder.context(film, patient, decoder.context.tags(film))
    np.testing.assert_allclose(decoder.context(film, patient).numpy(), told.numpy(), rtol=1e-3, atol=1e-3)
