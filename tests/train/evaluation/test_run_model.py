"""A run folder under evaluation: Paddle's encoder and decoder, the runtime's search."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import paddle
import pytest

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.files import sha256_of
from cxrscribe.errors import DeviceError, FilmError, InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.settings import BeamSettings
from cxrscribe_models import ReportDecoder
from cxrscribe_train.corpus.table import read_reports
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet
from cxrscribe_train.evaluation.model import RunModel, open_model
from cxrscribe_train.evaluation.subject import Film, Subject
from cxrscribe_train.features import encode_batch
from cxrscribe_train.fitting.checkpoint import EpochRecord
from cxrscribe_train.fitting.config import build_config
from cxrscribe_train.fitting.network import ReportNetwork
from cxrscribe_train.fitting.vocabulary import build_vocabulary
from cxrscribe_train.run import RunWriter, TrainingCorpus
from cxrscribe_train.weights import build_encoder

SETTINGS = BeamSettings(beam_width=2, max_length=8)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of random weights on a small backbone."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    vocabulary = build_vocabulary([["heart", "normal", "lungs", "clear", "."]], min_count=1)
    preprocessing = Preprocessing(32, 32)
    paddle.seed(0)
    encoder = build_encoder("mobilenet_v1", {"scale": 0.25}, preprocessing)
    architecture = Architecture(
        backbone="mobilenet_v1",
        backbone_options={"scale": 0.25},
        feature_size=encoder.feature_size,
        embedding_size=8,
        hidden_size=8,
        layers=1,
        vocabulary_size=len(vocabulary),
    )
    writer = RunWriter(
        path=folder,
        architecture=architecture,
        preprocessing=preprocessing,
        vocabulary=vocabulary,
        settings=BeamSettings(),
        config=build_config([], end_to_end=True),
        weights="random:0",
        corpus=TrainingCorpus("corpus", True, 1, 1, 0, 0, 0),
        studies=("S1",),
    )
    writer.begin(None)
    network = ReportNetwork(ReportDecoder(architecture), encoder)
    writer.keep_best(network, EpochRecord(0, 1, 1.0, 1.0, 0.1, 1.0))
    return folder


@pytest.fixture(scope="module")
def films(corpus_folder: Path) -> tuple[Film, ...]:
    return Subject.of(read_reports(corpus_folder), "test").films


def test_films_and_features_give_the_same_reports(run_folder: Path, films: tuple[Film, ...]) -> None:
    with open_model(run_folder) as model:
        assert isinstance(model, RunModel)
        from_films = list(model.from_films(films, SETTINGS))
        encoder = model._run.encoder()
        pictures = np.stack([model.preprocessing.read(film.path) for film in films if film.path])
        from_features = list(model.from_features(encode_batch(encoder, pictures), SETTINGS))
    assert from_films == from_features
    assert all(set(report) <= {"heart", "normal", "lungs", "clear", "."} for report in from_films)


def test_a_damaged_film_is_an_error_in_its_place(
    run_folder: Path, films: tuple[Film, ...], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no film")
    mixed = (films[0], Film("B_PA", "B", broken, ("a",), FindingSet(frozenset(), None)), films[1])
    with open_model(run_folder) as model:
        reports = list(model.from_films(mixed, SETTINGS))
        assert [isinstance(report, FilmError) for report in reports] == [False, True, False]
        assert reports[::2] == list(model.from_films(films[:2], SETTINGS))


def test_identity_names_the_weights(run_folder: Path) -> None:
    with open_model(run_folder) as model:
        identity = model.identity
    assert identity.kind == "run"
    assert identity.name == "run"
    assert identity.sha256 == identity.decoder_sha256 == sha256_of(run_folder / "decoder.safetensors")
    record = json.loads((run_folder / "run.json").read_text())
    assert identity.encoder_sha256 == record["weights_sha256"]


def test_a_run_without_its_encoder_is_an_error_that_names_the_file(run_folder: Path, tmp_path: Path) -> None:
    incomplete = Path(shutil.copytree(run_folder, tmp_path / "run"))
    (incomplete / "encoder.safetensors").unlink()
    with pytest.raises(InputError, match=r"encoder\.safetensors can't be read"):
        open_model(incomplete, "cpu")


@pytest.mark.parametrize("device", ["openvino", "cuda"])
def test_a_device_that_is_not_there_is_an_error(run_folder: Path, device: str) -> None:
    if device == "cuda" and paddle.device.is_compiled_with_cuda():
        pytest.skip("Paddle has CUDA here")
    with pytest.raises(DeviceError, match=device):
        open_model(run_folder, device)
