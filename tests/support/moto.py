"""A server that speaks S3, from an environment of its own: its dependencies quarrel with others."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_PATIENCE = 60.0


@contextmanager
def moto_server() -> Iterator[dict[str, str]]:
    """The environment in which everybody speaks to a new, empty server; skips where there is none to start.

    $MOTO_SERVER or the path has the program `moto_server`.
    """
    program = os.environ.get("MOTO_SERVER") or shutil.which("moto_server")
    if program is None:
        pytest.skip("no moto_server, which `make test-store` installs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    unset = {"PYTHONPATH", "PYTHONHOME"}
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name not in unset},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        ends = time.monotonic() + _PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < ends
                time.sleep(0.1)
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
        }
    finally:
        process.terminate()
        process.wait()


def make_bucket(environment: dict[str, str], name: str) -> None:
    """Make a bucket on the server."""
    credential = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"
    request = urllib.request.Request(
        f"{environment['AWS_ENDPOINT_URL']}/{name}",
        method="PUT",
        data=b"",
        headers={
            "Authorization": f"{credential}, SignedHeaders=host, Signature=0",
            "Content-Type": "application/octet-stream",
        },
    )
    urllib.request.urlopen(request, timeout=30).close()
