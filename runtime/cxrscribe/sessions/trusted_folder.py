"""Whether nobody but this user and the system's own can change what lies at a path.

Whoever can put a graph into the cache writes reports in this user's name. On Windows, where rights are lists
and a user's own folders are closed to others by default, nothing is looked at.
"""

from __future__ import annotations

import os
import stat
import sys
from functools import lru_cache
from pathlib import Path
from typing import Final

_MOST_LINKS: Final = 40
_ACCESS_LIST: Final = "system.posix_acl_access"


def folder_problem(folder: Path) -> str | None:
    """Why what is in `folder` can't be trusted, in words; None where it can, or where it isn't there yet.

    Every folder on the way there counts, links followed: whoever may write to one of them may put another
    folder in the place of the next.
    """
    if sys.platform == "win32":
        return None if not folder.exists() or folder.is_dir() else "it is not a folder"
    try:
        return _problem_on_the_way(folder)
    except OSError as error:
        return f"it can't be looked at ({error.strerror})"


def member_problem(path: Path, status: os.stat_result) -> str | None:
    """Why a file or folder in a trusted folder can't be trusted itself; None where it can."""
    return None if sys.platform == "win32" else _problem(path, status, sticky_will_do=False)


def close_to_others(path: Path) -> None:
    """Let nobody but its owner write to a file or folder. Raises OSError."""
    if sys.platform != "win32":
        path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))


def _problem_on_the_way(folder: Path) -> str | None:
    at = Path("/")
    waiting = [*reversed(Path.cwd().joinpath(folder).parts[1:])]
    links = 0
    problem = _named(at, _problem(at, at.lstat(), sticky_will_do=True))
    while waiting and problem is None:
        name = waiting.pop()
        # What `..` leads to has been looked at on the way here.
        step = at.parent if name == ".." else at / name
        try:
            status = step.lstat()
        except FileNotFoundError:
            return None  # the rest of the way is made by this process
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                return "its links lead round in a circle"
            if not _is_trusted(status.st_uid):
                return f"{step} is a link of another user"
            target = step.readlink()
            at = Path("/") if target.is_absolute() else at
            waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)
            continue
        if not stat.S_ISDIR(status.st_mode):
            return "it is not a folder" if not waiting else f"{step} is not a folder"
        at = step
        found = _problem(step, status, sticky_will_do=bool(waiting))
        problem = found if found is None or not waiting else _named(step, found)
    return problem


def _named(folder: Path, problem: str | None) -> str | None:
    return problem and f"{folder}, which leads there: {problem}"


def _problem(path: Path, status: os.stat_result, *, sticky_will_do: bool) -> str | None:
    """`sticky_will_do`: of a folder like /tmp, where nobody can touch what isn't his own."""
    if not _is_trusted(status.st_uid):
        return "it belongs to another user"
    if sticky_will_do and status.st_mode & stat.S_ISVTX:
        return None
    if status.st_mode & stat.S_IWOTH:
        return "everyone may write to it"
    if status.st_mode & stat.S_IWGRP:
        if not _is_own_group(status.st_gid):
            return f"its group, {_group_name(status.st_gid)}, may write to it"
        if _has_access_list(path):
            return "its access list lets others write to it"
    return None


def _is_trusted(owner: int) -> bool:
    return owner in (os.geteuid(), 0)


@lru_cache(maxsize=64)
def _is_own_group(number: int) -> bool:
    """Whether the group is this user's private one: called like the user, with no other member."""
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid())
        group = grp.getgrgid(number)
    except KeyError:
        return False
    others = {account.pw_uid for account in pwd.getpwall() if account.pw_gid == number} - {user.pw_uid, 0}
    return (
        user.pw_gid == number
        and group.gr_name == user.pw_name
        and not set(group.gr_mem) - {user.pw_name, "root"}
        and not others
    )


def _group_name(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return f"number {number}"


def _has_access_list(path: Path) -> bool:
    """Whether rights are given to more than owner, group and everyone: the group's bits then say only what
    any of them has at most.
    """
    if sys.platform != "linux":
        return False
    try:
        return _ACCESS_LIST in os.listxattr(path, follow_symlinks=False)
    except OSError:  # a file system without such lists
        return False
