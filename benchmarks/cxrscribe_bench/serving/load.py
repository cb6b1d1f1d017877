"""Clients in a closed loop: each asks again when it has its answer. And the same films without HTTP."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from statistics import quantiles
from time import perf_counter, process_time

import cxrscribe
from cxrscribe.report import Report
from cxrscribe_bench.serving.client import Client, film_request


@dataclass
class Served:
    """What some requests, or films, took."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds of each that got its report."""
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    """Reports with other words than `Reporter.report` gives."""
    client_seconds: float = 0.0
    """Processor time that the clients themselves took."""

    @property
    def rate(self) -> float:
        """Reports a second."""
        return len(self.latencies) / self.seconds

    def milliseconds(self, percent: int) -> float:
        """The latency that so many percent stay below, in milliseconds."""
        if len(self.latencies) < 2:
            return 1e3 * sum(self.latencies)
        return 1e3 * quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


async def closed_loop(
    port: int, films: Sequence[bytes], texts: Sequence[str], clients: int, requests: int
) -> Served:
    """Have `requests` films answered, by so many clients at a time; `texts` are what each film should get.

    Raises OSError or EOFError where a connection ends before its answer.
    """
    written = [film_request(film) for film in films]
    connections = [await Client.connect(port) for _ in range(clients)]
    numbers = iter(range(requests))
    answers: list[tuple[int, bytes]] = []
    found = Served()

    async def ask(client: Client) -> None:
        for number in numbers:
            place = number % len(films)
            began = perf_counter()
            answer = await client.ask(written[place])
            found.statuses[answer.status] += 1
            if answer.status == 200:
                found.latencies.append(perf_counter() - began)
                answers.append((place, answer.content))

    try:
        began, processor = perf_counter(), process_time()
        async with asyncio.TaskGroup() as group:
            for client in connections:
                group.create_task(ask(client))
        found.seconds, found.client_seconds = perf_counter() - began, process_time() - processor
    finally:
        for client in connections:
            client.close()
    found.wrong = sum(_text(content) != texts[place] for place, content in answers)
    return found


def streamed(reporter: cxrscribe.Reporter, films: Sequence[bytes], at_once: int, requests: int) -> Served:
    """The same by `report_stream`, so many films at a time. Its latencies say nothing."""
    found = Served()
    began = perf_counter()
    wanted = islice(cycle(films), requests)
    reports = sum(isinstance(item, Report) for item in reporter.report_stream(wanted, batch_size=at_once))
    found.seconds = perf_counter() - began
    found.latencies = [found.seconds / requests] * reports
    return found


def one_by_one(reporter: cxrscribe.Reporter, films: Sequence[bytes], requests: int) -> Served:
    """The same by `report`, one after the other."""
    found = Served()
    began = perf_counter()
    for film in islice(cycle(films), requests):
        start = perf_counter()
        reporter.report(film)
        found.latencies.append(perf_counter() - start)
    found.seconds = perf_counter() - began
    return found


def _text(content: bytes) -> str:
    return str(json.loads(content)["text"])
