"""Who may ask: by token, by the name that the client calls this machine, and by the page that asks."""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe.loopback import is_loopback
from cxrscribe.regular_file import open_regular
from cxrscribe.server.problems import RequestError

TOKEN_VARIABLE: Final = "CXRSCRIBE_TOKEN"
_SHORTEST_TOKEN: Final = 16
_LONGEST_TOKEN: Final = 4096
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]@]*)(?::[0-9]*)?", re.ASCII)
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, repr=False)
class Access:
    """Who may ask for what."""

    token: bytes | None = None
    """Of the header `Authorization: Bearer TOKEN`; None for everybody."""
    hosts: frozenset[str] | None = None
    """What a client may call this machine, without port, in lower case; None for anything."""
    origins: frozenset[str] = frozenset()
    """Web pages of elsewhere that may ask: `https://viewer.example`."""

    def check_host(self, headers: dict[bytes, bytes]) -> None:
        """Raise RequestError 421 for a name that isn't this machine's.

        A page of elsewhere can let its own name mean this machine, and then ask as if it were at home.
        """
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self.hosts is not None and _without_port(host) not in self.hosts:
            raise RequestError(
                421, "wrong_host", "the header Host names another machine; --allow-host allows further names"
            )

    def allowed_origin(self, headers: dict[bytes, bytes]) -> str | None:
        """The page's origin where it is one of elsewhere that may ask; None for no page, or one of here.

        Raises RequestError 403 for any other.
        """
        given = headers.get(b"origin")
        if given is None:
            return None
        origin = given.decode("latin-1")
        if origin in self.origins:
            return origin
        if origin.partition("://")[2].lower() == headers.get(b"host", b"").decode("latin-1").lower() != "":
            return None
        raise RequestError(403, "wrong_origin", "a web page of elsewhere asks; --allow-origin allows one")

    def check_token(self, headers: dict[bytes, bytes]) -> None:
        """Raise RequestError 401 unless the token is there, if there has to be one."""
        if self.token is None:
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self.token):
            raise RequestError(
                401,
                "no_token",
                "the header Authorization: Bearer TOKEN is missing, or has another token",
                headers={"WWW-Authenticate": "Bearer"},
            )


def hosts_of(host: str | None, more: tuple[str, ...]) -> frozenset[str] | None:
    """The names that a service at `host`, None for a unix socket, answers to, and those of `more`.

    At an address that others can reach, any name is right unless some are named.
    """
    if host is None or not (more or is_loopback(host)):
        return None
    own = f"[{host}]" if ":" in host else host
    return frozenset(name.lower() for name in (*_LOOPBACK_NAMES, own, *more))


def checked_origins(origins: tuple[str, ...]) -> frozenset[str]:
    """`origins`, each of which is what browsers say: scheme and host. Raises InputError."""
    for origin in origins:
        scheme, there, host = origin.partition("://")
        if scheme not in ("http", "https") or not there or not host or set(host) & set("/?# *@"):
            raise InputError(
                f"the origin {origin} isn't one that browsers name; give scheme and host alone: "
                "https://viewer.example"
            )
    return frozenset(origins)


def read_token(file: Path | None) -> bytes | None:
    """The token of a file, or else of the environment; None where there is none.

    Raises InputError, which doesn't show it, for a file that can't be read and a token that isn't one.
    """
    if file is None:
        # Processes that read films of strangers have no use for it.
        given = os.environ.pop(TOKEN_VARIABLE, None)
        return None if given is None else _checked(given.encode("utf-8", "surrogateescape"), TOKEN_VARIABLE)
    try:
        with open_regular(file) as opened:
            content = opened.read(_LONGEST_TOKEN + 2)
    except OSError as error:
        raise InputError(f"the token file {file} can't be read ({error.strerror})") from None
    return _checked(content or b"", f"the token file {file}")


def _checked(content: bytes, where: str) -> bytes:
    token = content.strip()
    if not _SHORTEST_TOKEN <= len(token) <= _LONGEST_TOKEN or not all(0x21 <= byte <= 0x7E for byte in token):
        raise InputError(
            f"{where} has no token of {_SHORTEST_TOKEN} or more letters, digits and signs without spaces; "
            "write one there: openssl rand -hex 32"
        )
    return token


def _without_port(host: str) -> str | None:
    found = _HOST.fullmatch(host)
    return None if found is None else found[1]
