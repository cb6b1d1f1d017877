"""Sending a run: its shards one after the other, over one or several connections."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Final

from cxrscribe.archive import layout, sr_tar
from cxrscribe.archive.run import Run
from cxrscribe.archive.sending.asking import Asking
from cxrscribe.archive.sending.destination import (
    ANOTHER_DOCUMENT,
    Destination,
    DestinationError,
    Link,
    Refused,
    TransientError,
)
from cxrscribe.archive.sending.document import Document, read_documents, requests_of
from cxrscribe.archive.sending.ledger import Ledger, Refusal, SentShard, ShardKey
from cxrscribe.archive.sending.patience import Patience
from cxrscribe.archive.sending.settling import Settled, Settling, StoppedError
from cxrscribe.errors import InputError

LEFT_IN_A_ROW: Final = 3
REFUSED_IN_A_ROW: Final = 1000
"""Documents of whole shards of which none was taken."""
_SECONDS_TO_END: Final = 5.0
_LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True)
class SendReceipt:
    """What became of a shard now."""

    key: ShardKey
    record: SentShard | None
    """None where it is left."""
    left: str = ""
    """Why it is left for another time."""


def check_has_documents(run: Run) -> None:
    """Raise InputError for a run that makes no structured reports."""
    if not run.identity.sr:
        raise InputError(
            f"{run.place.url} was begun without --sr and has no structured reports; begin another run with it"
        )


def scored_shards(run: Run) -> list[ShardKey]:
    """The shards of all generations that have their part and so their documents, in order."""
    return [
        ShardKey(generation.number, shard) for generation in run.generations() for shard in generation.done()
    ]


def unscored_count(run: Run) -> int:
    """How many shards of all generations have no part yet."""
    return sum(len(generation.missing()) for generation in run.generations())


def shards_to_send(
    scored: Sequence[ShardKey], records: Mapping[ShardKey, SentShard], *, retry_refused: bool = False
) -> list[ShardKey]:
    """Those of `scored` of which nothing is known, and with `retry_refused` those with refused documents."""
    return [key for key in scored if key not in records or (retry_refused and records[key].refused)]


def count_documents(run: Run, key: ShardKey) -> int:
    """How many documents a shard has. Raises InputError when its tar is damaged or not there."""
    name = layout.sr_file(key.generation, key.shard)
    return len(sr_tar.unpack(run.place.read(name), run.place.locate(name)))


def send_shards(
    run: Run,
    destination: Destination,
    ledger: Ledger,
    keys: Sequence[ShardKey],
    records: Mapping[ShardKey, SentShard],
    *,
    connections: int = 1,
    patience: Patience | None = None,
) -> Generator[SendReceipt, None, None]:
    """Send the documents of these shards, and remember what became of them; a receipt for each shard.

    `records`: of shards whose refused documents are sent once more. Shards begin anywhere in their order,
    so that two senders of one run seldom have the same one. Raises DestinationError when the PACS has to be
    changed first, or after shards in a row of which it took nothing.
    """
    patience = patience or Patience()
    start = random.randrange(len(keys)) if keys else 0
    waiting: SimpleQueue[ShardKey] = SimpleQueue()
    for key in (*keys[start:], *keys[:start]):
        waiting.put(key)
    stop, connected = Event(), Event()
    ended: SimpleQueue[SendReceipt | Exception | None] = SimpleQueue()
    workers = [
        _Worker(run, destination, ledger, records, patience, waiting, ended, stop, connected, number == 0)
        for number in range(min(connections, len(keys)))
    ]
    threads = [Thread(target=each.work, name="cxrscribe-send", daemon=True) for each in workers]
    breaker = _Breaker()
    try:
        for thread in threads:
            thread.start()
        running = len(threads)
        while running:
            try:
                found = ended.get(timeout=_LOOK_SECONDS)  # and not for ever, so that Ctrl-C is noticed
            except Empty:
                continue
            if found is None:
                running -= 1
            elif isinstance(found, Exception):
                raise found
            else:
                yield found
                breaker.count(found)
        while not waiting.empty():
            yield SendReceipt(waiting.get(), None, "the PACS takes fewer connections than that")
    finally:
        stop.set()
        _join(threads)
        for worker, thread in zip(workers, threads, strict=True):
            if thread.is_alive():  # it waits for an answer
                worker.cut()
        _join(threads)


def _join(threads: Sequence[Thread]) -> None:
    """Wait for all of them, together no longer than for one."""
    until = monotonic() + _SECONDS_TO_END
    for thread in threads:
        thread.join(max(0.0, until - monotonic()))


@dataclass
class _Breaker:
    """Watches whether anything is taken at all."""

    left: int = 0
    refused: int = 0

    def count(self, receipt: SendReceipt) -> None:
        """Raises DestinationError."""
        record = receipt.record
        if record is None:
            self.left += 1
            if self.left >= LEFT_IN_A_ROW:
                raise DestinationError(
                    f"{self.left} shards in a row were left ({receipt.left}); see after the PACS, and give "
                    "the same command: what is confirmed stays"
                )
            return
        self.left = 0
        self.refused = 0 if record.sent or record.found else self.refused + len(record.refused)
        if self.refused >= REFUSED_IN_A_ROW:
            last = record.refused[-1]
            raise DestinationError(
                f"the PACS refused the last {self.refused:,} documents (status {last.status}: "
                f"{last.message}); see after it, and give the same command with --retry-refused"
            )


@dataclass
class _Worker:
    """One connection, and what it takes from the queue of shards."""

    run: Run
    destination: Destination
    ledger: Ledger
    records: Mapping[ShardKey, SentShard]
    patience: Patience
    waiting: SimpleQueue[ShardKey]
    ended: SimpleQueue[SendReceipt | Exception | None]
    stop: Event
    connected: Event
    """Set once the first of them is, or has ended. The others wait for it: a PACS may take fewer connections
    than there are workers, and one that takes none need not refuse them all.
    """
    is_first: bool
    link: Link | None = None
    asking: Asking | None = None
    """Of the link."""

    def work(self) -> None:
        """Send shards until there are none, or the command ends."""
        try:
            while not (self.is_first or self.connected.wait(_LOOK_SECONDS) or self.stop.is_set()):
                pass
            while not self.stop.is_set():
                try:
                    key = self.waiting.get_nowait()
                except Empty:
                    break
                try:
                    self.link = self.link or self._open()
                    self.connected.set()
                    self.asking = self.asking or Asking(self.link)
                    record = self._send(self.asking, key)
                    self.ledger.write(record)
                    self.ended.put(SendReceipt(key, record))
                except TransientError as error:
                    if self.link is None and not self.is_first:
                        self.waiting.put(key)
                        break
                    self.ended.put(SendReceipt(key, None, str(error)))
                    if self.link is not None:
                        self.link.reset()
        except StoppedError:
            pass
        except Exception as error:  # which the command raises
            self.ended.put(error)
        finally:
            if self.link is not None:
                with suppress(Exception):  # it is over, whatever the other side does
                    self.link.close()
            self.connected.set()
            self.ended.put(None)

    def cut(self) -> None:
        """End the connection while it is waited for, from another thread."""
        if self.link is not None:
            with suppress(Exception):
                self.link.reset()

    def _open(self) -> Link:
        """Raises TransientError, DestinationError, StoppedError."""
        tried = 0
        while True:
            try:
                return self.destination.open()
            except TransientError as error:
                tried += 1
                pause = self.patience.pause(tried, error.seconds)
                if pause is None:
                    raise
                if self.stop.wait(pause):
                    raise StoppedError from None

    def _send(self, asking: Asking, key: ShardKey) -> SentShard:
        name = layout.sr_file(key.generation, key.shard)
        content = self.run.place.read(name)
        digest = hashlib.sha256(content).hexdigest()
        members = sr_tar.unpack(content, self.run.place.locate(name))
        known = self.records.get(key)
        if known is not None:
            if known.tar_sha256 != digest:
                raise InputError(
                    f"{self.run.place.locate(name)} isn't the tar that was sent; bring that one back"
                )
            wanted = {refusal.row for refusal in known.refused}
            members = [(row, file) for row, file in members if row in wanted]
        documents, contradicting = read_documents(members, self.run.place.locate(name))
        settling = Settling(asking.link, asking, self.patience, self.stop)
        for some in requests_of(documents):
            settling.settle(some)
        return _record(self.run, key, digest, settling, documents, contradicting, known)


def _record(
    run: Run,
    key: ShardKey,
    digest: str,
    settling: Settling,
    documents: Sequence[Document],
    contradicting: Sequence[int],
    known: SentShard | None,
) -> SentShard:
    """What became of a shard; `known`: before its refused documents were sent once more."""
    counts = dict.fromkeys(Settled, 0)
    refusals = [
        Refusal(row, "", ANOTHER_DOCUMENT, "another document of the shard has its UID")
        for row in contradicting
    ]
    for document in documents:
        fate = settling.fates[document.instance]
        if isinstance(fate, Refused):
            refusals += [Refusal(row, document.instance, fate.status, fate.message) for row in document.rows]
        else:
            counts[fate] += len(document.rows)
    sent = counts[Settled.SENT] + counts[Settled.SENT_UNCONFIRMED]
    found = counts[Settled.FOUND] + counts[Settled.FOUND_UNCOMPARED]
    return SentShard(
        key,
        run.run_id,
        digest,
        documents=known.documents if known else sent + found + len(refusals),
        sent=sent + (known.sent if known else 0),
        found=found + (known.found if known else 0),
        unconfirmed=counts[Settled.SENT_UNCONFIRMED] + (known.unconfirmed if known else 0),
        uncompared=counts[Settled.FOUND_UNCOMPARED] + (known.uncompared if known else 0),
        refused=tuple(sorted(refusals, key=lambda refusal: refusal.row)),
        number=known.number + 1 if known else 1,
    )
