from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy

import cxrscribe
from cxrscribe.bundle.files import sha256_of
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.embedded import demo_bundle, demo_films
from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.corpus.table import read_reports
from cxrscribe_train.feature_file import FeatureFile, weights_path
from cxrscribe_train.features import Extraction, ExtractionResult, extract_features, films_of
from cxrscribe_train.weights import WeightsSource


def extraction(weights: str = "random:0", size: int = 32, batch_size: int = 4) -> Extraction:
    return Extraction(
        backbone="mobilenet_v1",
        backbone_options={"scale": 0.125},
        weights=WeightsSource.parse(weights),
        preprocessing=Preprocessing(size, size),
        batch_size=batch_size,
    )


def extract(corpus: Path, out: Path, **choices: object) -> ExtractionResult:
    return extract_features(films_of(read_reports(corpus)), extraction(**choices), out)  # type: ignore[arg-type]


def test_every_image_gets_features_with_their_origin(squares: Path, tmp_path: Path) -> None:
    result = extract(squares, tmp_path / "f.h5")
    features = FeatureFile.open(tmp_path / "f.h5")
    assert (result.films, result.encoded, result.damaged) == (14, 14, ())
    assert features.image_ids == tuple(f"SQ{index}_PA" for index in range(14))
    assert features.features.shape == (14, result.feature_size)
    assert features.features.dtype == np.float32
    assert features.encoder.weights == "random:0"
    assert features.encoder.backbone_options == {"scale": 0.125}
    assert features.encoder.weights_sha256 == sha256_of(weights_path(tmp_path / "f.h5"))
    assert features.complete
    features.check_usable()
    features.check_weights()
    with h5py.File(tmp_path / "f.h5") as file:
        assert {"backbone", "weights_sha256", "preprocessing", "complete"} <= set(file.attrs)


def test_features_do_not_depend_on_the_batch_size(squares: Path, tmp_path: Path) -> None:
    extract(squares, tmp_path / "one.h5")
    weights = str(weights_path(tmp_path / "one.h5"))
    extract(squares, tmp_path / "two.h5", weights=weights, batch_size=5)
    one, two = (FeatureFile.open(tmp_path / name).features for name in ("one.h5", "two.h5"))
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_an_interrupted_run_goes_on_where_it_stopped(squares: Path, tmp_path: Path) -> None:
    def interrupt(done: int, *, after: int = 8) -> None:
        interrupt.seen = getattr(interrupt, "seen", 0) + done  # type: ignore[attr-defined]
        if interrupt.seen >= after:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    films, out = films_of(read_reports(squares)), tmp_path / "f.h5"
    with pytest.raises(KeyboardInterrupt):
        extract_features(films, extraction(), out, interrupt)
    begun = FeatureFile.open(out)
    assert len(begun.image_ids) == 8
    assert not begun.complete
    with pytest.raises(InputError, match="not complete"):
        begun.check_usable()
    result = extract(squares, out)
    assert (result.films, result.encoded) == (14, 6)
    extract(squares, tmp_path / "straight.h5")
    resumed, straight = FeatureFile.open(out), FeatureFile.open(tmp_path / "straight.h5")
    assert resumed.image_ids == straight.image_ids
    assert np.array_equal(resumed.features, straight.features)


