"""`--out` under attack: two at once, kills, pipes, disks that fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from cxrscribe.cli import output_file
from cxrscribe.cli.output_file import OutputFile
from cxrscribe.cli.report_file import Existing, open_report_file
from cxrscribe.errors import InputError

HOLD = (
    "import sys; from pathlib import Path; from cxrscribe.cli.output_file import OutputFile\n"
    "file = OutputFile(Path(sys.argv[1]), may_exist=True); print('locked', flush=True); sys.stdin.read()"
)


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that has the file."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "reports.csv"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.mark.parametrize("existing", [Existing.RESUME, Existing.OVERWRITE])
def test_second_process_is_refused_until_the_first_is_killed(
    tmp_path: Path, holder: subprocess.Popen[str], existing: Existing
) -> None:
    path = tmp_path / "reports.csv"
    try:
        with pytest.raises(
            InputError, match=r"reports\.csv is being written by another process; wait for it"
        ):
            open_report_file(path, existing)
    finally:
        holder.kill()
        holder.communicate()
    with open_report_file(path, existing) as file:
        assert file.earlier == ()


def test_refused_process_leaves_the_rows_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    with open_report_file(path, Existing.REFUSE):
        content = path.read_bytes()
        for existing in Existing:
            with pytest.raises(InputError, match=r"exists|another process"):
                open_report_file(path, existing)
        assert path.read_bytes() == content


def test_file_system_without_locks_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl", reason="another kind of lock")

    def no_locks(_number: int, _how: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with OutputFile(tmp_path / "a.csv", may_exist=False) as file:
        file.write(b"row")
    assert (tmp_path / "a.csv").read_bytes() == b"row"


@pytest.mark.skipif("os.name != 'posix'", reason="needs named pipes")
def test_pipe_is_no_file_and_nobody_waits_for_its_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "reports.csv")
    for existing in (Existing.RESUME, Existing.OVERWRITE):
        with pytest.raises(InputError, match="is a pipe"):
            open_report_file(tmp_path / "reports.csv", existing)


@pytest.mark.skipif("os.name != 'posix'", reason="elsewhere not everybody may make links")
def test_link_to_nowhere_is_said(tmp_path: Path) -> None:
    (tmp_path / "reports.csv").symlink_to(tmp_path / "none" / "reports.csv")
    with pytest.raises(InputError, match="can't be written"):
        open_report_file(tmp_path / "reports.csv", Existing.OVERWRITE)


def test_rows_are_put_on_the_disk_by_time_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    has_come = Event()
    path = tmp_path / "reports.csv"
    monkeypatch.setattr(output_file, "SYNC_SECONDS", 0.0)
    monkeypatch.setattr(output_file, "_sync_folder", lambda folder: None)

    def sync(_number: int) -> None:
        synced.append(path.read_bytes())
        has_come.set()

    monkeypatch.setattr(output_file.os, "fsync", sync)
    with OutputFile(path, may_exist=False) as file:
        file.write(b"one ")
        assert has_come.wait(120)
        assert synced[-1] == b"one "
        file.write(b"two")
    assert synced[-1] == b"one two"


def test_disk_that_loses_what_it_took_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_number: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(output_file.os, "fsync", fails)
    file = OutputFile(tmp_path / "reports.csv", may_exist=False)
    file.write(b"row")
    with pytest.raises(InputError, match=r"can't be written \(Input/output error\)"):
        file.close()
