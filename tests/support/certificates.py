"""Certificates for the loopback, made by openssl and good for a day."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.skips import skip_or_fail


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path

    def server(self, *, clients: Path | None = None) -> ssl.SSLContext:
        """`clients`: whom a client has to be vouched for by."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        return context


def self_signed(
    folder: Path, name: str, *, password: str | None = None, hosts: str = "DNS:localhost,IP:127.0.0.1"
) -> Certificate:
    """A certificate for these hosts that vouches for itself."""
    if shutil.which("openssl") is None:
        skip_or_fail("openssl isn't installed")
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    secret = ["-nodes"] if password is None else ["-passout", f"pass:{password}"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "1",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName={hosts}", *secret,
         "-keyout", str(made.key), "-out", str(made.certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    made.key.chmod(0o600)
    return made
