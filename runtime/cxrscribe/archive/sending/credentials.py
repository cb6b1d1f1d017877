"""What proves to a PACS who is asking: from the environment or files of one's own, never from a command line.

None of it is ever shown: not in errors, and not by `repr`.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe.regular_file import open_regular

TOKEN: Final = "CXRSCRIBE_DICOMWEB_TOKEN"
USER: Final = "CXRSCRIBE_DICOMWEB_USER"
PASSWORD: Final = "CXRSCRIBE_DICOMWEB_PASSWORD"
KEY_PASSWORD: Final = "CXRSCRIBE_CLIENT_KEY_PASSWORD"

_MOST_BYTES: Final = 65_536
_AUTHORIZATION: Final = "authorization"
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(r"[!-~]([ !-~]*[!-~])?")
_OURS: Final = frozenset(
    """
    accept accept-encoding connection content-encoding content-length content-type host te trailer
    transfer-encoding upgrade
    """.split()  # noqa: SIM905 (a list takes a dozen lines)
)
"""Headers on which the exchange itself hangs."""


@dataclass(frozen=True)
class Credentials:
    """Headers that go with every request."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_credentials(token_file: Path | None = None, headers_file: Path | None = None) -> Credentials:
    """The token of a file or the environment, user and password of the environment, headers of a file.

    Variables are taken out of the environment. Raises InputError, which shows none of it, for a file that
    others may read, for what is no token or header, and where two things claim to be the authorization.
    """
    headers: dict[str, str] = {}
    if headers_file is not None:
        headers |= _headers(_private(headers_file, "headers"), headers_file)
    claims = ["the headers file"] if any(name.lower() == _AUTHORIZATION for name in headers) else []
    token = os.environ.pop(TOKEN, None)
    if token_file is not None:
        claims.append("--token-file")
        headers["Authorization"] = f"Bearer {_token(_private(token_file, 'token'), f'{token_file}')}"
    if token is not None:
        claims.append(TOKEN)
        headers["Authorization"] = f"Bearer {_token(token, TOKEN)}"
    user, password = os.environ.pop(USER, None), os.environ.pop(PASSWORD, None)
    if (user is None) != (password is None):
        raise InputError(f"{USER} and {PASSWORD} go together; set both")
    if user is not None and password is not None:
        if ":" in user:
            raise InputError(f"{USER} has a colon in it, which no user of Basic authentication has")
        claims.append(USER)
        pair = f"{user}:{password}".encode("utf-8", "surrogateescape")
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
    if len(claims) > 1:
        raise InputError(f"{' and '.join(claims)} both say who is asking; give one")
    return Credentials(headers)


def tls_context(
    authorities: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """TLS 1.2 or later, towards a peer whose certificate is checked.

    `authorities`: PEM of whom to believe instead of those of this system. `certificate`, `key`: PEM, of this
    client; the key may be in the certificate's file, and its password in the environment. Raises InputError.
    """
    if key is not None and certificate is None:
        raise InputError("--client-key goes with --client-certificate; give both")
    password = os.environ.pop(KEY_PASSWORD, None)
    try:
        context = ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"--ca {authorities} holds no certificates in PEM ({_why(error)})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        _check_private(key or certificate, "key")
        try:
            # A password is always given: else OpenSSL would ask for one on the terminal.
            context.load_cert_chain(certificate, key, password=password or "")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise InputError(
                f"--client-certificate {certificate} and its key can't be used ({_why(error)}); give PEM "
                f"files that belong together, and the password of the key, if it has one, in {KEY_PASSWORD}"
            ) from None
    return context


def _why(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__


def _private(path: Path, what: str) -> str:
    _check_private(path, what)
    try:
        with open_regular(path) as file:
            content = file.read(_MOST_BYTES + 1) or b""
    except OSError as error:
        raise InputError(f"the {what} file {path} can't be read ({error.strerror})") from None
    if len(content) > _MOST_BYTES:
        raise InputError(f"the {what} file {path} has more than {_MOST_BYTES:,} bytes; give another one")
    return content.decode("utf-8", "surrogateescape")


def _check_private(path: Path, what: str) -> None:
    """Raise InputError for a file that others than its owner may read, where there are such rights."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(f"the {what} file {path} can't be read ({error.strerror})") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise InputError(f"others may read the {what} file {path}; chmod 600 it")


def _token(text: str, where: str) -> str:
    token = text.strip()
    if not _VALUE.fullmatch(token) or " " in token:
        raise InputError(f"{where} holds no token: one word of ASCII letters, digits and signs")
    return token


def _headers(text: str, path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        value = value.strip()
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise InputError(f"line {number} of the headers file {path} isn't NAME: VALUE in ASCII")
        if name.lower() in _OURS or name.lower() in map(str.lower, found):
            raise InputError(
                f"line {number} of the headers file {path} has a header that may not be given here"
            )
        found[name] = value
    return found
