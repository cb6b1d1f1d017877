"""What a run's place promises: a file is made once, whole, by one of all who try."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cxrscribe.archive import begin_run
from cxrscribe.archive.places.folder import Folder
from cxrscribe.archive.places.place import is_unfinished
from cxrscribe.errors import InputError
from cxrscribe.reporter import Reporter

RACER = """
import sys
from cxrscribe.archive.places.folder import Folder
place = Folder(sys.argv[1])
sys.stdin.readline()
for number in range(50):
    print(int(place.create(f"parts/{number}", sys.argv[2].encode() * 5000)), end="")
"""


def refuse_links(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)


def leftovers(path: Path) -> list[Path]:
    return [found for found in path.rglob("*") if is_unfinished(found.name)]


def test_file_is_made_once(tmp_path: Path) -> None:
    place = Folder(tmp_path / "run")
    assert place.create("parts/000/a", b"first") is True
    assert place.create("parts/000/a", b"second") is False
    assert place.read("parts/000/a") == b"first"
    assert leftovers(tmp_path) == []


def test_files_and_folders_are_the_owners_alone(tmp_path: Path) -> None:
    place = Folder(tmp_path / "run")
    place.create("parts/000/a", b"")
    place.replace("progress.prom", b"")
    place.append("events/a.jsonl", b"line\n")
    for path in [tmp_path / "run", *(tmp_path / "run").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_of_eight_threads_one_makes_the_file(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            contents = [bytes([racer]) * 10_000 for racer in range(8)]
            made = list(pool.map(lambda content: Folder(tmp_path).create(f"{number}", content), contents))  # noqa: B023
            assert sum(made) == 1
            assert place.read(f"{number}") == contents[made.index(True)]
    assert leftovers(tmp_path) == []


def test_of_eight_processes_one_makes_each_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACER, str(tmp_path)]
    racers = [
        subprocess.Popen([*command, str(racer)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for racer in range(8)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    made = [racer.communicate()[0] for racer in racers]
    for number in range(50):
        winners = [racer for racer, each in enumerate(made) if each[number] == "1"]
        assert len(winners) == 1
        assert Folder(tmp_path).read(f"parts/{number}") == str(winners[0]).encode() * 5000


def test_without_hard_links_a_rename_spares_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux has a rename that spares what is there")
    refuse_links(monkeypatch, errno.EPERM)
    place = Folder(tmp_path)
    assert [place.create("a", b"first"), place.create("a", b"second")] == [True, False]
    assert place.read("a") == b"first"
    assert leftovers(tmp_path) == []
    place.probe()


def test_place_without_either_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_links(monkeypatch, errno.EPERM)
    monkeypatch.setattr(sys, "platform", "other")
    with pytest.raises(InputError, match="no hard links there"):
        Folder(tmp_path).probe()
    assert leftovers(tmp_path) == []


def test_place_that_lets_both_of_two_makers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", lambda source, target: Path(source).replace(target))
    with pytest.raises(InputError, match="lets two writers make the same file"):
        Folder(tmp_path).probe()


def test_own_link_whose_answer_was_lost_counts_as_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link(source: Path, target: Path) -> None:
        real(source, target)
        raise FileExistsError  # what a server says to the repetition

    monkeypatch.setattr(os, "link", link)
    assert Folder(tmp_path).create("a", b"mine") is True
    assert leftovers(tmp_path) == []


FILLED = """
import resource, signal, sys
from cxrscribe.archive.places.folder import Folder
from cxrscribe.errors import InputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Folder(sys.argv[1]).create("parts/a", bytes(2000))
except InputError as error:
    print(error)
"""


def test_disk_that_is_full_leaves_nothing_and_is_named(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="file sizes can't be limited here")
    done = subprocess.run(
        [sys.executable, "-c", FILLED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert f"{tmp_path / 'parts' / 'a'} can't be written" in done.stdout
    assert "what is committed stays" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("killed_at", ["fsync", "link", "unlink"])
def test_whoever_dies_in_the_middle_leaves_the_whole_file_or_none(tmp_path: Path, killed_at: str) -> None:
    script = (
        "import os, signal, sys\nfrom cxrscribe.archive.places.folder import Folder\n"
        "place = Folder(sys.argv[1])\n"
        f"real = os.{killed_at}\n"
        f"os.{killed_at} = lambda *a, **k: (os.kill(os.getpid(), signal.SIGKILL), real(*a, **k))\n"
        "place.create('a', b'x' * 100_000)\n"
    )
    place = Folder(tmp_path)
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert place.has("a") is (killed_at == "unlink")
    assert len(leftovers(tmp_path)) == 1
    assert place.create("a", b"x" * 100_000) is (killed_at != "unlink")
    assert place.read("a") == b"x" * 100_000


def test_unfinished_files_go_after_a_day(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    old = tmp_path / "parts" / ".tmp-0123456789abcdef"
    new = tmp_path / "parts" / ".tmp-fedcba9876543210"
    others = [tmp_path / ".tmp-precious", tmp_path / "mine" / ".tmp-0123456789abcdef"]
    for path in (old, new, *others):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        if path != new:
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 90_000))
    assert place.sweep(["parts", "plan"]) == 1
    assert sorted(leftovers(tmp_path)) == sorted([new, *others])


def test_nothing_is_swept_where_no_run_is(tmp_path: Path, reporter: Reporter) -> None:
    precious = tmp_path / ".tmp-0123456789abcdef"
    precious.write_bytes(b"")
    os.utime(precious, (0, 0))
    with pytest.raises(InputError, match="no such file or folder"):
        begin_run(tmp_path, ["nothing-of-this-name"], reporter, reporter.settings)
    assert precious.exists()


def test_reader_of_a_file_that_is_written_again_sees_a_whole_one(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    place.replace("progress.prom", b"1" * 1000)
    place.replace("progress.prom", b"2" * 1000)
    assert place.read("progress.prom") == b"2" * 1000
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("ask", [Folder.read, Folder.modified, lambda place, name: place.head(name, 3)])
def test_file_that_is_missing_is_named(tmp_path: Path, ask: Callable[[Folder, str], object]) -> None:
    with pytest.raises(InputError, match=r"nothing can't be read \(No such file"):
        ask(Folder(tmp_path), "nothing")


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such pipes")
@pytest.mark.parametrize(
    "ask",
    [
        Folder.read,
        lambda place, name: place.head(name, 10),
        lambda place, name: place.append(name, b"line"),
    ],
)
def test_pipe_in_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, ask: Callable[[Folder, str], object]
) -> None:
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(InputError, match=r"run\.json can't be"):
        ask(Folder(tmp_path), "run.json")
