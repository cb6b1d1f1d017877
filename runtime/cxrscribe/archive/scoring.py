"""Scoring shards: the films of all of them through one stream, and a part committed for each.

A shard is done when its part is there. So whoever is asked for a shard, whenever and however many others
are, does the same: score it, and put the part in place unless there is one.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from cxrscribe.archive import layout
from cxrscribe.archive.attempts import ISOLATED_FROM, begin_attempt, take_back_attempt
from cxrscribe.archive.bisection import isolated_rows
from cxrscribe.archive.generation import Generation
from cxrscribe.archive.quarantine import Breaker, FaultError, OtherDocumentsError
from cxrscribe.archive.rows.document_counts import DocumentCounts
from cxrscribe.archive.rows.part import PartHeader, PartMaker, part_header
from cxrscribe.archive.run import Run, environment_here, open_run
from cxrscribe.archive.stream import Group, RowStream
from cxrscribe.archive.structured_reports import packed
from cxrscribe.arguments import MOST_AT_ONCE, flag, none_or, several, whole_number
from cxrscribe.engine import Engine
from cxrscribe.errors import CxrscribeError
from cxrscribe.freed_memory import return_freed_memory
from cxrscribe.json_object import JsonObject
from cxrscribe.search.scheduler import IMAGES_AT_ONCE
from cxrscribe.sessions.device import processor_name

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter
    from cxrscribe.stats import DecodingStats


@dataclass(frozen=True)
class Receipt:
    """What became of a shard. Numbers and reasons only: it may go into any log."""

    generation: int
    shard: int
    films: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    """How many films were quarantined, for each reason that there is."""
    duplicates: int = 0
    """Films with the content of an earlier one of the shard."""
    bytes: int = 0
    """Of the films that were read."""
    attempt: int = 0
    """The how manieth time the shard was begun; 0 where it had its part already."""
    committed: bool = False
    """Whether the part is this call's, and not that of someone quicker."""
    agrees: bool = True
    """Whether the part that is there has the rows that this call made."""
    left: bool = False
    """Whether the shard was left open, for its films can't be scored for now."""
    fault: str = ""
    """Why it was left open."""
    sr_documents: int = 0
    """Structured reports, in runs that make them."""
    sr_not_possible: Mapping[str, int] = field(default_factory=dict)
    """Films with a report that can have no structured one, for each reason."""
    sr_left_out: int = 0
    """Values of films' patients and studies that weren't valid, and are empty in structured reports."""

    @property
    def quarantined(self) -> int:
        """Films without a report."""
        return sum(self.reasons.values())

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: JsonObject) -> Receipt:
        """Read what `to_json` gave. Raises the document's error."""
        reasons, not_possible = fields.object("reasons"), fields.object("sr_not_possible")
        return fields.make(
            cls,
            generation=fields.integer("generation"),
            shard=fields.integer("shard"),
            films=fields.integer("films"),
            reasons={name: reasons.integer(name) for name in reasons.names()},
            duplicates=fields.integer("duplicates"),
            bytes=fields.integer("bytes"),
            attempt=fields.integer("attempt"),
            committed=fields.boolean("committed"),
            agrees=fields.boolean("agrees"),
            left=fields.boolean("left"),
            fault=fields.text("fault"),
            sr_documents=fields.integer("sr_documents"),
            sr_not_possible={name: not_possible.integer(name) for name in not_possible.names()},
            sr_left_out=fields.integer("sr_left_out"),
        )


def score_shards(
    run: Run | str | os.PathLike[str],
    shards: Iterable[int],
    reporter: Reporter,
    *,
    generation: int = 0,
    batch_size: int = IMAGES_AT_ONCE,
    score_duplicates: bool = False,
    breaker: Breaker | None = None,
    engine: Engine | None = None,
    stats: DecodingStats | None = None,
) -> Generator[Receipt, None, None]:
    """Score these shards of a run and commit a part for each; a receipt for each, once its part is there.

    For whoever distributes shards: `cxrscribe score` itself, Spark, Dask, Flyte. It may be called for any
    shards, any number of times, anywhere at once: a shard that has its part is passed over, and of those who
    score one at the same time the first one's part stays. `shards` may be endless; it is iterated on a
    thread of its own.

        with cxrscribe.load("bundle") as reporter:
            for receipt in cxrscribe.archive.score_shards("run", range(100, 200), reporter):
                print(receipt.shard, receipt.films, receipt.quarantined)

    `generation`: 0 for the run itself, or the number of a retry. `score_duplicates`: score a film anew whose
    content an earlier one of its shard has. `breaker`: one that counts over several calls. `engine`: how
    other processes load such a reporter, where its attributes don't say.

    A shard is left open, and its receipt says why, when the storage of its films fails, or this machine has
    no room to decode them. Raises InputError when there is
    no such run or shard, the reporter isn't what the run was begun with, or the place can't be written;
    BrokenCircuitError when so much goes wrong that it can't be the films.
    """
    batch_size = whole_number("batch_size", batch_size, 1, MOST_AT_ONCE)
    several("shards", shards, "numbers of shards")
    none_or(Breaker, "breaker", breaker)
    none_or(Engine, "engine", engine)
    opened = run if isinstance(run, Run) else open_run(run)
    opened.check(reporter)
    scorer = _Scorer(
        opened, opened.generation(generation), engine or Engine.of(reporter), breaker or Breaker()
    )
    stream = RowStream(opened, reporter, score_duplicates=flag("score_duplicates", score_duplicates))
    return scorer.receipts(stream, shards, batch_size, stats)


