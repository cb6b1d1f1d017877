"""What the load test counts, on services that do wrong: it has to notice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from cxrscribe_bench.serving.attacks import half_requests, neighbour
from cxrscribe_bench.serving.client import Client, ask_once, film_request, request
from cxrscribe_bench.serving.load import Served, closed_loop
from cxrscribe_bench.serving.service import HOST
from cxrscribe_bench.serving.stopping import Stopped

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
FILMS = [b"film 0", b"film 1"]
TEXTS = ["no effusion .", "large effusion ."]


def answer(text: str, status: int = 200, more: str = "") -> bytes:
    body = json.dumps({"text": text}).encode()
    head = f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\nX-Request-ID: abc\r\n{more}\r\n"
    return head.encode() + body


def answering(reply: Callable[[bytes], bytes]) -> Handler:
    """Answers each request with what `reply` makes of its body; nothing: close."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                content = reply(await reader.readexactly(length))
                if not content:
                    break
                writer.write(content)
                await writer.drain()
        except (OSError, EOFError):
            pass

    return handle


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[int]:
    under_way: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            await handle(reader, writer)
        finally:
            writer.transport.abort()
            under_way.discard(task)

    async with await asyncio.start_server(one, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1]
        server.close()
        if under_way:  # clients that have gone are noticed in a moment
            await asyncio.wait(under_way)


def right(film: bytes) -> bytes:
    return answer(TEXTS[FILMS.index(film)])


def loop(handle: Handler, clients: int = 3, requests: int = 10) -> Served:
    async def run() -> Served:
        async with serving(handle) as port:
            return await closed_loop(port, FILMS, TEXTS, clients, requests)

    return asyncio.run(run())


def test_every_film_is_asked_for_and_its_words_compared() -> None:
    found = loop(answering(right))
    assert found.statuses == {200: 10}
    assert found.wrong == 0
    assert len(found.latencies) == 10
    assert 0 < found.milliseconds(50) <= found.milliseconds(99)
    assert found.rate == 10 / found.seconds


def test_other_words_are_noticed() -> None:
    assert loop(answering(lambda _: answer(TEXTS[0]))).wrong == 5


def test_refusals_are_no_reports() -> None:
    found = loop(answering(lambda film: answer("", 503) if film == FILMS[1] else right(film)))
    assert found.statuses == {200: 5, 503: 5}
    assert len(found.latencies) == 5


def test_a_connection_that_ends_is_an_error() -> None:
    with pytest.raises(ExceptionGroup):
        loop(answering(lambda _: b""))


def test_a_client_hears_that_an_answer_is_the_last() -> None:
    async def run(more: str) -> bool:
        async with serving(answering(lambda _: answer("", more=more))) as port:
            return (await ask_once(port, film_request(b"film"))).is_last

    assert asyncio.run(run("Connection: close\r\n"))
    assert not asyncio.run(run(""))


def test_a_report_that_its_client_never_got_is_lost() -> None:
    assert Stopped(answered={"a", "b"}, done={"a", "b"}, accepted=2).lost == 0
    assert Stopped(answered={"a"}, done={"a", "b"}, accepted=2).lost == 1
    assert Stopped(answered={"a"}, done={"a"}, accepted=3).lost == 2


@pytest.mark.parametrize(
    ("reply", "fails"), [(right, False), (lambda _: answer("wrong"), True), (lambda _: b"", True)]
)
def test_a_neighbour_that_is_served_badly_is_noticed(reply: Callable[[bytes], bytes], fails: bool) -> None:
    async def run() -> tuple[int, int]:
        async with serving(answering(reply)) as port, neighbour(port, FILMS[1], TEXTS[1]) as honest:
            await asyncio.sleep(0.05)
        return len(honest.latencies), honest.failed

    served, failed = asyncio.run(run())
    assert (served == 0, failed > 0) == (fails, fails)


def test_half_requests_are_half_and_no_whole_one() -> None:
    whole = film_request(FILMS[0])
    came: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError):  # of some requests nothing comes
            came.append(await asyncio.wait_for(reader.read(1 << 16), 0.2))

    async def run() -> None:
        async with serving(take) as port:
            found = await half_requests(port, FILMS[0], 20, hold=True)
        assert found.answers == {"closed": 20}
        assert len(found.seconds) == 20

    asyncio.run(run())
    assert all(whole.startswith(part) and part != whole for part in came)


def test_a_request_says_how_long_it_is() -> None:
    assert request("POST", "/v1/report?n_best=2", b"film").endswith(b"Content-Length: 4\r\n\r\nfilm")


def test_the_client_reads_answers_that_come_together() -> None:
    async def run() -> list[str]:
        async with serving(answering(lambda _: answer("a") + answer("b"))) as port:
            client = await Client.connect(port)
            await client.send(film_request(b""))
            texts = [(await client.answer()).text for _ in range(2)]
            client.close()
            return texts

    assert asyncio.run(run()) == ["a", "b"]
