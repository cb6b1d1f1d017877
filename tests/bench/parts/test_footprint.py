"""What the runtime costs beside its work."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import cxrscribe
from cxrscribe_bench.parts import footprint
from cxrscribe_bench.parts.footprint import install_bytes, startup_measurements


def test_every_sample_of_every_start_is_kept(small_bundle: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)).save(film)
    found = {each.name: each for each in startup_measurements(small_bundle, film, rounds=2)}
    starts = ("off", "cold", "warm")
    names = [f"{start} {point}" for start in starts for point in ("import", "load", "report")]
    assert list(found) == ["empty python", *names]
    for name, each in found.items():
        assert each.group == "startup"
        assert name == f"{each.labels['start']} {each.labels['point']}"
        assert len(each.seconds) == 2
    for start in starts:
        moments = [found[f"{start} {point}"] for point in ("import", "load", "report")]
        assert list(zip(*(each.seconds for each in moments), strict=True)) == [
            tuple(sorted(seconds)) for seconds in zip(*(each.seconds for each in moments), strict=True)
        ]
        peaks = [each.peak_bytes or 0 for each in moments]
        assert 0 < peaks[0] <= peaks[1] <= peaks[2]


def test_installation_is_the_runtime_and_what_it_requires() -> None:
    sizes = install_bytes()
    assert {"cxrscribe", "numpy", "pillow", "click"} <= set(sizes)
    assert {"onnxruntime", "onnxruntime-gpu"} & set(sizes)
    assert not {"paddlepaddle", "onnx", "h5py", "pytest", "torch"} & set(sizes)
    assert all(size > 0 for size in sizes.values())
    package = Path(cxrscribe.__file__).parent
    files = (file for file in package.rglob("*") if file.is_file() and file.suffix != ".pyc")
    assert sizes["cxrscribe"] == sum(file.stat().st_size for file in files)


def test_requirements_are_followed_where_they_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"x" * 10)
    (tmp_path / "a.pyc").write_bytes(b"x" * 100)
    requires = {
        "cxrscribe": ["one>=1", "Two.Named; extra == 'cpu'", "three; extra == 'train'"],
        "one": ["four; python_version < '3'", "one", "two-named"],
        "two-named": ["gone"],
    }

    def installed(name: str) -> Mock:
        if name not in requires:
            raise PackageNotFoundError(name)
        files = [Mock(locate=Mock(return_value=tmp_path / file)) for file in ("a.py", "a.pyc", "missing")]
        return Mock(requires=requires[name], files=files)

    monkeypatch.setattr(footprint, "distribution", installed)
    sizes = install_bytes()
    assert list(sizes) == ["cxrscribe", "one", "two-named"]
    assert sizes["one"] == sizes["two-named"] == 10
