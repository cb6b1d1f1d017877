"""What a first report takes, beside another version: of packages that take what is known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import cxrscribe
from cxrscribe_bench.scripts.one_report import Taken, compared, main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no wait4")


def package(folder: Path, code: str) -> Path:
    (folder / "cxrscribe").mkdir(parents=True)
    (folder / "cxrscribe" / "__init__.py").touch()
    (folder / "cxrscribe" / "__main__.py").write_text(code, "utf-8")
    return folder


def test_ratios_are_those_of_each_round() -> None:
    now = [Taken(1.0, 2.0, 50.0), Taken(4.0, 2.0, 50.0), Taken(3.0, 2.0, 50.0)]
    before = [Taken(2.0, 1.0, 100.0), Taken(2.0, 1.0, 100.0), Taken(3.0, 1.0, 100.0)]
    found = compared(now, before)
    assert found["now_over_before"] == {"seconds": 1.0, "processor_seconds": 2.0, "peak_mb": 0.5}
    assert found["now"] == {"seconds": 3.0, "processor_seconds": 2.0, "peak_mb": 50.0}


def test_what_holds_less_has_the_lower_peak(tmp_path: Path) -> None:
    before = package(tmp_path / "before", "held = bytearray(b'x' * 400_000_000)\n")
    bytearray(b"x" * 500_000_000)  # what this process has held is no part of it
    done = CliRunner().invoke(main, ["--before", str(before), "--rounds", "1", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["before"]["peak_mb"] > 400 > found["now"]["peak_mb"]
    assert found["now_over_before"]["peak_mb"] < 1


def test_a_version_that_makes_none_is_an_error(tmp_path: Path) -> None:
    before = package(tmp_path / "before", "import sys\nsys.exit('no film was read')\n")
    done = CliRunner().invoke(main, ["--before", str(before), "--rounds", "1"])
    assert done.exit_code != 0
    assert "no film was read" in str(done.exception)


def test_it_isnt_compared_with_itself() -> None:
    done = CliRunner().invoke(main, ["--before", str(Path(cxrscribe.__file__).parents[1])])
    assert done.exit_code == 2
    assert "give another one" in done.output
