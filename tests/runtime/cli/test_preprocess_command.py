"""`cxrscribe preprocess`."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from cxrscribe.bundle.manifest import Manifest
from cxrscribe.cli.preprocess import to_pgm

Run = Callable[..., Result]


def test_pgm_holds_the_pixels_and_nothing_else() -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert to_pgm(pixels) == b"P5\n3 2\n255\n\0\1\2\3\4\5"
    assert to_pgm(pixels[:, ::-1]) == b"P5\n3 2\n255\n\2\1\0\5\4\3"


def test_file_is_what_the_encoder_reads(run: Run, small_bundle: Path, films: Path) -> None:
    result = run("preprocess", films / "a.png", "--out", "a.pgm", "--bundle", small_bundle)
    assert (result.exit_code, result.stdout) == (0, "")
    expected = Manifest.read(small_bundle).preprocessing.read(films / "a.png")
    with Image.open("a.pgm") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), expected)


def test_dash_writes_to_stdout(run: Run, small_bundle: Path, films: Path) -> None:
    run("preprocess", films / "a.png", "--out", "a.pgm", "--bundle", small_bundle)
    result = run("preprocess", films / "a.png", "--out", "-", "--bundle", small_bundle)
    assert result.stdout_bytes == Path("a.pgm").read_bytes()
    assert Image.open(BytesIO(result.stdout_bytes)).size == (32, 24)


def test_without_bundle_the_demo_bundle_is_used_and_named(
    run: Run, small_bundle: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxrscribe.embedded.demo_bundle", lambda: small_bundle)
    result = run("preprocess", films / "a.png", "--out", "a.pgm")
    assert result.exit_code == 0
    assert "embedded demo bundle" in result.stderr


@pytest.mark.parametrize(
    ("film", "out", "message"),
    [
        ("none.png", "a.pgm", "none.png: file does not exist"),
        ("a.png", "a.png", "give a name in .pgm"),
        ("a.png", "no/such/a.pgm", "can't be written"),
    ],
)
def test_failure_is_exit_code_2_and_leaves_no_file(
    run: Run, small_bundle: Path, films: Path, film: str, out: str, message: str
) -> None:
    result = run("preprocess", films / film, "--out", out, "--bundle", small_bundle)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path(out).exists()
