"""`cxrscribe serve` under load, at its end, and among clients that mean it no good.

    python -m cxrscribe_bench.scripts.serving [--bundle BUNDLE] [--json]
    python -m cxrscribe_bench.scripts.serving --part soak --seconds 3600

The parts: `load`, clients in a closed loop, beside `report` and `report_stream` on the same films in the same
run; `stop`, SIGTERM under load, and what was accepted and answered; `garbage`, `half` and `connections`,
while an honest client asks for reports; `soak`, memory over time. All but the last one where none is named.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import click

import cxrscribe
from cxrscribe_bench.material.drawn_films import write_drawn_films
from cxrscribe_bench.serving.attacks import crowd, garbage, half_requests, neighbour
from cxrscribe_bench.serving.load import Served, closed_loop, one_by_one, streamed
from cxrscribe_bench.serving.service import ServedProcess, served
from cxrscribe_bench.serving.soak import soak
from cxrscribe_bench.serving.stopping import stopped_under_load

DRAWN: Final = 32
"""Films that are drawn where none are given."""
STREAM: Final = 64
"""Images at a time, as `report_stream` has them unless told otherwise."""
_ISOLATED: Final = "report_stream, isolated"
_RLIMIT_BESIDE: Final = 256


@dataclass(frozen=True)
class Plan:
    """What is measured with what."""

    bundle: Path
    films: tuple[bytes, ...]
    texts: tuple[str, ...]
    """What each film's report should say."""
    precision: str
    threads: int | None
    options: tuple[str, ...]
    """Of the service."""

    def serve(self, *more: str) -> list[str]:
        """Options of the service."""
        threads = () if self.threads is None else ("--threads", str(self.threads))
        return ["--precision", self.precision, "--device", "cpu", *threads, *self.options, *more]


