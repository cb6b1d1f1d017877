"""Whether cxrscribe as one program does what it should, and what it costs.

    python -m cxrscribe_bench.scripts.one_program build/program/cxrscribe

`--version`, `report` and `serve` have to give what the installed package gives, with films read in processes
of their own; size and start are printed. Fails otherwise.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from time import perf_counter

import click

import cxrscribe
from cxrscribe.version import __version__
from cxrscribe_bench.serving.client import ask_once, film_request
from cxrscribe_bench.serving.service import CXRSCRIBE, served


def said(*command: object) -> tuple[str, float]:
    """What a command prints, and the seconds that it took. Raises CalledProcessError."""
    began = perf_counter()
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout, perf_counter() - began


def require(is_so: bool, what: str) -> None:
    """Raises ClickException unless it is so."""
    if not is_so:
        raise click.ClickException(f"the program {what}")


@click.command()
@click.argument("program", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(program: Path) -> None:
    """Try PROGRAM."""
    program, bundle = program.resolve(), cxrscribe.demo_bundle()
    films = [*cxrscribe.demo_films()]
    version, first = said(program, "--version")
    require(version.split()[-1] == __version__, f"says {version.strip()}, and not {__version__}")
    arguments = ("report", "--json", "--device", "cpu", "--isolate", "all", "--bundle", bundle, *films)
    texts = [_texts(said(*command, *arguments)[0]) for command in ((program,), CXRSCRIBE)]
    require(texts[0] == texts[1] != [], "writes other reports than the package")
    one_film = ("report", "--device", "cpu", "--bundle", bundle, films[0])
    started, packaged = (
        [said(*command, *one_film)[1] for _ in range(3)] for command in ((program,), CXRSCRIBE)
    )
    with served(bundle, ["--device", "cpu"], [str(program)]) as service:
        answers = [
            asyncio.run(ask_once(service.port, film_request(film.read_bytes()))).text for film in films
        ]
        service.ask_to_end()
        code = service.wait()
    require(answers == texts[1], "serves other reports than the package")
    require(code == 0, f"ends with {code} when it is asked to")
    size, times = program.stat().st_size / 1e6, min(started) / min(packaged)
    click.echo(
        f"{program.name} {__version__}: {size:.1f} MB, first start {first:.2f} s, a report "
        f"{min(started):.2f} s ({times:.2f} times the package's), "
        f"ready to serve in {service.start_seconds:.2f} s"
    )


def _texts(lines: str) -> list[str]:
    return [json.loads(line)["text"] for line in lines.splitlines()]


if __name__ == "__main__":
    main()
