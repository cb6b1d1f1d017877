"""`cxrscribe serve`: reports over HTTP."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import click

from cxrscribe.cli.options import engine_options
from cxrscribe.cli.terminal import say, say_json
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError


@click.command(short_help="Write reports over HTTP.")
@partial(engine_options, isolate="all", spinning=False)
@click.option(
    "--host", metavar="ADDRESS", help="Address to listen at.  [default: 127.0.0.1, this machine alone]"
)
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", help="0 for one that is free.  [default: 8766]"
)
@click.option(
    "--unix", type=click.Path(path_type=Path), metavar="PATH", help="Listen at a unix socket instead."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Holds the token that clients have to send; or the environment's CXRSCRIBE_TOKEN does.",
)
@click.option(
    "--tls-certificate", type=click.Path(path_type=Path), metavar="FILE", help="PEM, with its chain: HTTPS."
)
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="Its key, PEM.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Name that clients may call this machine by, besides localhost; may be repeated.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Web page of elsewhere that may ask, https://viewer.example say; may be repeated.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 4096),
    default=64,
    show_default=True,
    metavar="N",
    help="Films or studies that are searched for at a time.",
)
@click.option(
    "--most-waiting",
    type=click.IntRange(1, 1_000_000),
    default=256,
    show_default=True,
    metavar="N",
    help="Films or studies that may be in the queue; more get 503.",
)
@click.option(
    "--most-megabytes",
    type=click.IntRange(1, 100_000),
    default=64,
    show_default=True,
    metavar="MB",
    help="Of the body of one request.",
)
@click.option(
    "--held-megabytes",
    type=click.IntRange(1, 1_000_000),
    default=512,
    show_default=True,
    metavar="MB",
    help="Of all bodies that are in memory.",
)
@click.option(
    "--most-connections",
    type=click.IntRange(1, 100_000),
    default=512,
    show_default=True,
    metavar="N",
    help="Connections at a time.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="S",
    help="Seconds for an answer, once the film is there; then 504.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="S",
    help="Seconds for what was accepted, after SIGTERM or Ctrl-C.",
)
@click.option(
    "--warm",
    type=click.IntRange(0, 4096),
    default=8,
    show_default=True,
    metavar="N",
    help="Films to warm up for before it is ready; 0 for none.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the address as one JSON object when it is ready."
)
def serve(
    engine: Engine,
    host: str | None,
    port: int | None,
    unix: Path | None,
    token_file: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    batch_size: int,
    most_waiting: int,
    most_megabytes: int,
    held_megabytes: int,
    most_connections: int,
    deadline: float,
    grace: float,
    warm: int,
    as_json: bool,
) -> None:
    """Answer POST /v1/report, whose body is a film, with its report as JSON, until SIGTERM or Ctrl-C.

    The address is printed when reports are written; /openapi.json describes what there is. The log is on
    stderr, a JSON object a line, without names, texts and reports. Films are read in processes of their own.
    docs/serving.md says more.

    Exit code: 0 stopped, and all that was accepted was answered; 1 some was not within --grace; 2 wrong
    usage, no such bundle or device, or the address is taken.
    """
    from cxrscribe.loopback import is_loopback
    from cxrscribe.server.access import Access, checked_origins, hosts_of, read_token
    from cxrscribe.server.limits import MEGABYTE, Limits
    from cxrscribe.server.listening import Place
    from cxrscribe.server.listening import serve as listen
    from cxrscribe.server.log import Log

    if unix is not None and (host is not None or port is not None):
        raise InputError("--unix goes without --host and --port; give one place")
    if (tls_certificate is None) != (tls_key is None):
        raise InputError("--tls-certificate and --tls-key go together; give both")
    token = read_token(token_file)
    address = host or "127.0.0.1"
    log = Log()
    if unix is None and not is_loopback(address):
        if token is None:
            log.warning(
                f"anybody who reaches {address} may send films and read reports: there is no token; give "
                "--token-file, or leave --host out"
            )
        if tls_certificate is None:
            log.warning(
                "films and reports travel unencrypted; give --tls-certificate and --tls-key, or put a proxy "
                "that speaks TLS in front"
            )
    limits = Limits(
        body_bytes=most_megabytes * MEGABYTE,
        held_bytes=max(held_megabytes, most_megabytes) * MEGABYTE,
        waiting=most_waiting,
        searched=batch_size,
        connections=most_connections,
        deadline=deadline,
        grace=grace,
    )
    if engine.bundle is None:
        log.event("demo", message="No bundle given: the embedded demo bundle knows nothing about patients.")

    def say_address(url: str) -> None:
        if as_json:
            say_json({"url": url, "pid": os.getpid()})
        else:
            say(url)
        sys.stdout.flush()

    unanswered = listen(
        engine.load,
        Place(address, 8766 if port is None else port, unix, tls_certificate, tls_key),
        Access(token, hosts_of(None if unix else address, hosts), checked_origins(origins)),
        limits,
        warm=warm,
        log=log,
        when_ready=say_address,
    )
    click.get_current_context().exit(1 if unanswered else 0)
