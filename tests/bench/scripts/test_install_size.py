"""Files are counted once, by what they are."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from cxrscribe_bench.scripts.install_size import main


def test_each_distribution_has_its_files(tmp_path: Path) -> None:
    files = {"one.so.1": 3000, "one/a.py": 200, "one/b.txt": 10, "one/__pycache__/a.pyc": 5000}
    for name, size in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    info = tmp_path / "one-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: One\nVersion: 1\n")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in [*files, "gone.py"]))
    result = CliRunner().invoke(main, [str(tmp_path), "--json"], catch_exceptions=False)
    assert json.loads(result.stdout) == {"one": {"native": 3000, "python": 200, "other": 10}}
    assert "one" in CliRunner().invoke(main, [str(tmp_path)], catch_exceptions=False).stdout


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 1
    assert "nothing is installed" in result.output
