from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import paddle
import pytest

from cxrscribe.bundle.files import sha256_of
from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.search.decoding import decode
from cxrscribe_train.features import encode_batch
from cxrscribe_train.run import Run
from cxrscribe_train.step import PaddleStep
from cxrscribe_train.training import train
from support.square_corpus import tiny_config, write_squares


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder; tests that damage it work on a copy."""
    folder = tmp_path_factory.mktemp("run")
    train(write_squares(folder / "corpus"), folder / "run", tiny_config(("fit", "epochs", 2)))
    return folder / "run"


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_a_run_folder_holds_what_the_docs_say(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "run.json",
        "config.toml",
        "vocabulary.json",
        "studies.json",
        "encoder.safetensors",
        "decoder.safetensors",
        "log.jsonl",
        "curves.png",
        "checkpoint",
    }
    assert {path.suffix for path in (trained / "checkpoint").iterdir()} == {".json", ".safetensors"}
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log] == [0, 1]


def test_an_opened_run_makes_reports(trained: Path) -> None:
    run = Run.open(trained)
    assert run.preprocessing == Preprocessing(32, 32)
    assert run.weights == "random:0"
    assert run.weights_sha256 == sha256_of(trained / "encoder.safetensors")
    assert run.architecture.vocabulary_size == len(run.vocabulary)
    encoder, decoder = run.encoder(), run.decoder()
    assert not encoder.training
    assert not decoder.training
    films = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    features = encode_batch(encoder, films)
    assert features.shape == (3, run.architecture.feature_size)
    reports = decode(PaddleStep(decoder), run.vocabulary, features, run.settings)
    assert len(reports) == 3


def test_the_saved_weights_give_the_recorded_validation_loss(trained: Path) -> None:
    from cxrscribe_train.corpus.table import read_reports
    from cxrscribe_train.fitting.dataset import ReportTokens, read_examples
    from cxrscribe_train.fitting.loss import summed_token_loss

    run, corpus = Run.open(trained), read_reports(trained.parent / "corpus")
    examples = read_examples(corpus, "val", need_file=True)
    tokens = ReportTokens.of(examples.words, run.vocabulary, run.config.text.max_tokens)
    films = np.stack([run.preprocessing.read(corpus.image_file(row)) for row in corpus.split("val")])
    features = paddle.to_tensor(encode_batch(run.encoder(), films))
    with paddle.no_grad():
        logits = run.decoder()(features, paddle.to_tensor(tokens.inputs))
        loss = float(summed_token_loss(logits, paddle.to_tensor(tokens.targets))) / tokens.lengths.sum()
    assert loss == pytest.approx(run.best.val_loss, rel=1e-5)


def test_another_encoder_in_the_folder_is_noticed(copied: Path) -> None:
    (copied / "encoder.safetensors").write_bytes(b"another")
    with pytest.raises(InputError, match="not the encoder"):
        Run.open(copied).encoder()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", "{", "not valid JSON"),
        ("run.json", "{}", "format"),
        ("vocabulary.json", "[]", "damaged"),
        ("config.toml", "[fit]\nepoch = 1", "epoch"),
    ],
)
def test_a_damaged_folder_is_refused(copied: Path, name: str, content: str, message: str) -> None:
    (copied / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        Run.open(copied)


def test_a_record_that_lacks_a_field_is_refused(copied: Path) -> None:
    record = json.loads((copied / "run.json").read_text())
    del record["architecture"]["layers"]
    (copied / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="layers"):
        Run.open(copied)


@pytest.mark.parametrize(("name", "value"), [("beam_width", "3"), ("beam_size", 3)])
def test_beam_settings_are_checked_as_those_of_a_bundle(copied: Path, name: str, value: object) -> None:
    record = json.loads((copied / "run.json").read_text())
    record["settings"][name] = value
    (copied / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=rf"damaged.*settings.*{name}"):
        Run.open(copied)


def test_a_folder_without_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json"):
        Run.open(tmp_path)
