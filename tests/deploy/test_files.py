"""The files of examples/deploy: linters find nothing, and the program takes what they give it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from cxrscribe.cli.serve import serve
from support.deploy_files import DEPLOY, Containerfile, after_serve
from support.skips import skip_or_fail


def program(name: str) -> str:
    """A linter: of $DEPLOY_TOOLS, a folder, or of the path."""
    found = shutil.which(name, path=os.environ.get("DEPLOY_TOOLS", "")) or shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}; `make test-deploy` brings it")
    return found


def passes(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def arguments_of_unit() -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.*)$", (DEPLOY / "cxrscribe.service").read_text(), re.M)
    return after_serve(shlex.split(line))


def arguments_of_kubernetes() -> list[str]:
    (line,) = re.findall(r"^ +args: \[(.*)\]$", (DEPLOY / "kubernetes.yaml").read_text(), re.M)
    return [word.strip().strip('"') for word in line.split(",")]


def arguments_of_container() -> list[str]:
    return after_serve(Containerfile().entry_point)


@pytest.mark.parametrize(
    "arguments", [arguments_of_unit(), arguments_of_container() + arguments_of_kubernetes()]
)
def test_the_program_takes_what_they_give(arguments: list[str]) -> None:
    context = serve.make_context("serve", arguments)
    assert context.params["port"] == 8766


def test_they_agree_on_the_port() -> None:
    text = (DEPLOY / "kubernetes.yaml").read_text()
    assert re.findall(r"containerPort: (\d+)", text) == [Containerfile().of("EXPOSE")] == ["8766"]
    assert "127.0.0.1:8766/health/ready" in " ".join(Containerfile().health_check)


def test_the_time_to_stop_is_longer_than_the_grace() -> None:
    unit = (DEPLOY / "cxrscribe.service").read_text()
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.M)
    assert int(seconds) > serve.make_context("serve", arguments_of_unit()).params["grace"]
    text = (DEPLOY / "kubernetes.yaml").read_text()
    (seconds,), (wait,) = (
        re.findall(pattern, text)
        for pattern in (r"terminationGracePeriodSeconds: (\d+)", r"time\.sleep\((\d+)\)")
    )
    context: click.Context = serve.make_context("serve", arguments_of_kubernetes())
    assert int(seconds) > context.params["grace"] + int(wait)


def test_the_container_is_nobody() -> None:
    user, _, group = Containerfile().of("USER").partition(":")
    assert int(user) == int(group) > 1000
    assert f"runAsUser: {user}" in (DEPLOY / "kubernetes.yaml").read_text()


def test_containerfile_has_no_fault() -> None:
    passes(program("hadolint"), DEPLOY / "Containerfile")


def test_kubernetes_knows_every_field() -> None:
    passes(program("kubernetes-validate"), "--strict", DEPLOY / "kubernetes.yaml")


@pytest.mark.parametrize("script", ["build.sh"])
def test_shell_has_no_fault(script: str) -> None:
    passes(shutil.which("sh") or "sh", "-n", DEPLOY / script)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze")
    text = (DEPLOY / "cxrscribe.service").read_text()
    unit = tmp_path / "cxrscribe.service"
    unit.write_text(text.replace("/opt/cxrscribe/bin/cxrscribe", "/bin/true"))  # it has to be there
    passes(analyze, "verify", unit)
    offline = [analyze, "security", "--offline=true", "--threshold=20", str(unit)]
    if "--offline" in subprocess.run([analyze, "--help"], capture_output=True, text=True, check=True).stdout:
        passes(*offline)  # 2.0 of 10 at most
    elif os.environ.get("CI") == "true":
        skip_or_fail("systemd-analyze is too old to judge a unit that isn't installed")
