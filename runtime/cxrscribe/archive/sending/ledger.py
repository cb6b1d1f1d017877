"""What a PACS has acknowledged, in `sent/`: a file for each shard, made when it is known of all documents.

A file is made create-if-absent and never changed. Nothing of a patient is in it: rows, UIDs of documents, and
what the PACS said. Of two senders that finish one shard, the first one's file counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Final

from cxrscribe.archive import layout
from cxrscribe.archive.places.place import Place
from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject, parse_json_object

_SCHEMA: Final = 1
_REMOVED: Final = "the next `score send` asks for the documents of its shard again"
_NAME: Final = re.compile(
    r"(?P<folder>.*)/(?P<generation>[0-9]+)/[0-9]+/(?P<shard>[0-9]{6,})\.(?P<number>[0-9]+)\.json"
)


@dataclass(frozen=True, order=True)
class ShardKey:
    """A shard in one of a run's generations."""

    generation: int
    shard: int


@dataclass(frozen=True)
class Refusal:
    """A document that the PACS has not taken."""

    row: int
    sop_instance_uid: str
    """Of the document, not of the film."""
    status: str
    """`0xC000`, `409`; or `another_document`, where that UID is taken."""
    message: str


@dataclass(frozen=True)
class SentShard:
    """What became of a shard's documents. `documents` = `sent` + `found` + those of `refused`."""

    key: ShardKey
    run: str
    tar_sha256: str
    documents: int
    sent: int
    """Taken, and confirmed."""
    found: int
    """There already."""
    unconfirmed: int
    """Of `sent`: those of which nobody could ask, so that the answer to their sending has to do."""
    uncompared: int
    """Of `found`: those that the PACS doesn't hand out, so that only their UID was compared."""
    refused: tuple[Refusal, ...]
    number: int = 1
    """How often documents of the shard have been sent."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        fields = asdict(self)
        key = fields.pop("key")
        return {"schema": _SCHEMA, **key, **fields, "refused": list(fields["refused"])}

    @classmethod
    def from_json(cls, fields: JsonObject) -> SentShard:
        """Read what `to_json` gave. Raises the document's error."""
        if fields.integer("schema") != _SCHEMA:
            fields.refuse("schema", f"{_SCHEMA}: go on with the version of cxrscribe that made it")
        return fields.make(
            cls,
            key=ShardKey(fields.integer("generation"), fields.integer("shard")),
            run=fields.text("run"),
            tar_sha256=fields.text("tar_sha256"),
            documents=fields.integer("documents"),
            sent=fields.integer("sent"),
            found=fields.integer("found"),
            unconfirmed=fields.integer("unconfirmed"),
            uncompared=fields.integer("uncompared"),
            refused=tuple(
                each.make(
                    Refusal,
                    row=each.integer("row"),
                    sop_instance_uid=each.text("sop_instance_uid"),
                    status=each.text("status"),
                    message=each.text("message"),
                )
                for each in fields.objects("refused")
            ),
            number=fields.integer("number", 1),
        )


@dataclass(frozen=True)
class Sent:
    """What a PACS has of a run."""

    destination: str
    shards: int
    documents: int
    sent: int
    found: int
    unconfirmed: int
    uncompared: int
    refused: int

    @classmethod
    def of(cls, destination: str, records: Iterable[SentShard]) -> Sent:
        """The sum of its shards."""
        each = list(records)
        counts = {
            name: sum(getattr(record, name) for record in each)
            for name in ("documents", "sent", "found", "unconfirmed", "uncompared")
        }
        return cls(destination, len(each), refused=sum(len(record.refused) for record in each), **counts)


class Ledger:
    """What one PACS has acknowledged of one run."""

    def __init__(self, place: Place, run: str, destination: str) -> None:
        self.destination = destination
        self._place = place
        self._run = run
        self._folder = layout.sent_folder(destination)

    def records(self) -> dict[ShardKey, SentShard]:
        """Of each shard of which it is known. Raises InputError when a file is damaged, or another run's."""
        newest: dict[ShardKey, tuple[int, str]] = {}
        for name in self._place.names(self._folder):
            found = _NAME.fullmatch(name)
            if found is None:
                continue
            key = ShardKey(int(found["generation"]), int(found["shard"]))
            newest[key] = max(newest.get(key, (0, "")), (int(found["number"]), name))
        return {key: self._read(key, name) for key, (_, name) in sorted(newest.items())}

    def write(self, record: SentShard) -> None:
        """Remember what became of a shard, unless someone else has just done so."""
        document = json.dumps({"schema": _SCHEMA, "destination": self.destination}).encode("ascii")
        self._place.create(layout.destination_file(self._folder), document)
        name = layout.sent_file(self._folder, record.key.generation, record.key.shard, record.number)
        self._place.create(name, json.dumps(record.to_json(), indent=1).encode("ascii"))

    def _read(self, key: ShardKey, name: str) -> SentShard:
        where = self._place.locate(name)
        try:
            record = SentShard.from_json(parse_json_object(self._place.read(name), where))
        except InputError as error:
            raise InputError(f"{error}; if it is damaged, remove it: {_REMOVED}") from None
        if (record.key, record.run) != (key, self._run):
            raise InputError(f"{where} is of another run or shard; move it elsewhere: {_REMOVED}")
        return record


def ledgers(place: Place, run: str) -> Iterator[Ledger]:
    """Those of all PACS that the run was sent to. Raises InputError when one is damaged."""
    pattern = re.compile(re.escape(layout.destination_file(f"{layout.SENT_FOLDER}/X")).replace("X", "[^/]+"))
    for name in place.names(layout.SENT_FOLDER):
        if pattern.fullmatch(name):
            try:
                destination = parse_json_object(place.read(name), place.locate(name)).text("destination")
            except InputError as error:
                raise InputError(
                    f"{error}; if it is damaged, remove it: the next `score send` makes it"
                ) from None
            if layout.destination_file(layout.sent_folder(destination)) != name:
                raise InputError(f"{place.locate(name)} is of another PACS; move it and its folder elsewhere")
            yield Ledger(place, run, destination)
