"""Where the megabytes of an installation go.

    python -m cxrscribe_bench.scripts.install_size .venv/lib/python3.11/site-packages

Each distribution's files by what they are: native libraries, Python, and the rest. Byte code isn't counted.
"""

from __future__ import annotations

import json
from collections import Counter
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

import click

NATIVE: Final = "native"
PYTHON: Final = "python"
OTHER: Final = "other"
KINDS: Final = (NATIVE, PYTHON, OTHER)


def kind_of(file: Path) -> str:
    """What a file is."""
    if ".so" in file.suffixes or file.suffix in (".dll", ".pyd", ".dylib", ".a"):
        return NATIVE
    return PYTHON if file.suffix in (".py", ".pyi") else OTHER


def sizes_of(distribution: Distribution) -> Counter[str]:
    """Bytes of its files by kind."""
    found: Counter[str] = Counter()
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        if "__pycache__" not in file.parts and path.is_file():
            found[kind_of(path)] += path.stat().st_size
    return found


def measure(site: Path) -> dict[str, Counter[str]]:
    """Bytes by kind of each distribution that is installed there, the largest first."""
    found = {str(each.metadata["Name"]).lower(): sizes_of(each) for each in distributions(path=[str(site)])}
    return dict(sorted(found.items(), key=lambda item: -item[1].total()))


@click.command()
@click.argument("site", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def main(site: Path, as_json: bool) -> None:
    """Measure the packages in SITE, a folder site-packages."""
    found = measure(site)
    if not found:
        raise click.ClickException(
            f"nothing is installed in {site}; give the site-packages of an environment"
        )
    if as_json:
        click.echo(json.dumps({name: dict(sizes) for name, sizes in found.items()}))
        return
    total: Counter[str] = Counter()
    for sizes in found.values():
        total += sizes
    click.echo(f"{'MB':20} {'all':>7} {NATIVE:>7} {PYTHON:>7} {OTHER:>7}")
    for name, sizes in {**found, "all": total}.items():
        numbers = [sizes.total(), *(sizes[kind] for kind in KINDS)]
        click.echo(f"{name:20} " + " ".join(f"{number / 1e6:7.1f}" for number in numbers))


if __name__ == "__main__":
    main()
