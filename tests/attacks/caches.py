"""Attacks by what lies in the folder of optimized graphs, and by who may write to it."""

from __future__ import annotations

import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from attacks.attack import Attack, FaultError, bind_socket, unharmed, words
from cxrscribe.sessions.cache_record import GRAPH_NAME, RECORD_NAME, WEIGHTS_NAME, CachedFile
from support.small_bundle import SmallBundle

KIND = SmallBundle(hidden=40)
_FORGED = SmallBundle(hidden=40, seed=5)
NOBODY = 54321
"""Number of a user and of a group that nobody has."""
Trouble = Callable[[Path], object]


def entries(folder: Path) -> list[Path]:
    """Of a cache, by the name of the graph that each was made from."""
    return sorted(folder.glob("*.graph"), key=_graph)


def _graph(entry: Path) -> str:
    return str(json.loads((entry / RECORD_NAME).read_text())["sources"][0]["path"])


@cache
def _filled(kind: SmallBundle) -> Path:
    folder = Path(tempfile.mkdtemp())
    words(kind.write(folder / "bundle"), cache=folder / "cache")
    return folder


def forged(folder: Path) -> tuple[Path, Path]:
    """A bundle, and a cache with entries for it that somebody else has made: other words, right checksums."""
    shutil.copytree(_filled(KIND) / "bundle", folder / "bundle")
    made = folder / "way" / "cache"
    shutil.copytree(_filled(KIND) / "cache", made)
    for entry, other in zip(entries(made), entries(_filled(_FORGED) / "cache"), strict=True):
        files = []
        for name in (GRAPH_NAME, WEIGHTS_NAME):
            if (other / name).exists():
                shutil.copy(other / name, entry / name)
                files.append(CachedFile.describe(entry / name).to_json())
        record = json.loads((entry / RECORD_NAME).read_text())
        (entry / RECORD_NAME).write_text(json.dumps({**record, "files": files}))
    for path in (folder / "way", made, *entries(made)):
        path.chmod(0o700)
    return folder / "bundle", made


def _foreign(name: str, trouble: Trouble) -> Attack:
    """A forged cache that others could have written to: what is in it may not be used."""

    def attempt(folder: Path) -> None:
        bundle, made = forged(folder)
        trouble(made)
        unharmed(bundle, KIND, cache=made)

    return Attack(name, attempt)


def _by_root(name: str, trouble: Trouble) -> Attack:
    def as_root(made: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give files away")
        trouble(made)

    return _foreign(name, as_root)


def _each(change: Callable[[Path], object], name: str = "") -> Trouble:
    return lambda made: [change(entry / name) for entry in entries(made)]


def _give_away(path: Path) -> None:
    os.chown(path, NOBODY, -1, follow_symlinks=False)


def _to_group(path: Path) -> None:
    os.chown(path, -1, NOBODY)
    path.chmod(0o770)


def _to_listed_user(path: Path) -> None:
    """Rights for one user more, in a list of which the plain bits show only the most that it gives."""
    if not hasattr(os, "setxattr"):
        pytest.skip("needs Linux's access lists")
    nothing = 0xFFFFFFFF
    rights = ((1, 7, nothing), (2, 7, NOBODY), (4, 0, nothing), (16, 7, nothing), (32, 0, nothing))
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in rights)
    try:
        os.setxattr(path, "system.posix_acl_access", value)
    except OSError:
        pytest.skip("this file system has no access lists")


def _behind_a_foreign_link(made: Path) -> None:
    """The way leads over a link that its owner can turn elsewhere."""
    elsewhere = made.parent.rename(made.parent.with_name("elsewhere"))
    made.parent.symlink_to(elsewhere)
    _give_away(made.parent)


def _behind_a_link_into_a_foreign_folder(made: Path) -> None:
    elsewhere = made.parent.with_name("elsewhere")
    elsewhere.mkdir()
    made.rename(elsewhere / "cache")
    elsewhere.chmod(0o777)
    made.symlink_to(elsewhere / "cache")


