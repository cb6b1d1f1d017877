"""The labeller against the headings that people gave to real reports.

`python -m cxrscribe_train.evaluation.agreement ROOT` prints it. The indexers of the Indiana collection read
the whole report and chose MeSH headings. What headings a phantom could be drawn after say which kinds a
study shows; the labeller reads them in FINDINGS and IMPRESSION.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from cxrscribe_train.corpus.archive import open_collection
from cxrscribe_train.corpus.nlmcxr import read_studies
from cxrscribe_train.corpus.study import Study
from cxrscribe_train.findings import FindingKind
from cxrscribe_train.labeller import label
from cxrscribe_train.phantom.wording.mesh import kind_of


@dataclass(frozen=True)
class Agreement:
    """Studies with a kind by both, by the headings alone, and by the labeller alone."""

    kind: str
    both: int
    headings_only: int
    labeller_only: int

    @property
    def precision(self) -> float | None:
        """Of the studies that the labeller names, the share that headings name too; None of none."""
        return _share(self.both, self.labeller_only)

    @property
    def recall(self) -> float | None:
        """Of the studies that headings name, the share that the labeller names too; None of none."""
        return _share(self.both, self.headings_only)

    @property
    def f1(self) -> float | None:
        """Both in one; None where nobody names the kind."""
        return _share(2 * self.both, self.headings_only + self.labeller_only)


def agreement(studies: Iterable[Study]) -> list[Agreement]:
    """Each kind's agreement over the studies that have FINDINGS, and that of all kinds together."""
    pairs = [(_by_headings(study), _by_labeller(study)) for study in studies if study.findings]
    each = [
        Agreement(
            str(kind),
            sum(kind in headings and kind in labels for headings, labels in pairs),
            sum(kind in headings and kind not in labels for headings, labels in pairs),
            sum(kind not in headings and kind in labels for headings, labels in pairs),
        )
        for kind in FindingKind
    ]
    together = (
        sum(getattr(one, name) for one in each) for name in ("both", "headings_only", "labeller_only")
    )
    return [*each, Agreement("all", *together)]


def table(rows: Sequence[Agreement]) -> str:
    """One line a kind."""
    lines = [f"{'kind':<24}{'headings':>9}{'labeller':>9}{'both':>6}{'precision':>11}{'recall':>8}{'F1':>6}"]
    lines += [
        f"{row.kind:<24}{row.both + row.headings_only:>9}{row.both + row.labeller_only:>9}{row.both:>6}"
        f"{_figure(row.precision):>11}{_figure(row.recall):>8}{_figure(row.f1):>6}"
        for row in rows
    ]
    return "\n".join(lines)


def _by_headings(study: Study) -> frozenset[FindingKind]:
    return frozenset(kind for kind in map(kind_of, study.mesh) if kind is not None)


def _by_labeller(study: Study) -> frozenset[FindingKind]:
    return label(f"{study.findings}\n\n{study.impression}")


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


@click.command()
@click.argument("root", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def main(root: Path, as_json: bool) -> None:
    """Print how far the labeller agrees with the headings of the Indiana reports at ROOT.

    ROOT is what `cxrscribe corpus nlmcxr` takes.
    """
    rows = agreement(read_studies(open_collection(root)).studies)
    click.echo(json.dumps([asdict(row) for row in rows], indent=2) if as_json else table(rows))


if __name__ == "__main__":
    main()
