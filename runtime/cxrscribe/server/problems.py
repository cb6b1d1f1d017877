"""Why a request isn't answered as it wished: a status, a code for programs, a message for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cxrscribe.errors import FilmError, Reason
from cxrscribe.printable import printable

RETRY_SECONDS: Final = 1
"""What a client is told to wait for when there is no room: a report takes less."""


class RequestError(Exception):
    """Ends a request. Neither code nor message holds what a client sent that could be a patient's."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = printable(message)
        self.headers = dict(headers or {})
        self.reason = reason
        """Of a film that can't be read, see `errors.Reason`."""

    def to_json(self, request_id: str) -> dict[str, object]:
        """`error`, with `code`, `message`, `request_id`, and of a film its `reason`."""
        of_film = {} if self.reason is None else {"reason": self.reason}
        return {"error": {"code": self.code, "message": self.message, **of_film, "request_id": request_id}}


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


def busy(code: str, message: str) -> RequestError:
    """503: try again soon."""
    return RequestError(503, code, message, headers={"Retry-After": str(RETRY_SECONDS)})


def film_problem(error: FilmError) -> RequestError:
    """422 for a film that can't be read; 503 where this machine is short of something for the moment."""
    if error.reason == Reason.OUT_OF_RESOURCES:
        return RequestError(
            503,
            "out_of_resources",
            str(error),
            headers={"Retry-After": str(RETRY_SECONDS)},
            reason=error.reason,
        )
    return RequestError(422, "film_error", str(error), reason=error.reason)