def load_part(
    plan: Plan,
    reporter: cxrscribe.Reporter,
    isolating: cxrscribe.Reporter,
    clients: Sequence[int],
    requests: int,
    count: int,
) -> dict[str, object]:
    """Rates and latencies; each ratio is the median of the rounds' own.

    `isolating`: reads each film in a process of its own, as the service does and `report_stream` as a rule
    doesn't.
    """
    few = max(2, requests // 8)
    found: dict[str, list[Served]] = {}
    with served(plan.bundle, plan.serve()) as service:
        ways: dict[str, Callable[[], Served]] = {
            "report": lambda: one_by_one(reporter, plan.films, few),
            "report_stream": lambda: streamed(reporter, plan.films, STREAM, requests),
            _ISOLATED: lambda: streamed(isolating, plan.films, STREAM, requests),
        }
        for number in clients:
            wanted = few if number == 1 else max(requests, 4 * number)
            ways[_stream(number)] = lambda number=number, wanted=wanted: streamed(  # type: ignore[misc]
                reporter, plan.films, number, wanted
            )
            ways[_clients(number)] = lambda number=number, wanted=wanted: asyncio.run(  # type: ignore[misc]
                closed_loop(service.port, plan.films, plan.texts, number, wanted)
            )
        asyncio.run(closed_loop(service.port, plan.films, plan.texts, max(clients), 2 * max(clients)))
        for _ in range(count):
            for way, run in ways.items():
                found.setdefault(way, []).append(run())
        memory = service.memory().to_json()
    return {
        "start_seconds": service.start_seconds,
        "single_film_p50_ms": _median(found["report"], lambda it: it.milliseconds(50)),
        "single_film_p99_ms": _median(found["report"], lambda it: it.milliseconds(99)),
        "stream_rate": _median(found["report_stream"], lambda it: it.rate),
        "isolated_stream_rate": _median(found[_ISOLATED], lambda it: it.rate),
        "clients": {str(number): _of_clients(found, number) for number in clients},
        "memory_after": memory,
    }


def _of_clients(found: Mapping[str, list[Served]], number: int) -> dict[str, object]:
    rounds = found[_clients(number)]
    statuses: dict[str, int] = {}
    for one in rounds:
        for status, times in one.statuses.items():
            statuses[str(status)] = statuses.get(str(status), 0) + times
    single = _median(found["report"], lambda it: it.milliseconds(50))
    return {
        "rate": _median(rounds, lambda it: it.rate),
        "over_stream": _ratio(rounds, found["report_stream"]),
        "over_isolated_stream": _ratio(rounds, found[_ISOLATED]),
        "over_stream_of_as_many": _ratio(rounds, found[_stream(number)]),
        "p50_ms": _median(rounds, lambda it: it.milliseconds(50)),
        "p99_ms": _median(rounds, lambda it: it.milliseconds(99)),
        "p50_over_single": _median(rounds, lambda it: it.milliseconds(50)) / single,
        "p99_over_single": _median(rounds, lambda it: it.milliseconds(99)) / single,
        "statuses": statuses,
        "wrong": sum(one.wrong for one in rounds),
        "client_processor_share": _median(rounds, lambda it: it.client_seconds / it.seconds),
    }


def stop_part(plan: Plan, clients: int, seconds: float) -> dict[str, object]:
    """SIGTERM under load."""
    with served(plan.bundle, plan.serve()) as service:
        return asyncio.run(stopped_under_load(service, plan.films, clients, seconds)).to_json()


def garbage_part(plan: Plan, tries: int) -> dict[str, object]:
    """Garbage, while somebody honest is served."""

    async def run(service: ServedProcess) -> dict[str, object]:
        async with neighbour(service.port, plan.films[0], plan.texts[0]) as honest:
            attacked = await garbage(service.port, plan.films[0], tries)
        return {**attacked.to_json(), "neighbour": honest.to_json(), "memory": service.memory().to_json()}

    with served(plan.bundle, plan.serve()) as service:
        return asyncio.run(run(service))


def half_part(plan: Plan, tries: int, *, hold: bool) -> dict[str, object]:
    """Half requests, while somebody honest is served."""

    async def run(service: ServedProcess) -> dict[str, object]:
        film = plan.films[0]
        async with neighbour(service.port, film, plan.texts[0]) as honest:
            left = await half_requests(service.port, film, tries, hold=False)
            held = await half_requests(service.port, film, tries, hold=True) if hold else None
        return {
            "left": left.to_json(),
            "held": held and held.to_json(),
            "neighbour": honest.to_json(),
            "memory": service.memory().to_json(),
        }

    with served(plan.bundle, plan.serve()) as service:
        return asyncio.run(run(service))


def connections_part(plan: Plan, wanted: int) -> dict[str, object]:
    """Many connections: with the service's own bound, and with one that lets all of them in."""
    may_have = _allow_files(wanted + _RLIMIT_BESIDE) - _RLIMIT_BESIDE
    wanted = min(wanted, may_have)

    async def run(service: ServedProcess) -> dict[str, object]:
        async with neighbour(service.port, plan.films[0], plan.texts[0]) as honest:
            found = await crowd(service, wanted)
        return {**found.to_json(), "neighbour": honest.to_json(), "after": service.memory().to_json()}

    results: dict[str, object] = {}
    for name, more in (("bounded", ()), ("all_let_in", ("--most-connections", str(wanted + 64)))):
        with served(plan.bundle, plan.serve(*more)) as service:
            results[name] = asyncio.run(run(service))
    return results


def soak_part(plan: Plan, clients: int, seconds: float, *, is_quiet: bool) -> dict[str, object]:
    """Memory over time."""

    def show(passed: float, reports: int, memory: object) -> None:
        if not is_quiet:
            click.echo(f"{passed:7.0f} s {reports:8} reports  {memory}", err=True)

    with served(plan.bundle, plan.serve()) as service:
        return soak(service, plan.films, plan.texts, clients, seconds, show).to_json()


PARTS: Final = ("load", "stop", "garbage", "half", "connections", "soak")


@click.command()
@click.argument("films", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--bundle", type=click.Path(path_type=Path), help="Without it, the demo bundle.")
@click.option("--precision", default="fp32", show_default=True)
@click.option("--threads", type=click.IntRange(min=1))
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="May be repeated.")
@click.option("--clients", multiple=True, type=click.IntRange(1, 1024), default=(1, 4, 16, 64))
@click.option("--requests", type=click.IntRange(min=4), default=256, show_default=True, help="A round.")
@click.option("--rounds", "count", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--tries", type=click.IntRange(min=1), default=500, show_default=True, help="Of attacks.")
@click.option("--hold/--no-hold", default=True, show_default=True, help="Wait with half requests.")
@click.option("--connections", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--load-seconds", type=float, default=2.0, show_default=True, help="Before SIGTERM.")
@click.option("--seconds", type=float, default=60.0, show_default=True, help="Of the soak; 3600 is an hour.")
@click.option("--serve-option", "options", multiple=True, help="Given on to cxrscribe serve.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def main(
    films: tuple[Path, ...],
    bundle: Path | None,
    precision: str,
    threads: int | None,
    parts: tuple[str, ...],
    clients: tuple[int, ...],
    requests: int,
    count: int,
    tries: int,
    hold: bool,
    connections: int,
    load_seconds: float,
    seconds: float,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure `cxrscribe serve` with FILMs, or with drawn ones."""
    chosen = parts or PARTS[:-1]
    bundle = bundle or cxrscribe.demo_bundle()
    with TemporaryDirectory(prefix="cxrscribe-bench-") as folder:
        contents = tuple(path.read_bytes() for path in films or write_drawn_films(DRAWN, Path(folder)))
    results: dict[str, object] = {"precision": precision, "films": len(contents)}
    with cxrscribe.load(bundle, precision=precision, device="cpu", threads=threads) as reporter:
        texts = tuple(reporter.report(film).text for film in contents)
        plan = Plan(bundle, contents, texts, precision, threads, options)
        if "load" in chosen:
            isolation = cxrscribe.Isolation("all")
            with cxrscribe.load(
                bundle, precision=precision, device="cpu", threads=threads, isolation=isolation
            ) as isolating:
                results["load"] = load_part(plan, reporter, isolating, clients, requests, count)
    others: dict[str, Callable[[], dict[str, object]]] = {
        "stop": lambda: stop_part(plan, 16, load_seconds),
        "garbage": lambda: garbage_part(plan, tries),
        "half": lambda: half_part(plan, tries, hold=hold),
        "connections": lambda: connections_part(plan, connections),
        "soak": lambda: soak_part(plan, 16, seconds, is_quiet=as_json),
    }
    results |= {part: run() for part, run in others.items() if part in chosen}
    if as_json:
        click.echo(json.dumps(results, indent=1))
    else:
        click.echo("\n".join(_lines(results)))


def _lines(value: object, indent: str = "") -> list[str]:
    """For people: a name and its value a line."""
    if not isinstance(value, Mapping):
        return [f"{indent}{value}"]
    lines = []
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            lines += [f"{indent}{name}", *_lines(inner, f"{indent}  ")]
        elif isinstance(inner, float):
            lines.append(f"{indent}{name:24} {inner:.3f}")
        elif not isinstance(inner, list):
            lines.append(f"{indent}{name:24} {inner}")
    return lines


def _median(rounds: Sequence[Served], figure: Callable[[Served], float]) -> float:
    return median(map(figure, rounds))


def _ratio(ones: Sequence[Served], others: Sequence[Served]) -> float:
    return median(one.rate / other.rate for one, other in zip(ones, others, strict=True))


def _clients(number: int) -> str:
    return f"clients {number}"


def _stream(number: int) -> str:
    return f"report_stream {number}"


def _allow_files(wanted: int) -> int:
    """Let this process, and those that it starts, have so many files open; gives how many it may have."""
    try:
        import resource
    except ImportError:  # Windows has no such bound
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


if __name__ == "__main__":
    main()
