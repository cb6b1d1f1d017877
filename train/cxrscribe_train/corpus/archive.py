"""Report files of a collection: a folder of XML, or the `.tgz` as it is downloaded."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.study import MAX_XML_BYTES

REPORTS_FOLDER: Final = "ecgen-radiology"
REPORTS_ARCHIVE: Final = "NLMCXR_reports.tgz"
_ARCHIVE_ENDINGS: Final = (".tgz", ".tar.gz", ".tar")


@dataclass(frozen=True)
class ReportFile:
    """One XML file: `name` without folders, and its bytes, or why they can't be had."""

    name: str
    xml: bytes
    error: str = ""


@dataclass(frozen=True)
class Collection:
    """Where the reports are, and the folder `base` whose images may lie beside them."""

    source: Path
    base: Path

    def report_files(self) -> Iterator[ReportFile]:
        """Every XML file, one at a time; an archive is read in memory and never unpacked.

        Raises InputError when the archive is damaged.
        """
        if self.source.is_dir():
            yield from _from_folder(self.source)
        else:
            yield from _from_archive(self.source)


def open_collection(root: Path) -> Collection:
    """Find the reports under `root`: the folder of the download, `ecgen-radiology` itself, or the `.tgz`.

    In the folder of the download unpacked reports come before the archive. Raises InputError when
    there are none.
    """
    root = root.resolve()
    if root.is_file() and root.name.lower().endswith(_ARCHIVE_ENDINGS):
        return Collection(root, root.parent)
    if (root / REPORTS_FOLDER).is_dir():
        return Collection(root / REPORTS_FOLDER, root)
    if (root / REPORTS_ARCHIVE).is_file():
        return Collection(root / REPORTS_ARCHIVE, root)
    if root.is_dir() and any(_is_report(path.name) for path in root.iterdir()):
        return Collection(root, root.parent if root.name == REPORTS_FOLDER else root)
    raise InputError(
        f"no reports in {root}: give the folder that holds {REPORTS_FOLDER}/*.xml, that folder itself, "
        f"or the {REPORTS_ARCHIVE} (`cxrscribe corpus fetch nlmcxr` gets it)"
    )


def _is_report(name: str) -> bool:
    # Archives made on a Mac carry a second, binary "._1.xml" beside each file.
    return name.lower().endswith(".xml") and not name.startswith("._")


def _from_folder(folder: Path) -> Iterator[ReportFile]:
    for path in sorted(folder.iterdir()):
        if not _is_report(path.name):
            continue
        try:
            if path.stat().st_size > MAX_XML_BYTES:
                yield _too_large(path.name, path.stat().st_size)
            else:
                yield ReportFile(path.name, path.read_bytes())
        except OSError as error:
            yield ReportFile(path.name, b"", f"{path.name}: can't be read ({error.strerror}); check the file")


def _from_archive(archive: Path) -> Iterator[ReportFile]:
    try:
        with tarfile.open(archive, mode="r|*") as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if not _is_report(name):
                    continue
                file = tar.extractfile(member) if member.isreg() else None
                if file is None:
                    yield ReportFile(name, b"", f"{name}: is no plain file in the archive; download it again")
                elif member.size > MAX_XML_BYTES:
                    yield _too_large(name, member.size)
                else:
                    yield ReportFile(name, file.read())
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise InputError(f"{archive} can't be read as an archive ({error}); download it again") from None


def _too_large(name: str, size: int) -> ReportFile:
    return ReportFile(
        name, b"", f"{name}: {size} bytes are too many for one report (at most {MAX_XML_BYTES})"
    )
