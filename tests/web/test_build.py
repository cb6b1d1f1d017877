"""What `make web` builds, and what of the page is tested without a browser."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from support.web_page import SOURCE, npm, npm_packages

MOST_BYTES = 5_500_000
"""Of the demo, as a host that compresses sends it, without WebGPU."""


@pytest.mark.parametrize("script", ["lint", "types", "test"])
def test_source(packages: Path, script: str) -> None:
    npm("run", "--silent", script)


def test_size_to_load(demo_page: Path) -> None:
    sent = [path for path in demo_page.iterdir() if path.name != "licences.txt"]
    assert {path.name for path in sent} >= {"index.html", "page.js", "worker.js", "model.onnx"}
    assert not [path.name for path in sent if "jsep" in path.name or "jspi" in path.name]
    sizes = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in sent}
    assert sum(sizes.values()) <= MOST_BYTES, sizes


def test_what_is_built_in_has_its_licence(demo_page: Path) -> None:
    text = (demo_page / "licences.txt").read_text(encoding="utf-8")
    named = set(re.findall(r"^(\S+) \d+\.\d+\.\d+\S*, (?:MIT|Apache-2.0|BSD-3-Clause|ISC)$", text, re.M))
    wanted = set(json.loads((SOURCE / "package.json").read_text(encoding="utf-8"))["dependencies"])
    assert named >= wanted


def test_versions_are_exact() -> None:
    description = json.loads((SOURCE / "package.json").read_text(encoding="utf-8"))
    for version in {**description["dependencies"], **description["devDependencies"]}.values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    npm_packages()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(AssertionError, match="has other files than a page's"):
        npm("run", "build", "--", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
