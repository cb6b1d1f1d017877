"""The trial of the one program: the package passes for one, one that says something else doesn't."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxrscribe.version import __version__
from cxrscribe_bench.scripts.one_program import main

pytest.importorskip("uvicorn", reason="needs the extra serve")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")


def program(folder: Path, code: str) -> Path:
    path = folder / "cxrscribe"
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    return path


def test_the_package_passes(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, [str(program(tmp_path, "from cxrscribe.__main__ import start; start()"))]
    )
    assert result.exit_code == 0, result.output
    assert "ready to serve in" in result.output


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('cxrscribe 0.0')", "says cxrscribe 0.0"),
        (
            """import sys; print("cxrscribe " + VERSION if "--version" in sys.argv else '{"text": ""}')""",
            "writes other reports",
        ),
    ],
)
def test_another_program_fails(tmp_path: Path, code: str, why: str) -> None:
    result = CliRunner().invoke(main, [str(program(tmp_path, f"VERSION = {__version__!r}\n{code}"))])
    assert result.exit_code == 1
    assert why in result.output