class _Scorer:
    """One call of `score_shards`."""

    def __init__(self, run: Run, generation: Generation, engine: Engine, breaker: Breaker) -> None:
        self._run = run
        self._generation = generation
        self._engine = engine
        self._breaker = breaker
        self._attempts: dict[int, int] = {}
        """Of the shards that have been begun, and are neither committed nor left."""
        self._beginning = Lock()
        self._has_ended = False
        """Whether no shard is begun any more; the stream's thread may outlive the call for a moment."""

    def receipts(
        self, stream: RowStream, shards: Iterable[int], batch_size: int, stats: DecodingStats | None
    ) -> Generator[Receipt, None, None]:
        try:
            with closing(stream.rows(self._groups(shards), batch_size, stats)) as rows:
                for group, row in rows:
                    if row is None:
                        yield self._passed_over(group.shard)
                    elif isinstance(row, FaultError):
                        yield self._left(group.shard, row)
                    else:
                        self._breaker.film(row.reason)
                        if len(group.rows) == len(group.films):
                            yield self._commit(group)
        except (GeneratorExit, KeyboardInterrupt, CxrscribeError):
            with self._beginning:
                self._has_ended = True
                for shard in tuple(self._attempts):
                    self._take_back(shard)
            raise

    def _groups(self, shards: Iterable[int]) -> Iterator[Group]:
        """The films of each shard; none where it needs none. On the stream's thread."""
        for number in shards:
            shard = whole_number("shard", number, 0)
            if shard in self._attempts or self._generation.is_done(shard):
                yield Group(shard, ())
                continue
            films = self._generation.films_of(shard)
            with self._beginning:
                if self._has_ended:
                    return
                attempt = self._attempts[shard] = begin_attempt(self._generation, shard)
            ready = None
            if attempt >= ISOLATED_FROM:
                ready = isolated_rows(self._run, shard, films, self._engine)
            yield Group(shard, films, ready)

    def _commit(self, group: Group) -> Receipt:
        maker = PartMaker(
            self._run.run_id,
            self._generation.number,
            group.shard,
            environment_here(self._run),
            processor_name(),
            self._run.identity.disclaimer,
        )
        planned = [film.row for film in group.films]
        documents = None
        if self._run.identity.sr:
            tar, documents = packed(planned, group.documents)
            if fault := self._put_documents(group.shard, tar):
                return self._left(group.shard, fault)
        header, content = maker.make(group.rows, planned, self._run.identity.format, documents)
        name = self._generation.part(group.shard)
        committed = self._run.place.create(name, content)
        there = header if committed else part_header(self._run.place, name)
        self._breaker.shard_done()
        return_freed_memory()
        return _receipt(
            header,
            self._attempts.pop(group.shard),
            committed=committed,
            agrees=(there.rows_sha256, there.sr) == (header.rows_sha256, header.sr),
        )

    def _put_documents(self, shard: int, tar: bytes) -> OtherDocumentsError | None:
        """Put a shard's structured reports in place, before its part; a fault where others are there.

        Where the part is there too, someone has been quicker, and theirs count.
        """
        place = self._run.place
        name = layout.sr_file(self._generation.number, shard)
        if place.create(name, tar) or place.read(name) == tar or self._generation.is_done(shard):
            return None
        return OtherDocumentsError(
            f"{name}: whoever made it died before its part was there, and had another kind of processor, or "
            "the file was changed"
        )

    def _passed_over(self, shard: int) -> Receipt:
        """The receipt of a shard that had its part; an empty one where it is being scored already."""
        if not self._generation.is_done(shard):
            return Receipt(self._generation.number, shard)
        return _receipt(part_header(self._run.place, self._generation.part(shard)), attempt=0)

    def _left(self, shard: int, fault: FaultError) -> Receipt:
        attempt = self._attempts[shard]
        self._take_back(shard)
        self._breaker.shard_left(fault)
        why = f"{fault.what} ({fault}); {fault.remedy}"
        return Receipt(self._generation.number, shard, attempt=attempt, left=True, fault=why)

    def _take_back(self, shard: int) -> None:
        take_back_attempt(self._generation, shard, self._attempts.pop(shard))


def _receipt(header: PartHeader, attempt: int, *, committed: bool = False, agrees: bool = True) -> Receipt:
    documents = header.sr or DocumentCounts(0)
    return Receipt(
        header.generation,
        header.shard,
        header.films,
        header.reasons,
        header.duplicates,
        header.bytes,
        attempt,
        committed,
        agrees,
        sr_documents=documents.documents,
        sr_not_possible=documents.not_possible,
        sr_left_out=documents.left_out,
    )
