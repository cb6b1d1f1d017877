from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxrscribe
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import InputError
from cxrscribe_bench.material.films import check_features, film_files, write_features
from cxrscribe_train.feature_file import FeatureFile
from support.small_bundle import SmallBundle

MANIFEST = Manifest.read(cxrscribe.demo_bundle())


def test_films_are_drawn_once_where_none_are_given(tmp_path: Path) -> None:
    films, unread = film_files((), 2, tmp_path / "films", MANIFEST.preprocessing)
    assert unread == ()
    with Image.open(films[1]) as film:
        assert (film.format, film.size, film.mode) == ("PNG", (512, 512), "L")
    assert films[0].read_bytes() != films[1].read_bytes()
    times = [film.stat().st_mtime_ns for film in films]
    again, _ = film_files((), 2, tmp_path / "films", MANIFEST.preprocessing)
    assert [film.stat().st_mtime_ns for film in again] == times


def test_bad_films_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a film")
    film = Image.fromarray(np.arange(1600, dtype=np.uint16).astype(np.uint8).reshape(40, 40))
    for name in ("b.png", "c.png", "d.png"):
        film.save(tmp_path / name)
    films, unread = film_files((str(tmp_path),), 2, tmp_path / "drawn", MANIFEST.preprocessing)
    assert [film.name for film in films] == ["b.png", "c.png"]
    assert len(unread) == 1
    assert "a.png" in unread[0]
    with pytest.raises(InputError, match=r"none of the films can be read, the first one is .*a\.png"):
        film_files((str(tmp_path / "a.png"),), 2, tmp_path, MANIFEST.preprocessing)


def test_features_are_those_of_the_runtime_in_a_file_that_others_read(tmp_path: Path) -> None:
    films = list(map(Path, cxrscribe.demo_films()[:2]))
    features = write_features(cxrscribe.demo_bundle(), films, tmp_path / "features.h5", threads=1)
    assert check_features(tmp_path / "features.h5", MANIFEST) == 2
    np.testing.assert_array_equal(FeatureFile.open(tmp_path / "features.h5").features, features)


def test_features_of_another_size_are_refused(tmp_path: Path) -> None:
    write_features(cxrscribe.demo_bundle(), [Path(cxrscribe.demo_films()[0])], tmp_path / "f.h5", threads=1)
    other = Manifest.read(SmallBundle(features=6).write(tmp_path / "bundle"))
    with pytest.raises(InputError, match=r"f\.h5 has rows of \d+ features, the bundle takes 6"):
        check_features(tmp_path / "f.h5", other)
