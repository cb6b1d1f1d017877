"""`cxrscribe score send`: the structured reports of a run into a PACS."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cxrscribe.cli.progress import progress
from cxrscribe.cli.score.films import RUN
from cxrscribe.cli.terminal import note, say, say_json
from cxrscribe.errors import InputError

if TYPE_CHECKING:
    from cxrscribe.archive.sending.destination import Destination
    from cxrscribe.archive.sending.ledger import Sent, SentShard, ShardKey

_SHOWN_REFUSED: Final = 20
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.command(short_help="Send the structured reports of a run to a PACS.")
@click.argument("path", type=RUN, metavar="RUN")
@click.option("--dicomweb", metavar="URL", help="DICOMweb service to store in (STOW-RS): https://HOST/PATH.")
@click.option("--dicom", metavar="HOST:PORT", help="DICOM node to store in (C-STORE).")
@click.option("--retry-refused", is_flag=True, help="Send once more what the PACS has refused before.")
@click.option("--dry-run", is_flag=True, help="Connect, and say how much there is to send; send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option(
    "--connections",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="HTTP connections or associations at a time.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="S",
    help="Seconds for a connection, and for each answer.",
)
@click.option("--ca", type=_FILE, metavar="FILE", help="PEM of whom to believe instead of the system's list.")
@click.option(
    "--client-certificate", type=_FILE, metavar="FILE", help="Certificate to show, PEM with its chain."
)
@click.option(
    "--client-key",
    type=_FILE,
    metavar="FILE",
    help="Its key, PEM, if it isn't in the same file. Its password comes from the environment's "
    "CXRSCRIBE_CLIENT_KEY_PASSWORD.",
)
@click.option(
    "--token-file",
    type=_FILE,
    metavar="FILE",
    help="Bearer token for --dicomweb; nobody else may read the file. Or the environment has it in "
    "CXRSCRIBE_DICOMWEB_TOKEN, or a user in CXRSCRIBE_DICOMWEB_USER and CXRSCRIBE_DICOMWEB_PASSWORD.",
)
@click.option(
    "--headers-file",
    type=_FILE,
    metavar="FILE",
    help="Further headers for --dicomweb, NAME: VALUE on each line; nobody else may read the file.",
)
@click.option(
    "--insecure-http",
    is_flag=True,
    help="Allow http:// to another machine: names of patients travel unencrypted.",
)
@click.option("--calling", metavar="TITLE", help="Our AE title, for --dicom. [default: CXRSCRIBE]")
@click.option("--called", metavar="TITLE", help="AE title of the PACS, for --dicom. [default: ANY-SCP]")
@click.option("--tls", is_flag=True, help="Speak TLS, with --dicom.")
@click.option(
    "--max-pdu",
    type=click.IntRange(4096, 131_072),
    metavar="BYTES",
    help="Longest PDU that we take, with --dicom. [default: 16382]",
)
def send(path: str, retry_refused: bool, dry_run: bool, as_json: bool, connections: int, **pacs: Any) -> None:
    """Send the structured reports of RUN, which was scored with --sr, to a PACS, each once.

    A document is asked for before it is sent, and afterwards to confirm that it is there. What the PACS has
    acknowledged is in RUN/sent: killed, the command goes on when it is given again, and what comes later in
    a run is sent by the same command. What the PACS refuses is listed, and sent again only with
    --retry-refused. docs/sending.md says more.

    Exit code: 0 the PACS has all of it; 1 some was refused, or shards are left; 2 nothing could be done, or
    it had to stop; 130 interrupted.
    """
    from cxrscribe.archive.run import open_run
    from cxrscribe.archive.sending.choice import PacsChoice
    from cxrscribe.archive.sending.ledger import Ledger, Sent
    from cxrscribe.archive.sending.sender import (
        check_has_documents,
        count_documents,
        scored_shards,
        send_shards,
        shards_to_send,
        unscored_count,
    )

    run = open_run(path)
    check_has_documents(run)
    destination = PacsChoice(**pacs).destination()
    ledger = Ledger(run.place, run.run_id, destination.name)
    records = ledger.records()
    keys = shards_to_send(scored_shards(run), records, retry_refused=retry_refused)
    if dry_run:
        count = sum(
            len(records[key].refused) if key in records else count_documents(run, key) for key in keys
        )
        _connect(destination)
        if as_json:
            say_json({"destination": destination.name, "shards": len(keys), "documents": count})
        else:
            say(f"{count:,} documents of {len(keys):,} shards are to be sent to {destination.name}")
        return
    left = {}
    with closing(send_shards(run, destination, ledger, keys, records, connections=connections)) as receipts:
        for receipt in progress(receipts, len(keys), "Sending"):
            if receipt.record is None:
                left[receipt.key] = receipt.left
                note(f"{_name(receipt.key)} is left: {receipt.left}")
    records = ledger.records()
    sent = Sent.of(destination.name, records.values())
    unscored = unscored_count(run)
    still = [key for key in left if key not in records]
    if as_json:
        say_json(_json(sent, records, left, unscored))
    else:
        _say(sent, records, len(still), unscored)
    click.get_current_context().exit(1 if sent.refused or left or unscored else 0)


def sent_lines(sent: Sent) -> list[str]:
    """What a PACS has of a run."""
    outcome = f"{sent.sent:,} sent + {sent.found:,} there already + {sent.refused:,} refused"
    lines = [f"{sent.documents:,} documents = {outcome}: {sent.destination}"]
    if sent.unconfirmed:
        lines.append(
            f"{sent.unconfirmed:,} of those sent are confirmed by the answer alone: the PACS can't be asked"
        )
    if sent.uncompared:
        lines.append(
            f"{sent.uncompared:,} of those there already were compared by UID alone: the PACS doesn't hand "
            "them out"
        )
    return lines


def _connect(destination: Destination) -> None:
    """Raises InputError when there is no connection to the PACS."""
    from cxrscribe.archive.sending.destination import TransientError

    try:
        destination.open().close()
    except TransientError as error:
        raise InputError(f"{error}; check the PACS, and its address") from None


def _say(sent: Sent, records: Mapping[ShardKey, SentShard], left: int, unscored: int) -> None:
    say(*sent_lines(sent))
    if left:
        say(f"{left:,} shards are left; give the same command again")
    if unscored:
        say(f"{unscored:,} shards aren't scored yet; send again when they are")
    refused = [refusal for record in records.values() for refusal in record.refused]
    if not refused:
        return
    say("refused, by row:")
    for refusal in refused[:_SHOWN_REFUSED]:
        say(f"{refusal.row:>9}  {refusal.status:<16}  {refusal.message}")
    if len(refused) > _SHOWN_REFUSED:
        say(f"and {len(refused) - _SHOWN_REFUSED:,} more; --json has all")


def _json(
    sent: Sent, records: Mapping[ShardKey, SentShard], left: Mapping[ShardKey, str], unscored: int
) -> dict[str, object]:
    return {
        **asdict(sent),
        "refused": [asdict(refusal) for record in records.values() for refusal in record.refused],
        "left": [{**asdict(key), "reason": reason} for key, reason in left.items()],
        "unscored_shards": unscored,
    }


def _name(key: ShardKey) -> str:
    return f"shard {key.shard}" + (f" of retry {key.generation}" if key.generation else "")
