"""Names of the files in a run's folder. They depend on the work alone, never on who does it or how often."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

RUN: Final = "run.json"
PLAN: Final = "plan.json"
PLAN_FOLDER: Final = "plan"
PARTS_FOLDER: Final = "parts"
RETRY_FOLDER: Final = "retry"
SR_FOLDER: Final = "sr"
SENT_FOLDER: Final = "sent"
ATTEMPTS_FOLDER: Final = "attempts"
ENVIRONMENTS_FOLDER: Final = "environments"
BROKEN_FOLDER: Final = "broken"
EVENTS_FOLDER: Final = "events"
PROGRESS: Final = "progress.prom"

FOLDERS: Final = (
    PLAN_FOLDER,
    PARTS_FOLDER,
    RETRY_FOLDER,
    SR_FOLDER,
    SENT_FOLDER,
    ATTEMPTS_FOLDER,
    ENVIRONMENTS_FOLDER,
    BROKEN_FOLDER,
    EVENTS_FOLDER,
)
"""All folders of a run."""

_PARTS_A_FOLDER: Final = 1000
_DIGITS_OF_DIGEST: Final = 16


def plan_file(shard: int, sha256: str) -> str:
    """The films of a shard. The digest is in it, so that two planners never write the same file."""
    return f"{PLAN_FOLDER}/{shard:06}-{sha256[:_DIGITS_OF_DIGEST]}.jsonl.gz"


def part_file(generation: int, shard: int, suffix: str) -> str:
    """The rows of a shard; generation 0 is the run itself, 1 its first retry."""
    name = f"part-{shard:06}{suffix}"
    if generation:
        return f"{generation_folder(generation)}/{name}"
    return f"{PARTS_FOLDER}/{shard // _PARTS_A_FOLDER:03}/{name}"


def sr_file(generation: int, shard: int) -> str:
    """The structured reports of a shard's films, in runs that make any."""
    name = f"sr-{shard:06}.tar"
    if generation:
        return f"{generation_folder(generation)}/{name}"
    return f"{SR_FOLDER}/{shard // _PARTS_A_FOLDER:03}/{name}"


def generation_folder(generation: int) -> str:
    """Where a retry is kept: its list of films, and its parts."""
    return f"{RETRY_FOLDER}/{generation}"


def retry_file(generation: int) -> str:
    """Which films a retry is about."""
    return f"{generation_folder(generation)}/retry.json"


def attempt_file(generation: int, shard: int, attempt: int) -> str:
    """The empty file that says that a shard has been begun, for the first time, the second, ..."""
    folder = f"{generation_folder(generation)}/{ATTEMPTS_FOLDER}" if generation else ATTEMPTS_FOLDER
    return f"{folder}/{shard:06}.{attempt}"


def environment_file(digest: str) -> str:
    """The versions of libraries that some parts were made with."""
    return f"{ENVIRONMENTS_FOLDER}/{digest}.json"


def broken_file(name: str, sha256: str) -> str:
    """Where a part that can't be read is put."""
    return f"{BROKEN_FOLDER}/{name.replace('/', '-')}.{sha256[:_DIGITS_OF_DIGEST]}"


def events_file(writer: str) -> str:
    """What one process says of the shards that it has done."""
    return f"{EVENTS_FOLDER}/{writer}.jsonl"


def sent_folder(destination: str) -> str:
    """What a PACS has acknowledged. Its digest is in it: an address may have signs that no folder has."""
    return f"{SENT_FOLDER}/{sha256(destination.encode('utf-8')).hexdigest()[:_DIGITS_OF_DIGEST]}"


def destination_file(folder: str) -> str:
    """Which PACS a folder of `sent_folder` is about."""
    return f"{folder}/destination.json"


def sent_file(folder: str, generation: int, shard: int, number: int) -> str:
    """What became of a shard's documents; the highest number counts: 1, and one more each time that those
    that were refused are tried again.
    """
    return f"{folder}/{generation}/{shard // _PARTS_A_FOLDER:03}/{shard:06}.{number}.json"