def test_rows_that_a_killed_run_left_half_written_are_made_again(squares: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.h5"
    extract(squares, out)
    whole = FeatureFile.open(out).features
    with h5py.File(out, "r+") as file:
        file["image_ids"].resize(9, axis=0)
        file.attrs["complete"] = False
    assert extract(squares, out).encoded == 5
    assert np.array_equal(FeatureFile.open(out).features, whole)


@pytest.mark.parametrize("dataset", ["features", "image_ids"])
def test_an_interruption_before_rows_are_written_leaves_no_empty_ones(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    out, write, batches = tmp_path / "f.h5", h5py.Dataset.__setitem__, iter(range(10))

    def interrupt(self: h5py.Dataset, place: object, values: object) -> None:
        if self.name == f"/{dataset}" and next(batches) == 1:
            raise KeyboardInterrupt
        write(self, place, values)

    with monkeypatch.context() as patch:
        patch.setattr(h5py.Dataset, "__setitem__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            extract(squares, out)
    assert FeatureFile.open(out).image_ids == tuple(f"SQ{index}_PA" for index in range(4))
    assert extract(squares, out).encoded == 10
    extract(squares, tmp_path / "straight.h5")
    resumed, straight = FeatureFile.open(out), FeatureFile.open(tmp_path / "straight.h5")
    assert resumed.image_ids == straight.image_ids
    assert np.array_equal(resumed.features, straight.features)


@pytest.mark.parametrize("other", [{"weights": "random:1"}, {"size": 48}])
def test_a_file_begun_by_another_encoder_is_refused(
    squares: Path, tmp_path: Path, other: dict[str, object]
) -> None:
    out = tmp_path / "f.h5"
    extract(squares, out)
    with pytest.raises(InputError, match="begun"):
        extract(squares, out, **other)
    assert FeatureFile.open(out).complete


def test_a_damaged_film_is_left_out_and_listed(squares: Path, tmp_path: Path) -> None:
    (squares / "images" / "SQ3_PA.png").write_bytes(b"\x89PNG\r\n\x1a\ntorn")
    result = extract(squares, tmp_path / "f.h5")
    assert [film.image_id for film in result.damaged] == ["SQ3_PA"]
    assert result.films == 13
    assert "SQ3_PA" not in FeatureFile.open(tmp_path / "f.h5").image_ids


def test_a_corpus_of_damaged_films_gives_an_error(squares: Path, tmp_path: Path) -> None:
    for film in (squares / "images").iterdir():
        film.write_bytes(b"")
    with pytest.raises(InputError, match="none of 14 films"):
        extract(squares, tmp_path / "f.h5")


def damage(squares: Path, *image_ids: str) -> dict[Path, bytes]:
    """Empty these films; returns what they held."""
    paths = [squares / "images" / f"{image_id}.png" for image_id in image_ids]
    contents = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.write_bytes(b"")
    return contents


@pytest.mark.parametrize(("readable", "message"), [(0, "none of 14 films"), (1, "only 1 of 14 films")])
def test_random_weights_without_films_for_their_statistics_leave_nothing_behind(
    squares: Path, tmp_path: Path, readable: int, message: str
) -> None:
    contents = damage(squares, *(f"SQ{index}_PA" for index in range(readable, 14)))
    with pytest.raises(InputError, match=rf"{message}.*SQ{readable}_PA"):
        extract(squares, tmp_path / "out" / "f.h5")
    assert not (tmp_path / "out").exists()
    for path, content in contents.items():
        path.write_bytes(content)
    extract(squares, tmp_path / "out" / "f.h5")
    extract(squares, tmp_path / "straight.h5")
    repaired, straight = (FeatureFile.open(tmp_path / name) for name in ("out/f.h5", "straight.h5"))
    assert repaired.encoder == straight.encoder
    assert np.array_equal(repaired.features, straight.features)


def test_one_film_is_enough_when_there_is_no_other(squares: Path, tmp_path: Path) -> None:
    films = films_of(read_reports(squares))[:1]
    assert extract_features(films, extraction(), tmp_path / "f.h5").films == 1


def test_features_that_are_not_finite_name_the_film(squares: Path, tmp_path: Path) -> None:
    extract(squares, tmp_path / "f.h5")
    weights = safetensors.numpy.load_file(weights_path(tmp_path / "f.h5"))
    weights["network.conv6._pointwise_conv.1.bias"][0] = np.inf
    safetensors.numpy.save_file(weights, tmp_path / "broken.safetensors")
    with pytest.raises(InputError, match=r"mobilenet_v1.* not finite.*SQ0_PA.*--weights"):
        extract(squares, tmp_path / "g.h5", weights=str(tmp_path / "broken.safetensors"))
    assert FeatureFile.open(tmp_path / "g.h5").image_ids == ()


def test_a_file_with_features_that_are_not_finite_is_not_usable(squares: Path, tmp_path: Path) -> None:
    extract(squares, tmp_path / "f.h5")
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        file["features"][3, 5] = np.inf
    with pytest.raises(InputError, match=r"not finite.*SQ3_PA"):
        FeatureFile.open(tmp_path / "f.h5").check_usable()


def test_features_of_another_encoder_are_refused(squares: Path, tmp_path: Path) -> None:
    extract(squares, tmp_path / "f.h5")
    features = FeatureFile.open(tmp_path / "f.h5")
    features.check_encoder(features.encoder.weights_sha256, Preprocessing(32, 32))
    with pytest.raises(InputError, match="another encoder"):
        features.check_encoder("0" * 64, Preprocessing(32, 32))
    with pytest.raises(InputError, match="preprocessing"):
        features.check_encoder(features.encoder.weights_sha256, Preprocessing(64, 64))


def test_weights_that_were_exchanged_beside_the_file_are_noticed(squares: Path, tmp_path: Path) -> None:
    extract(squares, tmp_path / "f.h5")
    weights_path(tmp_path / "f.h5").write_bytes(b"something else")
    with pytest.raises(InputError, match="not the encoder"):
        FeatureFile.open(tmp_path / "f.h5").check_weights()


def test_images_without_features_are_named(squares: Path, tmp_path: Path) -> None:
    extract(squares, tmp_path / "f.h5")
    features = FeatureFile.open(tmp_path / "f.h5")
    assert np.array_equal(features.rows_of(["SQ2_PA", "SQ0_PA"]), features.features[[2, 0]])
    with pytest.raises(InputError, match="OTHER_PA"):
        features.rows_of(["SQ0_PA", "OTHER_PA"])


def test_a_split_can_be_encoded_alone(squares: Path) -> None:
    corpus = read_reports(squares)
    assert len(films_of(corpus, "val")) == 4
    assert len(films_of(corpus)) == 14


@pytest.mark.parametrize("content", [b"", b"no HDF5"])
def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"f\.h5"):
        FeatureFile.open(path)


def test_a_bundle_s_encoder_gives_the_features_that_the_bundle_gives(tmp_path: Path) -> None:
    films = [(film.stem, film) for film in demo_films()]
    source = WeightsSource.parse(str(demo_bundle()))
    by_bundle = Extraction.of_bundle(Manifest.read(demo_bundle()), source)
    result = extract_features(films, by_bundle, tmp_path / "f.h5")
    features = FeatureFile.open(tmp_path / "f.h5")
    assert (result.films, features.encoder.backbone) == (6, "mobilenet_v1")
    assert features.encoder.weights == f"file:{sha256_of(demo_bundle() / 'encoder.onnx')}"
    with cxrscribe.load(demo_bundle()) as reporter:
        wanted = reporter.encode([film for _, film in films])
    np.testing.assert_allclose(features.features, wanted, rtol=1e-4, atol=1e-4)
