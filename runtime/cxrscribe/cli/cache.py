"""`cxrscribe cache`: what the folder of optimized graphs holds, and clearing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cxrscribe.cli.terminal import note, say, say_json

if TYPE_CHECKING:
    from cxrscribe.sessions.cache_folder import CacheEntry, CacheFolder
    from cxrscribe.tuning.choice import Choice


@click.command(short_help="Show or clear the folder of optimized graphs.")
@click.option("--clear", is_flag=True, help="Remove all that cxrscribe has put there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def cache(clear: bool, as_json: bool) -> None:
    """Show where graphs are kept as they were optimized for this machine, which ones, and what was found to
    be the fastest way to run a bundle.

    The folder is $CXRSCRIBE_CACHE, or else the user's cache folder. It may be cleared at any time: what is
    needed is made again.
    """
    from cxrscribe.errors import InputError
    from cxrscribe.sessions.cache_folder import VARIABLE, CacheFolder, default_folder

    path = default_folder()
    if path is None:
        raise InputError(f"this user has no home folder, so nothing is kept; set {VARIABLE} to a folder")
    folder = CacheFolder(path)
    if clear:
        removed = folder.clear()
        note(f"{removed} graphs removed from {path}")
    if as_json:
        say_json(_as_json(folder), indent=1)
    else:
        say(*_lines(folder))
    if clear and folder.entries():
        raise InputError(f"{path} can't be cleared: check who may write to it")


def _as_json(folder: CacheFolder) -> dict[str, object]:
    entries = [
        {
            "bundle": entry.record.bundle,
            "graph": entry.record.graph,
            "bytes": entry.record.bytes,
            "made": entry.record.made,
            entry.record.engine: entry.record.build,
            "processor": entry.record.processor,
            "folder": str(entry.folder),
            "intact": entry.intact,
        }
        for entry in folder.entries()
    ]
    choices = [{"bundle": bundle, **choice.to_json()} for bundle, choice in _choices(folder)]
    return {"folder": str(folder.path), "state": _state(folder), "entries": entries, "fastest": choices}


def _lines(folder: CacheFolder) -> Iterator[str]:
    yield f"folder   {folder.path}"
    yield f"state    {_state(folder)}"
    entries = folder.entries()
    for entry in entries:
        yield from _entry_lines(entry)
    for bundle, choice in _choices(folder):
        yield f"fastest  {choice.candidate} of {bundle}"
        yield f"         {choice.why}"
    yield f"total    {len(entries)} graphs, {sum(entry.record.bytes for entry in entries) / 1e6:,.1f} MB"


def _choices(folder: CacheFolder) -> Iterator[tuple[str, Choice]]:
    from cxrscribe.sessions.cache_notes import CacheNotes
    from cxrscribe.tuning.choice import kept_choices

    return kept_choices(CacheNotes(folder))


def _entry_lines(entry: CacheEntry) -> Iterator[str]:
    record = entry.record
    damaged = "" if entry.intact else ", DAMAGED: it will be made again"
    version = record.build.partition(" ")[0]
    yield f"graph    {record.graph} of {record.bundle}"
    yield f"         {record.bytes / 1e6:,.1f} MB, made {record.made} by {record.engine} {version}{damaged}"


def _state(folder: CacheFolder) -> str:
    """Whether the folder is used, in words."""
    if folder.problem is not None:
        return f"not used: {folder.problem}"
    if not folder.is_writable:
        return "read only: what is there is used, nothing is added"
    return "in use" if folder.path.is_dir() else "in use from the next load on"
