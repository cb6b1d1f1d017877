"""A small bundle, a few films, and the command line to try them with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cxrscribe.cli.main import main

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.png, b.jpg, nested/c.PNG, and two files that are no films."""
    folder = tmp_path_factory.mktemp("films")
    random = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "nested/c.PNG"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (60, 50), dtype=np.uint8)).save(path)
    (folder / "readme.txt").write_text("no film")
    (folder / ".hidden.png").write_bytes(b"no film")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `cxrscribe` with these arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)

    return invoke
