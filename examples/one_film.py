"""The report of one film.

python one_film.py FILM [BUNDLE]
"""

from __future__ import annotations

import sys

import cxrscribe


def main() -> None:
    """Print the report, or say what is wrong with film or bundle."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python one_film.py FILM [BUNDLE]")
    film = sys.argv[1]
    try:
        bundle = sys.argv[2] if len(sys.argv) == 3 else cxrscribe.demo_bundle()
        with cxrscribe.load(bundle) as reporter:
            report = reporter.report(film)
            print(report.text)
            print(f"log-probability {report.log_prob:.2f}, {'finished' if report.finished else 'cut off'}")
            print(reporter.disclaimer)
    except cxrscribe.errors.CxrscribeError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
