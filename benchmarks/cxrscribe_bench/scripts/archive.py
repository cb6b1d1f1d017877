"""What scoring an archive costs beside scoring its films: the list, the parts, the check, the start.

    python -m cxrscribe_bench.scripts.archive listing --films 1000000
    python -m cxrscribe_bench.scripts.archive verify --films 1000000
    python -m cxrscribe_bench.scripts.archive resume --films 1000000
    python -m cxrscribe_bench.scripts.archive indications --films 1000000
    python -m cxrscribe_bench.scripts.archive overhead [BUNDLE] --films 64 --rounds 15
    python -m cxrscribe_bench.scripts.archive memory [BUNDLE] --films 100000
    python -m cxrscribe_bench.scripts.archive ray [BUNDLE] --films 96 --shard-films 4 --rounds 4
    python -m cxrscribe_bench.scripts.archive ray-shards [BUNDLE] --films 128 --rounds 4
    python -m cxrscribe_bench.scripts.archive share [BUNDLE] --films 128 --rounds 5

Each in a process of its own, for its memory is measured too. Films are empty files, rows without a file, or
drawn, as the question needs; nothing is left behind.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import click
import numpy as np

import cxrscribe
from cxrscribe.archive import Run, begin_run, open_run, score_shards
from cxrscribe.archive.identity import identity_of
from cxrscribe.archive.indications import coverage, open_table
from cxrscribe.archive.places.folder import Folder
from cxrscribe.archive.plan import Listed, Plan, PlannedFilm, make_plan
from cxrscribe.archive.rows.part import JSONL, PartMaker
from cxrscribe.archive.rows.row import Content, RowChoice, film_row
from cxrscribe.archive.sources.listing import Sources
from cxrscribe.archive.verify import verify
from cxrscribe.report import Report
from cxrscribe.reporter import Reporter
from cxrscribe_bench.material.drawn_films import write_drawn_films
from cxrscribe_bench.scripts.archive_engines import measure_ray, measure_ray_shards, measure_share
from cxrscribe_bench.timing.memory import peak_bytes, resident_bytes
from cxrscribe_bench.timing.rounds import interval

_FILES_A_FOLDER = 100
_SETTLED_FILMS = 2000
QUESTIONS = ("listing", "verify", "resume", "indications", "overhead", "memory", "ray", "ray-shards", "share")


@contextmanager
def timed(figures: dict[str, float], name: str) -> Iterator[None]:
    """Note the seconds and processor seconds of the block under this name."""
    started, worked = perf_counter(), process_time()
    yield
    figures[f"{name}_seconds"] = perf_counter() - started
    figures[f"{name}_cpu_seconds"] = process_time() - worked


def measure_listing(folder: Path, films: int) -> dict[str, float]:
    """From a tree of empty files, a hundred in each folder, to a frozen plan."""
    for number in range(films):
        place = folder / "films" / f"{number // 10_000:04}" / f"{number // _FILES_A_FOLDER % 100:03}"
        if number % _FILES_A_FOLDER == 0:
            place.mkdir(parents=True)
        os.close(os.open(place / f"film-{number:08}.dcm", os.O_CREAT | os.O_WRONLY))
    figures: dict[str, float] = {}
    with timed(figures, "listing"):
        found = Sources([str(folder / "films")])
        plan = make_plan(Folder(folder / "run"), found.films(), found.root, found.names)
    return figures | {"films": plan.films, "peak_megabytes": peak_bytes() / 1e6}


def measure_verify(folder: Path, films: int) -> dict[str, float]:
    """Check of a run whose rows are all there."""
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu") as reporter:
        run = filled_run(folder, films, reporter, left=0)
    figures: dict[str, float] = {}
    with timed(figures, "verify"):
        verdict = verify(run)
    if verdict.ok != films or not verdict.is_whole:
        raise click.ClickException(f"the run isn't whole: {verdict}")
    return figures | {"films": films, "peak_megabytes": peak_bytes() / 1e6}


def measure_resume(folder: Path, films: int) -> dict[str, float]:
    """From a loaded model to the first report of the last shard, all others being done."""
    figures: dict[str, float] = {}
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu") as reporter:
        run = filled_run(folder, films, reporter, left=1)
        (film,) = write_drawn_films(1, folder / "drawn")
        last = run.generation().films_of(len(run.plan.shards) - 1)
        for planned in last:
            path = Path(run.plan.root) / planned.film
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(film.read_bytes())
            os.utime(path, ns=(0, int(planned.stamp)))
        with timed(figures, "resume"):
            again = begin_run(run.place.url, (), reporter, reporter.settings)
            receipts = list(score_shards(again, again.generation().missing(), reporter))
    if [receipt.quarantined for receipt in receipts] != [0]:
        raise click.ClickException("the last shard isn't what it should be")
    return figures | {"films": films, "films_in_shard": len(last), "peak_megabytes": peak_bytes() / 1e6}


def measure_indications(folder: Path, films: int) -> dict[str, float]:
    """A table with a text for each of so many films: opened, compared with the plan, and asked."""
    names = [f"{number // 1000:05}/{number:08}.dcm" for number in range(films)]
    place = Folder(folder / "run")
    plan = make_plan(place, (Listed(name, 1000, "0") for name in names), "/films", ("/films",))
    with (folder / "table.csv").open("w", encoding="ascii") as file:
        file.write("film,indication\n")
        for name in names:
            file.write(f'{name},"Chest pain, shortness of breath, history of smoking; {name}"\n')
    asked = names[:: max(1, films // 10_000)]
    del names
    figures: dict[str, float] = {}
    before = resident_bytes()
    with timed(figures, "open"):
        table = open_table(str(folder / "table.csv"))
    held = resident_bytes() - before
    with timed(figures, "compare"):
        found = coverage(
            table, plan.root, (plan.read_shard(place, shard) for shard in range(len(plan.shards)))
        )
    with timed(figures, "ask"):
        told = sum(table.text(name) is not None for name in asked)
    if (found.told, told) != (films, len(asked)):
        raise click.ClickException(f"the table isn't whole: {found}, {told} of {len(asked)}")
    return figures | {
        "films": films,
        "asked": len(asked),
        "table_megabytes": (folder / "table.csv").stat().st_size / 1e6,
        "held_megabytes": held / 1e6,
        "peak_megabytes": peak_bytes() / 1e6,
    }


def filled_run(folder: Path, films: int, reporter: Reporter, left: int) -> Run:
    """A run over films that are but names, with a part for each shard but the last `left`."""
    size = write_drawn_films(1, folder / "drawn")[0].stat().st_size
    place = Folder(folder / "run")
    names = (
        Listed(
            f"{number // 10_000:04}/{number // 100 % 100:03}/film-{number:08}.png", size, f"{10**9 + number}"
        )
        for number in range(films)
    )
    root = str(folder / "films")
    plan = make_plan(place, names, root, (root,))
    identity = identity_of(reporter, reporter.settings, JSONL, RowChoice(), root, (root,), plan.sha256)
    document = {
        "schema": 1,
        "run": identity.run_id,
        "started": "2026-01-01T00:00:00+00:00",
        "identity": identity.to_json(),
    }
    place.create("run.json", json.dumps(document).encode("ascii"))
    run = open_run(place.url)
    report = reporter.report(cxrscribe.demo_films()[0])
    for shard in range(len(plan.shards) - left):
        fill(run, plan, shard, report)
    return run


def fill(run: Run, plan: Plan, shard: int, report: Report) -> None:
    """Write the part of a shard, as it would be if all films had this report."""
    films: Sequence[PlannedFilm] = plan.read_shard(run.place, shard)
    rows = {
        film.row: film_row(
            shard,
            film,
            Content(film.film_id * 2),
            report,
            run.identity.disclaimer,
            run.identity.choice,
            run.names,
        )
        for film in films
    }
    identity = run.identity
    maker = PartMaker(run.run_id, 0, shard, identity.environment, "processor", identity.disclaimer)
    run.place.create(run.generation().part(shard), maker.make(rows, [film.row for film in films], JSONL)[1])


def measure_overhead(
    folder: Path, films: int, bundle: Path, count: int, shard_films: int
) -> dict[str, float]:
    """Processor seconds of `report_stream` over those of `score_shards` on the same films, in turn."""
    paths = write_drawn_films(films, folder / "drawn")
    shares = []
    with cxrscribe.load(bundle, device="cpu", spinning=False) as reporter:
        for number in range(count + 1):
            run = begin_run(
                folder / f"run-{number}",
                [str(folder / "drawn")],
                reporter,
                reporter.settings,
                shard_films=shard_films,
            )
            shards = run.generation().missing()
            figures: dict[str, float] = {}
            for name in ("stream", "score") if number % 2 else ("score", "stream"):
                with timed(figures, name):
                    for _ in (
                        reporter.report_stream(iter(paths))
                        if name == "stream"
                        else score_shards(run, shards, reporter)
                    ):
                        pass
            if number:  # the first round warms up
                shares.append(figures["stream_cpu_seconds"] / figures["score_cpu_seconds"])
    low, high = interval(shares)
    return {
        "films": films,
        "rounds": count,
        "score_over_stream": median(shares),
        "score_over_stream_low": low,
        "score_over_stream_high": high,
        "cpu_milliseconds_a_film": 1e3 * figures["stream_cpu_seconds"] / films,
    }


def measure_memory(folder: Path, films: int, bundle: Path) -> dict[str, float]:
    """What is resident after 2,000 films, over the last tenth of them, and at most.

    What a shard leaves behind goes up and down by a percent or two: `growth` is that of the last tenth's
    median, `largest_growth` that of the one largest value.
    """
    from PIL import Image

    place = folder / "films"
    random_pixels = np.random.default_rng(0)
    for number in range(films):
        path = place / f"{number // 1000:05}" / f"{number:08}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = BytesIO()
        Image.fromarray(random_pixels.integers(0, 256, (24, 24), dtype=np.uint8)).save(content, "PNG")
        path.write_bytes(content.getvalue())
    found: list[int] = []
    settled = 0
    with cxrscribe.load(bundle, device="cpu") as reporter:
        run = begin_run(folder / "run", [str(place)], reporter, replace(reporter.settings, max_length=12))
        done = 0
        for receipt in score_shards(run, run.generation().missing(), reporter):
            done += receipt.films
            found.append(resident_bytes())
            if done <= _SETTLED_FILMS:
                settled = found[-1]
    later = median(found[-max(1, len(found) // 10) :])
    return {
        "films": done,
        "resident_megabytes_after_2000": settled / 1e6,
        "resident_megabytes_of_the_last_tenth": later / 1e6,
        "largest_resident_megabytes": max(found) / 1e6,
        "growth": later / settled - 1,
        "largest_growth": max(found) / settled - 1,
    }


@click.command()
@click.argument("question", type=click.Choice(QUESTIONS))
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--films", default=100_000, show_default=True, help="Films of the archive.")
@click.option(
    "--rounds", "count", default=15, show_default=True, help="Rounds, where things have their turns."
)
@click.option(
    "--shard-films", default=1000, show_default=True, help="Films a shard, for `overhead` and `ray`."
)
@click.option(
    "--scratch", type=click.Path(path_type=Path, file_okay=False), help="Folder for temporary files."
)
def main(
    question: str, bundle: Path | None, films: int, count: int, shard_films: int, scratch: Path | None
) -> None:
    """Answer one QUESTION, and print its figures as JSON."""
    chosen = bundle or cxrscribe.demo_bundle()
    with TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        if question == "listing":
            found = measure_listing(folder, films)
        elif question == "verify":
            found = measure_verify(folder, films)
        elif question == "resume":
            found = measure_resume(folder, films)
        elif question == "indications":
            found = measure_indications(folder, films)
        elif question == "overhead":
            found = measure_overhead(folder, films, chosen, count, shard_films)
        elif question == "ray":
            found = measure_ray(folder, films, chosen, count, shard_films)
        elif question == "ray-shards":
            found = measure_ray_shards(folder, films, chosen, count)
        elif question == "share":
            found = measure_share(folder, films, chosen, count)
        else:
            found = measure_memory(folder, films, chosen)
    click.echo(json.dumps({"question": question, **found}, indent=1))


if __name__ == "__main__":
    main()
