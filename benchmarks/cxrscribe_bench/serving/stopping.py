"""SIGTERM under load: what the service had accepted, and what its clients got."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from cxrscribe_bench.serving.client import Client, film_request
from cxrscribe_bench.serving.service import ServedProcess


@dataclass
class Stopped:
    """Both sides' counts."""

    sent: int = 0
    """Requests that clients wrote whole."""
    answered: set[str] = field(default_factory=set)
    """Names of requests whose report a client has."""
    refused: Counter[int] = field(default_factory=Counter)
    """Other answers that clients have, by status."""
    unheard: int = 0
    """Requests whose connection was closed without an answer."""
    accepted: int = 0
    """By the service's log: requests that it took in, and didn't refuse."""
    done: set[str] = field(default_factory=set)
    """By the service's log: names of requests that got a report."""
    exit_code: int | None = None
    seconds: float = 0.0
    """From the signal to the end of the process."""

    @property
    def lost(self) -> int:
        """Accepted, and without a report at the client."""
        return self.accepted - len(self.answered & self.done)

    def to_json(self) -> dict[str, object]:
        """Numbers alone."""
        return {
            "sent": self.sent,
            "accepted": self.accepted,
            "answered": len(self.answered),
            "lost": self.lost,
            "refused": {str(status): times for status, times in sorted(self.refused.items())},
            "closed_without_answer": self.unheard,
            "exit_code": self.exit_code,
            "seconds_to_end": round(self.seconds, 3),
        }


async def stopped_under_load(
    service: ServedProcess, films: Sequence[bytes], clients: int, seconds: float
) -> Stopped:
    """Load it with so many clients, ask it to end after so many seconds, and wait until it has."""
    found = Stopped()
    written = [film_request(film) for film in films]

    async def ask(client: Client, number: int) -> None:
        while True:
            try:
                await client.send(written[number % len(written)])
            except OSError:
                return
            found.sent += 1
            try:
                answer = await client.answer()
            except (OSError, EOFError):
                found.unheard += 1
                return
            if answer.status != 200:
                found.refused[answer.status] += 1
                return
            found.answered.add(answer.request_id)
            if answer.is_last:
                return
            number += clients

    connections = [await Client.connect(service.port) for _ in range(clients)]
    loops = [asyncio.create_task(ask(client, number)) for number, client in enumerate(connections)]
    await asyncio.sleep(seconds)
    began = perf_counter()
    service.ask_to_end()
    found.exit_code = await asyncio.to_thread(service.wait)
    found.seconds = perf_counter() - began
    await asyncio.gather(*loops)
    for client in connections:
        client.close()
    _count_log(service, found)
    return found


def _count_log(service: ServedProcess, found: Stopped) -> None:
    for event in service.events():
        if event["event"] == "stopped":
            found.accepted += event["unanswered"]
        if event["event"] != "request" or event["method"] != "POST":
            continue
        if event["status"] in (200, 422, 499, 504):
            found.accepted += 1
        if event["status"] == 200:
            found.done.add(event["id"])