FOREIGN = (
    _foreign("folder that everyone may write to", lambda made: made.chmod(0o777)),
    _foreign("folder that everyone may write to, sticky", lambda made: made.chmod(0o1777)),
    _by_root("folder of a group", _to_group),
    _by_root("folder of another user", _give_away),
    _foreign("folder with an access list", _to_listed_user),
    _foreign("way that everyone may write to", lambda made: made.parent.chmod(0o777)),
    _by_root("way of a group", lambda made: _to_group(made.parent)),
    _by_root("way of another user", lambda made: _give_away(made.parent)),
    _by_root("way over another user's link", _behind_a_foreign_link),
    _foreign("way over a link into a folder of everyone", _behind_a_link_into_a_foreign_folder),
    _by_root("entries of another user", _each(_give_away)),
    _foreign("entries that everyone may write to", _each(lambda path: path.chmod(0o777))),
    _by_root("records of another user", _each(_give_away, RECORD_NAME)),
    _by_root("graphs of another user", _each(_give_away, GRAPH_NAME)),
    _foreign("graphs that everyone may write to", _each(lambda path: path.chmod(0o666), GRAPH_NAME)),
    _by_root("graphs of a group", _each(_to_group, GRAPH_NAME)),
)


def _odd(name: str, trouble: Trouble) -> Attack:
    """Something that is no entry, or no file, in the place of one: the right words, without a wait."""

    def attempt(folder: Path) -> None:
        shutil.copytree(_filled(KIND), folder, dirs_exist_ok=True)
        trouble(folder / "cache")
        unharmed(folder / "bundle", KIND, cache=folder / "cache")
        if name.startswith("entries"):
            unharmed(folder / "bundle", KIND, cache=folder / "cache")
            if not all((entry / GRAPH_NAME).is_file() for entry in entries(folder / "cache")):
                raise FaultError("an entry wasn't made again")

    return Attack(name, attempt)


def _replace(put: Callable[[Path], object], name: str = "") -> Trouble:
    def trouble(folder: Path) -> None:
        for entry in entries(folder) if folder.is_dir() else ():
            path = entry / name
            kept = path.with_name(f"{path.name}.kept")
            if path.exists():
                path.rename(kept)
                put(path)

    return trouble


def _in_place(put: Callable[[Path], object]) -> Trouble:
    def trouble(folder: Path) -> None:
        folder.rename(folder.with_name("kept"))
        put(folder)

    return trouble


_DEEP = "[" * 950 + "]" * 950
_THINGS: dict[str, Callable[[Path], object]] = {
    "pipes": os.mkfifo,
    "sockets": bind_socket,
    "files": lambda path: path.write_bytes(b"x"),
    "links to what was there": lambda path: path.symlink_to(f"{path.name}.kept"),
    "links to endless zeros": lambda path: path.symlink_to("/dev/zero"),
    "links to nothing": lambda path: path.symlink_to("nothing"),
    "links in a circle": lambda path: path.symlink_to(path.name),
    "folders": lambda path: path.mkdir(),
}
ODD = (
    *(_odd(f"entries that are {name}", _replace(put)) for name, put in _THINGS.items() if name != "folders"),
    *(_odd(f"records that are {name}", _replace(put, RECORD_NAME)) for name, put in _THINGS.items()),
    *(_odd(f"graphs that are {name}", _replace(put, GRAPH_NAME)) for name, put in _THINGS.items()),
    *(_odd(f"weights that are {name}", _replace(put, WEIGHTS_NAME)) for name, put in _THINGS.items()),
    *(_odd(f"folder that is one of {name}", _in_place(put)) for name, put in _THINGS.items()),
    _odd("records nested deep", _replace(lambda path: path.write_text(f'{{"bundle":{_DEEP}}}'), RECORD_NAME)),
    _odd("records of 60 MB", _replace(lambda path: path.write_text(" " * 60_000_000 + "{}"), RECORD_NAME)),
)
ATTACKS = (*FOREIGN, *ODD)
