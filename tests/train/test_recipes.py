"""The recipes that train a model take up to an hour: here what they say is held to what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxrscribe.cli.main import main
from cxrscribe_train.fitting.config import TrainingConfig, build_config, read_overrides

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "train").glob("*-model/make.sh"))
SETTINGS = sorted((ROOT / "train").glob("*-model/*.toml"))


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def commands(script: Path) -> list[str]:
    """Calls of the command line, each in one line."""
    return re.findall(r"^ *cxrscribe .*$", script.read_text("utf-8").replace("\\\n", " "), re.MULTILINE)


def test_there_are_recipes() -> None:
    found = {script.parent.name for script in SCRIPTS}
    assert found == {"demo-model", "drawn-model", "edge-model", "real-text-model"}
    assert all(commands(script) for script in SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_can_read_it(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], capture_output=True, check=False).stderr == b""


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_every_option_is_one_of_its_command(script: Path) -> None:
    for command in commands(script):
        words = command.split()[1:3]
        called = words if words[0] == "corpus" else words[:1]
        text = CliRunner().invoke(main, [*called, "--help"], terminal_width=200).output
        known = set(re.findall(r"--[a-z0-9-]+", text))
        assert set(re.findall(r"(?<=[ {+])--[a-z-]+", command)) <= known, command


@pytest.mark.parametrize("settings", SETTINGS, ids=name)
def test_its_settings_are_settings(settings: Path) -> None:
    end_to_end, overrides = read_overrides(settings)
    assert end_to_end is not None
    config = build_config(overrides, end_to_end=end_to_end)
    assert config != TrainingConfig(end_to_end=end_to_end)
