"""A folder of films into a CSV file, in bounded memory; films that can't be read are named.

python archive.py FOLDER OUT.csv [BUNDLE]
"""

from __future__ import annotations

import csv
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import cxrscribe

SUFFIXES = {".png", ".jpg", ".jpeg", ".dcm", ".dicom"}


def find_films(folder: Path) -> Iterator[Path]:
    """The films below `folder`, one after the other as they are found."""
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield path


def write_reports(reporter: cxrscribe.Reporter, folder: Path, out: Path) -> tuple[int, int]:
    """Write one row a film; gives back how many films were done, and how many failed."""
    done = failed = 0
    # A stream gives back outcomes only, in the order of the films. It takes the films on a thread of its own:
    # a deque hands over the names of those that are under way.
    names: deque[Path] = deque()

    def films() -> Iterator[Path]:
        for film in find_films(folder):
            names.append(film)
            yield film

    with out.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["film", "error", "text", "log_prob", "disclaimer"])
        for outcome in reporter.report_stream(films()):
            film = names.popleft()
            if isinstance(outcome, cxrscribe.Report):
                done += 1
                rows.writerow([film, "", outcome.text, outcome.log_prob, reporter.disclaimer])
            else:
                failed += 1
                print(f"Error: {outcome}", file=sys.stderr)
                rows.writerow([film, outcome, "", "", reporter.disclaimer])
    return done, failed


def main() -> None:
    """Exit code 0 when all films were done, 1 when some failed or nothing could be done."""
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python archive.py FOLDER OUT.csv [BUNDLE]")
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    if not folder.is_dir():
        sys.exit(f"Error: {folder} is not a folder; give one that holds films")
    try:
        bundle = sys.argv[3] if len(sys.argv) == 4 else cxrscribe.demo_bundle()
        with cxrscribe.load(bundle) as reporter:
            done, failed = write_reports(reporter, folder, out)
    except (cxrscribe.errors.CxrscribeError, OSError) as error:
        sys.exit(f"Error: {error}")
    print(f"{done} reports in {out}; {failed} films failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
