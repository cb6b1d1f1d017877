"""Which films an export is tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_export.parity.held_out import HeldOut, hold_out
from cxrscribe_train.corpus.table import Corpus, CorpusRow
from cxrscribe_train.feature_file import EncoderIdentity, FeatureFile
from cxrscribe_train.features import encode_batch
from support.random_networks import SIDE, Exported, random_films

PREPROCESSING = Preprocessing(SIDE, SIDE)


def corpus_of(root: Path, *splits: str) -> Corpus:
    """One film a study; every film has pixels of its own."""
    rows = []
    for number, (split, film) in enumerate(zip(splits, random_films(len(splits)), strict=True)):
        Image.fromarray(film).save(root / f"{number}.png")
        rows.append(CorpusRow(f"S{number}", f"S{number}_PA", f"{number}.png", "", "", "", "", "", split))
    return Corpus(root, tuple(rows))


def feature_file(corpus: Corpus, without: str = "") -> FeatureFile:
    image_ids = tuple(row.image_id for row in corpus.rows if row.image_id != without)
    features = np.arange(len(image_ids) * 256, dtype=np.float32).reshape(-1, 256)
    identity = EncoderIdentity("mobilenet_v1", {"scale": 0.25}, "random:7", "0" * 64, PREPROCESSING)
    return FeatureFile(corpus.root / "features.h5", identity, image_ids, features, complete=True)


def hold(
    exported: Exported,
    corpus: Corpus,
    count: int,
    features: FeatureFile | None = None,
    trained_on: Iterable[str] = (),
    advance: Callable[[int], None] = lambda films: None,
) -> HeldOut:
    encoder = exported.model.encoder
    return hold_out(corpus, frozenset(trained_on), encoder, PREPROCESSING, count, features, advance)


def test_the_test_split_is_enough_if_it_is_large_enough(exported: Exported, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, "train", "test", "val", "test", "test")
    found = hold(exported, corpus, 2)
    assert found.split == "test"
    assert found.names == ("test[0]", "test[1]")
    np.testing.assert_array_equal(found.films, random_films(5)[[1, 3]])
    np.testing.assert_array_equal(found.features, encode_batch(exported.model.encoder, found.films))


def test_the_validation_split_helps_out_and_training_never(exported: Exported, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, "train", "test", "val", "")
    found = hold(exported, corpus, 2)
    assert found.split == "val+test"
    assert sorted(found.names) == ["test[0]", "val[0]"]
    with pytest.raises(InputError, match=r"2 usable films in val\+test.*tried on 3"):
        hold(exported, corpus, 3)


def test_films_that_training_has_seen_are_refused_in_either_split(exported: Exported, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, "train", "test", "val", "test")
    assert hold(exported, corpus, 2, trained_on=["S0", "S2"]).split == "test"
    with pytest.raises(InputError, match=r"1 studies of val\+test in .* were trained on"):
        hold(exported, corpus, 3, trained_on=["S0", "S2"])
    with pytest.raises(InputError, match=r"1 studies of test in .* were trained on"):
        hold(exported, corpus, 1, trained_on=["S3"])


def test_a_damaged_film_gives_its_place_to_the_next(exported: Exported, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, "test", "test", "test")
    (tmp_path / "1.png").write_bytes(b"not a film")
    for features in (None, feature_file(corpus)):
        found = hold(exported, corpus, 2, features)
        assert found.names == ("test[0]", "test[2]")
        np.testing.assert_array_equal(found.films, random_films(3)[[0, 2]])


def test_no_image_id_is_recorded(exported: Exported, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, "test", "test")
    found = hold(exported, corpus, 2)
    assert not [name for name in found.names for row in corpus.rows if row.study_id in name]


def test_features_made_before_save_the_encoding(exported: Exported, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, "train", "test", "test", "test")
    known = feature_file(corpus, without="S1_PA")
    found = hold(exported, corpus, 2, known)
    assert found.names == ("test[1]", "test[2]")
    np.testing.assert_array_equal(found.features, known.features[[1, 2]])
    np.testing.assert_array_equal(found.films, random_films(4)[[2, 3]])


def test_films_and_features_of_several_batches_are_all_kept(exported: Exported, tmp_path: Path) -> None:
    done: list[int] = []
    corpus = corpus_of(tmp_path, *["test"] * 20)
    found = hold(exported, corpus, 19, advance=done.append)
    np.testing.assert_array_equal(found.films, random_films(20)[:19])
    assert found.features.shape == (19, 256)
    assert done == [16, 3]
