"""The example for Node, installed once for all tests."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.kept_folder import kept_folder
from support.skips import skip_or_fail

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NODE = EXAMPLES / "node"


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node example set up as its README says, kept for the next run of the tests."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            skip_or_fail(f"no {program} on this machine, which the example for Node runs on")
    root = kept_folder("node-and-javascript", tmp_path_factory)
    folder = root / "node"
    folder.mkdir(exist_ok=True)
    shutil.copytree(  # which the example reads films with
        EXAMPLES / "javascript", root / "javascript", dirs_exist_ok=True
    )
    wanted = json.loads((NODE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    installed = folder / "node_modules" / "onnxruntime-node" / "package.json"
    version = json.loads(installed.read_text(encoding="utf-8"))["version"] if installed.is_file() else None
    for old in folder.glob("*.mjs"):
        old.unlink()
    for file in NODE.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    # Set up before, or by a version of this that left all platforms in: pruning again does no harm.
    steps = ["run", "setup"] if version != wanted["onnxruntime-node"] else ["exec", "--", "node", "prune.mjs"]
    done = subprocess.run(
        [shutil.which("npm") or "npm", *steps], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def codecs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The codecs of JPEG 2000 and JPEG-LS that the browser's page brings, kept for the next run."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            skip_or_fail(f"no {program} on this machine, which the codecs of films run on")
    folder = kept_folder("film-codecs", tmp_path_factory)
    page = json.loads((EXAMPLES / "web" / "package.json").read_text(encoding="utf-8"))
    wanted = {name: v for name, v in page["dependencies"].items() if name.startswith("@cornerstonejs/")}
    assert wanted
    content = json.dumps({"private": True, "dependencies": wanted})
    package = folder / "package.json"
    if not (folder / "node_modules").is_dir() or package.read_text(encoding="utf-8") != content:
        package.write_text(content, encoding="utf-8")
        command = [shutil.which("npm") or "npm", "install", "--ignore-scripts", "--no-package-lock"]
        done = subprocess.run(
            [*command, "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return folder
