"""A cache of optimized graphs that others could have written to, or that holds what is no entry."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
if sys.platform == "win32":
    pytest.skip("there are no such rights here", allow_module_level=True)
import grp
import pwd

from attacks import caches
from attacks.attack import Attack, words
from cxrscribe.sessions import trusted_folder
from cxrscribe.sessions.cache import open_cache
from cxrscribe.sessions.cache_folder import CacheFolder
from cxrscribe.sessions.trusted_folder import folder_problem, member_problem
from support.small_bundle import SmallBundle

Owners = Callable[..., None]


@pytest.mark.parametrize("attack", caches.ATTACKS, ids=lambda attack: attack.name)
def test_what_others_put_into_a_cache_is_not_used(attack: Attack, tmp_path: Path) -> None:
    attack.attempt(tmp_path)


def test_forged_entries_would_be_used_if_only_their_content_counted(tmp_path: Path) -> None:
    """Else the attacks above would prove nothing: rights alone keep a forger out."""
    bundle, made = caches.forged(tmp_path)
    assert words(bundle, cache=made) == words(SmallBundle(hidden=40, seed=5).write(tmp_path / "other"))


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> Iterator[Owners]:
    """Let a path belong to another user or group, or have other rights, as `lstat` says it; root or not."""
    changed: dict[Path, dict[int, int]] = {}
    real = Path.lstat

    def lstat(path: Path) -> os.stat_result:
        status = list(real(path)[:10])
        for field, value in changed.get(path, {}).items():
            status[field] = value
        return os.stat_result(status)

    def change(
        path: Path, *, user: int | None = None, group: int | None = None, mode: int | None = None
    ) -> None:
        kind = real(path).st_mode & ~0o7777
        wanted = {4: user, 5: group, 0: None if mode is None else kind | mode}
        changed[path] = {field: value for field, value in wanted.items() if value is not None}

    monkeypatch.setattr(Path, "lstat", lstat)
    own_group = trusted_folder._is_own_group
    own_group.cache_clear()
    yield change
    own_group.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "way" / "cache"
    made.mkdir(parents=True, mode=0o700)
    made.parent.chmod(0o700)
    return made


@pytest.mark.parametrize("owner", [(caches.NOBODY, False), (0, True)])
def test_a_folder_is_trusted_by_its_owner(folder: Path, owners: Owners, owner: tuple[int, bool]) -> None:
    user, good = owner
    for path, said in ((folder, ""), (folder.parent, f"{folder.parent}, which leads there: ")):
        owners(path, user=user)
        assert folder_problem(folder) == (None if good else f"{said}it belongs to another user")
        owners(path)


@pytest.mark.parametrize(
    ("mode", "good", "leading"),
    [
        (0o755, True, True),
        (0o757, False, False),
        (0o1777, False, True),
        (0o1757, False, True),
        (0o700, True, True),
    ],
)
def test_a_folder_is_trusted_by_who_may_write_to_it(
    folder: Path, owners: Owners, mode: int, good: bool, leading: bool
) -> None:
    owners(folder, mode=mode)
    assert (folder_problem(folder) is None) == good
    owners(folder)
    owners(folder.parent, mode=mode)
    assert (folder_problem(folder) is None) == leading


def account(name: str, number: int, group: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", number, group, "", "/", "/bin/sh"))


@pytest.mark.parametrize(
    ("group_name", "members", "others", "own"),
    [
        ("alice", [], [], True),
        ("alice", ["alice"], [], True),
        ("alice", ["alice", "root"], [], True),
        ("alice", ["alice", "bob"], [], False),
        ("alice", [], [account("bob", 777, 4242)], False),
        ("alice", [], [account("bob", 777, 100)], True),
        ("users", [], [], False),
    ],
)
def test_a_group_is_one_s_own_if_nobody_else_is_in_it(
    folder: Path,
    owners: Owners,
    monkeypatch: pytest.MonkeyPatch,
    group_name: str,
    members: list[str],
    others: list[pwd.struct_passwd],
    own: bool,
) -> None:
    alice = account("alice", os.geteuid(), 4242)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: alice)
    monkeypatch.setattr(pwd, "getpwall", lambda: [alice, *others])
    monkeypatch.setattr(grp, "getgrgid", lambda _: grp.struct_group((group_name, "x", 4242, members)))
    owners(folder, group=4242, mode=0o770)
    assert folder_problem(folder) == (None if own else f"its group, {group_name}, may write to it")
    owners(folder, group=4242, mode=0o750)
    assert folder_problem(folder) is None


def test_a_user_or_group_that_nobody_knows_has_no_private_group(folder: Path, owners: Owners) -> None:
    owners(folder, group=caches.NOBODY, mode=0o770)
    assert folder_problem(folder) == f"its group, number {caches.NOBODY}, may write to it"


def test_a_file_that_may_be_somebody_else_s_is_not_trusted(folder: Path, owners: Owners) -> None:
    file = folder / "graph.onnx"
    file.write_bytes(b"x")
    assert member_problem(file, file.lstat()) is None
    owners(file, user=caches.NOBODY)
    assert member_problem(file, file.lstat()) == "it belongs to another user"
    owners(file, mode=0o1646)
    assert member_problem(file, file.lstat()) == "everyone may write to it"


def test_a_link_on_the_way_is_trusted_by_its_owner_and_where_it_leads(folder: Path, owners: Owners) -> None:
    link = folder.parent / "link"
    link.symlink_to("cache")
    assert folder_problem(link) is None
    owners(link, user=caches.NOBODY)
    assert folder_problem(link) == f"{link} is a link of another user"
    owners(link)
    owners(folder, mode=0o777)
    assert folder_problem(link) == "everyone may write to it"
    assert "everyone may write to it" in str(folder_problem(link / "inner"))
    assert folder_problem(folder.parent / "cache" / ".." / "other") == folder_problem(folder / "inner")
    owners(folder)
    assert folder_problem(folder / ".." / "other") is None
    loop = folder.parent / "loop"
    loop.symlink_to(loop)
    assert folder_problem(loop) == "its links lead round in a circle"


def test_folders_are_made_closed_to_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        bundle = SmallBundle().write(tmp_path / "bundle")
        words(bundle, cache=tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    for made in (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"):
        assert made.stat().st_mode & 0o777 == 0o700
    assert len(CacheFolder(tmp_path / "a" / "b" / "c").entries()) == 3


def test_a_cache_that_is_not_used_is_named_in_the_log(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.chmod(0o777)
    with caplog.at_level(logging.WARNING, "cxrscribe"):
        assert open_cache(folder, None) is None
        assert open_cache(True, folder) is None
    (one, other) = [record.getMessage() for record in caplog.records]
    assert one == other
    assert one.startswith(f"the cache in {folder} is not used: everyone may write to it. ")
    assert "CXRSCRIBE_CACHE" in one


def test_a_cache_in_order_is_not_spoken_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert open_cache(folder, None) is not None
    assert open_cache(folder / "not" / "yet", None) is not None
    assert open_cache(False, folder) is None
    assert caplog.records == []


@pytest.mark.skipif(sys.platform != "linux", reason="access lists are looked for on Linux")
def test_an_access_list_is_seen_where_the_group_is_one_s_own(
    folder: Path, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted_folder, "_is_own_group", lambda _: True)
    owners(folder, mode=0o770)
    assert folder_problem(folder) is None
    monkeypatch.setattr(os, "listxattr", lambda *_, **__: ["system.posix_acl_access"])
    assert folder_problem(folder) == "its access list lets others write to it"
