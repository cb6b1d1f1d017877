"""The body of a request: read as it comes, counted while it comes, and never on a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from io import BytesIO
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from cxrscribe.server.limits import MOST_INDICATION_BYTES, MOST_PARTS, HeldBytes, Limits
from cxrscribe.server.problems import ClientGoneError, RequestError, busy

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]

MULTIPART: Final = b"multipart/form-data"
INDICATION: Final = "indication"
BROKEN_BODY: Final = "cxrscribe.broken_body"
"""In the state of a request whose body stopped making sense: nothing more comes of it."""
_LONGEST_NAME: Final = 1024


@dataclass
class Films:
    """What a body holds."""

    films: list[bytes] = field(default_factory=list)
    """The content of each file."""
    names: list[str | None] = field(default_factory=list)
    """What the client calls each of them."""
    indication: str | None = None
    """What is known of the patient. Never shown."""
    is_several: bool = False
    """Whether the body was a form, whose answer is an array."""


class Body:
    """Reads the body of one request. What it has read counts as held until `release`."""

    def __init__(
        self, receive: Receive, limits: Limits, held: HeldBytes, state: Mapping[str, Any] | None = None
    ) -> None:
        """`state`: of the request, where the server says BROKEN_BODY."""
        self._receive = receive
        self._state = {} if state is None else state
        self._limits = limits
        self._held = held
        self.bytes = 0
        """How many have come."""
        self.is_whole = False
        """Whether all have."""

    async def read(self, headers: dict[bytes, bytes]) -> Films:
        """All of it. Raises RequestError 400, 408, 413, 415 or 503, and ClientGoneError."""
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise RequestError(415, "content_encoding", "the body is encoded; send the film as it is")
        length = headers.get(b"content-length")
        if length is not None and int(length) > self._limits.body_bytes:
            raise self._too_large()
        kind, options = parse_options_header(headers.get(b"content-type", b"").decode("latin-1"))
        if kind == MULTIPART:
            return await self._read_form(options.get(b"boundary", b""))
        content = BytesIO()
        await self._read_into(content.write)
        film = content.getvalue()
        if not film:
            raise RequestError(400, "no_film", "the body is empty; send a film")
        return Films([film], [_file_name(headers.get(b"content-disposition", b""))])

    def release(self) -> None:
        """Its bytes are gone from memory."""
        self._held.release(self.bytes)

    async def discard(self, seconds: float, most: int) -> None:
        """Take what the client still sends, so that it reads the answer instead of a broken connection."""
        end = monotonic() + seconds
        try:
            while not self.is_whole and most > 0:
                async with asyncio.timeout(end - monotonic()):
                    message = await self._receive()
                if message["type"] != "http.request":
                    return
                most -= len(message.get("body", b""))
                self.is_whole = not message.get("more_body", False)
        except TimeoutError:
            return

    async def _read_into(self, write: Callable[[bytes], object]) -> None:
        limits, began = self._limits, monotonic()
        while not self.is_whole:
            until = began + limits.body_seconds + self.bytes / limits.body_rate
            try:
                async with asyncio.timeout(until - monotonic()):
                    message = await self._receive()
            except TimeoutError:
                raise RequestError(
                    408, "body_too_slow", "the body came too slowly; send it at once, or a smaller film"
                ) from None
            if message["type"] != "http.request":
                raise ClientGoneError
            if self._state.get(BROKEN_BODY):
                raise RequestError(
                    400,
                    "not_http",
                    "the body isn't as HTTP/1.1 has it, or is in very small chunks; send it with its length",
                )
            chunk: bytes = message.get("body", b"")
            if self.bytes + len(chunk) > limits.body_bytes:
                raise self._too_large()
            if not self._held.take(len(chunk)):
                raise busy("too_many_bytes", "films of others fill the memory for bodies; try again soon")
            self.bytes += len(chunk)
            write(chunk)
            self.is_whole = not message.get("more_body", False)

    async def _read_form(self, boundary: bytes) -> Films:
        try:
            form = _Form(boundary)
            await self._read_into(form.parser.write)
        except FormParserError:
            raise RequestError(
                400,
                "not_a_form",
                "the body isn't multipart/form-data with the boundary that its header names",
            ) from None
        return form.films()

    def _too_large(self) -> RequestError:
        most = self._limits.body_bytes / 1e6
        return RequestError(
            413, "too_large", f"the body has more than {most:.0f} MB; send fewer or smaller films"
        )


class _Form:
    """The parts of a form: files, and the text `indication`."""

    def __init__(self, boundary: bytes) -> None:
        if not boundary:
            raise FormParserError("no boundary")
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._name,
            "on_header_value": self._value,
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": self._data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        self.parser = MultipartParser(boundary, callbacks)
        self._found = Films(is_several=True)
        self._is_whole = False
        self._begin()

    def films(self) -> Films:
        """What the parts hold. Raises RequestError 400 where the form has no end, or no film."""
        if not self._is_whole:
            raise RequestError(400, "not_a_form", "the form was cut off; send all of its parts, and its end")
        if not self._found.films:
            raise RequestError(
                400, "no_film", "the form has no file; send each film as a part with a file name"
            )
        return self._found

    def _begin(self) -> None:
        self._headers_found: dict[bytes, bytes] = {}
        self._field = self._text = b""
        self._content = BytesIO()
        self._is_film = False

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._text += data[start:end]

    def _header(self) -> None:
        self._headers_found[self._field.lower()] = self._text
        self._field = self._text = b""

    def _headers(self) -> None:
        disposition = self._headers_found.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition.decode("latin-1"))
        kind = self._headers_found.get(b"content-type", b"text/plain").lower()
        if options.get(b"name") == INDICATION.encode():
            if self._found.indication is not None:
                raise RequestError(
                    400, "wrong_part", "the form has two parts named indication; send one for all films"
                )
        elif b"filename" not in options and kind.startswith(b"text/plain"):
            raise RequestError(
                400,
                "wrong_part",
                "the form has a text that isn't named indication; give films a file name, and settings in "
                "the address",
            )
        else:
            self._is_film = True
            if len(self._found.films) == MOST_PARTS:
                raise RequestError(
                    413, "too_many_films", f"the form has more than {MOST_PARTS} films; send fewer"
                )
            self._found.names.append(_file_name(disposition))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_film and self._content.tell() + end - start > MOST_INDICATION_BYTES:
            raise RequestError(
                413, "too_large", f"the indication has more than {MOST_INDICATION_BYTES} bytes"
            )
        self._content.write(memoryview(data)[start:end])

    def _end_part(self) -> None:
        content = self._content.getvalue()
        if self._is_film:
            self._found.films.append(content)
        else:
            try:
                self._found.indication = content.decode("utf-8")
            except UnicodeDecodeError:
                raise RequestError(400, "wrong_part", "the indication isn't UTF-8") from None
        self._content = BytesIO()

    def _end(self) -> None:
        self._is_whole = True


def _file_name(disposition: bytes) -> str | None:
    """What a Content-Disposition calls the file; None where it doesn't say."""
    _, options = parse_options_header(disposition.decode("latin-1"))
    name = options.get(b"filename")
    return None if not name else name[:_LONGEST_NAME].decode("utf-8", "replace")
