"""The container's steps without a container engine: built into a folder, run as its last stage says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

import cxrscribe
from support.deploy_files import DEPLOY, Containerfile

CHECKOUT = DEPLOY.parents[1]
FOLDER = "/opt/cxrscribe"
READ_ONLY = (
    "mount --make-rprivate / && mount -o remount,bind,ro / && mount -o bind,ro {folder} {folder} && exec "
)
NOBODY = "setpriv --reuid {user} --regid {group} --clear-groups --bounding-set=-all --no-new-privs "

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="containers are Linux"),
    pytest.mark.skipif(os.environ.get("DEPLOY_TOOLS") is None, reason="`make test-deploy` runs it"),
]


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """What the first stage makes, where everybody can read it."""
    with tempfile.TemporaryDirectory(prefix="cxrscribe-image-") as folder:
        Path(folder).chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        subprocess.run(
            ["sh", DEPLOY / "build.sh", CHECKOUT, folder],
            env={**environment, "PYTHON": sys.executable},
            stdout=sys.stderr,
            check=True,
        )
        yield Path(folder)


def files_of(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_size for path in folder.rglob("*")}


def open_to_all(program: Path) -> bool:
    """Whether any user may run it, and Python's own files beside it."""
    real = program.resolve()
    return real.exists() and all(folder.stat().st_mode & 0o001 for folder in (real, *real.parents))


def inside(folder: Path, words: list[str]) -> tuple[list[str], dict[str, str]]:
    """How to run a command of the Containerfile: as nobody, on a read-only root, where that may be done."""
    stage = Containerfile()
    environment = {name: value.replace(FOLDER, str(folder)) for name, value in stage.environment.items()}
    system = Path("/usr/bin") / f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = next((program for program in (Path(sys.executable), system) if open_to_all(program)), None)
    command = [
        str(python or sys.executable) if word == "python" else word.replace("8766", "0") for word in words
    ]
    user, _, group = stage.of("USER").partition(":")
    if python is not None and may_leave_root():
        ways = READ_ONLY.format(folder=folder) + NOBODY.format(user=user, group=group) + '"$@"'
        command = ["unshare", "--mount", "sh", "-c", ways, "sh", *command]
    return command, {"PATH": os.defpath, **environment}


def may_leave_root() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        return False
    alone = "mount --make-rprivate / && mount -o remount,bind,ro /"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", alone], capture_output=True, check=False)
    return done.returncode == 0


def test_it_answers_as_nobody_on_a_read_only_root(image: Path) -> None:
    before = files_of(image)
    film = cxrscribe.demo_films()[0].read_bytes()
    command, environment = inside(image, [*Containerfile().entry_point, "--json"])
    process = subprocess.Popen(
        command, env=environment, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        address = json.loads(line)["url"].replace("0.0.0.0", "127.0.0.1")
        with urlopen(Request(f"{address}/v1/report", film), timeout=60) as response:
            answer = json.load(response)
        with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu") as reporter:
            assert answer["text"] == reporter.report(film).text
        health, its_environment = inside(image, Containerfile().health_check)
        port = address.rpartition(":")[2]
        health = [word.replace("127.0.0.1:0", f"127.0.0.1:{port}") for word in health]
        assert subprocess.run(health, env=its_environment, check=False).returncode == 0
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, log
    assert "cache" not in log  # a cache that isn't used says so
    assert files_of(image) == before
    assert subprocess.run(health, env=its_environment, check=False, capture_output=True).returncode != 0


def test_it_holds_no_installer_and_no_second_engine(image: Path) -> None:
    packages = image / "packages"
    assert not (packages / "pip").exists()
    assert not list(packages.glob("onnxruntime/capi/libonnxruntime.so*"))
    assert list(packages.glob("cxrscribe/__pycache__/*.pyc"))
    assert list((image / "cache").glob("*.graph"))
