"""An archive of films into a run that can be killed and gone on with: no film is lost, none is there twice.

python archive.py SOURCE RUN [BUNDLE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import cxrscribe
from cxrscribe.archive import begin_run, score_shards


def score(source: Path, folder: Path, bundle: Path) -> tuple[int, int]:
    """Score what is left; gives back how many films were done now, and how many of them have no report."""
    done = quarantined = 0
    with cxrscribe.load(bundle) as reporter:
        # The films are listed once, when the run is begun. Given again, the same call goes on with it.
        run = begin_run(folder, [str(source)], reporter, reporter.settings)
        print(f"{run.plan.films} films in {len(run.plan.shards)} shards")
        # Any number of programs, here or elsewhere, may do this at once: of each shard one part is kept.
        for receipt in score_shards(run, run.generation().missing(), reporter):
            done += receipt.films
            quarantined += receipt.quarantined
            print(f"shard {receipt.shard}: {receipt.films} films, {receipt.quarantined} without a report")
    return done, quarantined


def main() -> None:
    """Exit code 0 when all films have a report, 1 when some have none or nothing could be done."""
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python archive.py SOURCE RUN [BUNDLE]")
    bundle = Path(sys.argv[3]) if len(sys.argv) == 4 else cxrscribe.demo_bundle()
    try:
        done, quarantined = score(Path(sys.argv[1]), Path(sys.argv[2]), bundle)
    except cxrscribe.errors.CxrscribeError as error:
        sys.exit(f"Error: {error}")
    print(f"{done} films done, {quarantined} of them without a report; the rows are in {sys.argv[2]}/parts")
    sys.exit(1 if quarantined else 0)


if __name__ == "__main__":
    main()
