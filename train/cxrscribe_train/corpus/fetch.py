"""Public files of a collection: downloaded once, and recognized ever after by their SHA-256."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from cxrscribe.bundle.files import sha256_of
from cxrscribe.errors import InputError
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.corpus.transfer import Progress, Retries, origin_file, transfer

NLMCXR_URLS: Final = {
    "reports": "https://openi.nlm.nih.gov/imgs/collections/NLMCXR_reports.tgz",
    "images": "https://openi.nlm.nih.gov/imgs/collections/NLMCXR_png.tgz",
}

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Trust(StrEnum):
    """What a file's SHA-256 was held against."""

    GIVEN = "the given value"
    RECORDED = "the value recorded at the first download"
    FIRST = "nothing yet: it is the first download, and its sha256 is now recorded"


@dataclass(frozen=True)
class Fetched:
    """A file that is whole and verified; `downloaded` is False where it was there already."""

    path: Path
    size: int
    sha256: str
    trust: Trust
    downloaded: bool


@dataclass(frozen=True)
class _Record:
    """The note beside a file, `<name>.json`."""

    url: str
    size: int
    sha256: str


def record_file(path: Path) -> Path:
    """Where the SHA-256 of the first download of `path` is noted."""
    return path.with_name(path.name + ".json")


def fetch(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    retries: Retries | None = None,
    progress: Progress = lambda done, size: None,
    note: Callable[[str], None] = lambda text: None,
) -> Fetched:
    """Bring `url` to `path`, resuming an earlier attempt, and verify it.

    The SHA-256 must be `sha256`, or, where it is None, the one recorded at the first download; the
    first time it is recorded. A file that is there already is verified and not downloaded again.

    Raises InputError when the download fails, the size or SHA-256 is wrong (the file is then kept as
    `<name>.rejected`), or nothing could verify a file: it is there without a record, or the server
    gives no size at the first download.
    """
    expected = _normalized(sha256) if sha256 is not None else None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"can't make the folder {path.parent} ({error.strerror}); choose another --out"
        ) from None
    record = _read_record(path)
    trust = Trust.GIVEN if expected else Trust.RECORDED if record else Trust.FIRST
    wanted = expected or (record.sha256 if record else None)
    if path.exists():
        return _verify_present(url, path, wanted, trust)
    part = path.with_name(path.name + ".part")
    size = transfer(url, part, retries or Retries(), progress, note)
    if size is None and wanted is None:
        raise InputError(f"{url}: the server gives no size, so a cut file would go unseen; give --sha256")
    found = sha256_of(part)
    if wanted and found != wanted:
        rejected = path.with_name(path.name + ".rejected")
        part.replace(rejected)
        origin_file(part).unlink(missing_ok=True)
        raise InputError(
            f"{path.name} has sha256 {found}, not {wanted} ({trust}); it is kept as {rejected}. "
            "Download again; if the public file itself has changed, give its --sha256"
        )
    # The record first: a file without one could not be verified later.
    length = part.stat().st_size
    _write_record(path, _Record(url, length, found))
    part.replace(path)
    origin_file(part).unlink(missing_ok=True)
    return Fetched(path, length, found, trust, downloaded=True)


def _verify_present(url: str, path: Path, wanted: str | None, trust: Trust) -> Fetched:
    if wanted is None:
        raise InputError(
            f"{path} is there without a record of its sha256; give --sha256, or move the file away"
        )
    found = sha256_of(path)
    if found != wanted:
        raise InputError(
            f"{path} has sha256 {found}, not {wanted} ({trust}); move it away and download again"
        )
    size = path.stat().st_size
    _write_record(path, _Record(url, size, found))
    return Fetched(path, size, found, trust, downloaded=False)


def _normalized(sha256: str) -> str:
    value = sha256.strip().lower()
    if not _SHA256.fullmatch(value):
        raise InputError(f"{sha256!r} is no SHA-256: give 64 hexadecimal digits")
    return value


def _write_record(path: Path, record: _Record) -> None:
    write_atomically(record_file(path), json.dumps(asdict(record), indent=2).encode("utf-8"))


def _read_record(path: Path) -> _Record | None:
    try:
        content = json.loads(record_file(path).read_text(encoding="utf-8"))
        return _Record(str(content["url"]), int(content["size"]), _normalized(str(content["sha256"])))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{record_file(path)} is no record of a download ({error}); "
            "remove it to record the next download anew"
        ) from None
