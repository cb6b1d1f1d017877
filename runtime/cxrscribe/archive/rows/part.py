"""A part file: all rows of one shard, and a header that says what they are.

`.jsonl.gz` is gzip of one JSON object a row, in the order of rows: any program reads it. The header stands
where gzip has room for more (RFC 1952, 2.3.1.1: a subfield `CX`), so that it is no row. `.parquet` has the
same rows, and the header in its file metadata. The digest of the rows is the same for both.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cxrscribe.archive.places.place import Place
from cxrscribe.archive.rows.document_counts import DocumentCounts
from cxrscribe.archive.rows.row import Row
from cxrscribe.errors import InputError, Reason
from cxrscribe.json_object import JsonObject

JSONL: Final = "jsonl"
PARQUET: Final = "parquet"
SUFFIXES: Final = {JSONL: ".jsonl.gz", PARQUET: ".parquet"}
"""Of part files, by format."""
HEAD_BYTES: Final = 1 << 16
"""So many bytes of a .jsonl.gz file hold its header."""
LONGEST_ROW: Final = 256 << 20
"""Bytes of a JSON line. Where it has 1,024 reports of 4,096 words each, these are 64 for a word."""

_SCHEMA: Final = 1
_GZIP_START: Final = struct.pack(
    "<4BIBB", 0x1F, 0x8B, 8, 4, 0, 0, 255
)  # deflate, FEXTRA, no time, unknown system
_SUBFIELD: Final = b"CX"
_DIGEST_OF_HEADER: Final = "header_sha256"
_LEVEL: Final = 6
_UNPACKED_AT_ONCE: Final = 1 << 20
_ENDS_WRONG: Final = "it is cut off, or something stands behind it"


@dataclass(frozen=True)
class PartHeader:
    """What a part says of its rows."""

    run: str
    generation: int
    shard: int
    films: int
    reasons: Mapping[str, int]
    """How many films were quarantined, for each reason that there is."""
    duplicates: int
    """Films whose content an earlier film of the shard has."""
    bytes: int
    """Of all films that were read."""
    rows_sha256: str
    """Of the rows' JSON lines, each with a line feed."""
    environment: str
    """Digest of the versions of libraries that made them."""
    processor: str
    """What computed them; the rows' last bits may depend on it."""
    disclaimer: str
    told: int | None = None
    """Films whose report was written with an indication; None in runs that give none."""
    sr: DocumentCounts | None = None
    """Of the structured reports; None in runs that make none."""

    @property
    def quarantined(self) -> int:
        """Films without a report."""
        return sum(self.reasons.values())

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values, and a digest of them."""
        fields = self._fields()
        return fields | {_DIGEST_OF_HEADER: _digest([json.dumps(fields, sort_keys=True)])}

    def _fields(self) -> dict[str, object]:
        told = {} if self.told is None else {"told": self.told}
        documents = {} if self.sr is None else {"sr": self.sr.to_json()}
        return {
            "schema": _SCHEMA,
            "run": self.run,
            "generation": self.generation,
            "shard": self.shard,
            "films": self.films,
            "reasons": dict(self.reasons),
            "duplicates": self.duplicates,
            "bytes": self.bytes,
            "rows_sha256": self.rows_sha256,
            "environment": self.environment,
            "processor": self.processor,
            "disclaimer": self.disclaimer,
            **told,
            **documents,
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> PartHeader:
        """Read what `to_json` gave. Raises the document's error."""
        version = fields.integer("schema")
        if version != _SCHEMA:
            raise InputError(
                f"{fields.place} is of schema {version}, and this version of cxrscribe reads {_SCHEMA}"
            )
        reasons, digest = fields.object("reasons"), fields.text(_DIGEST_OF_HEADER)
        header = fields.make(
            cls,
            run=fields.text("run"),
            generation=fields.integer("generation"),
            shard=fields.integer("shard"),
            films=fields.integer("films", 1),
            reasons={Reason(name): reasons.integer(name, 1) for name in reasons.names()},
            duplicates=fields.integer("duplicates"),
            bytes=fields.integer("bytes"),
            rows_sha256=fields.text("rows_sha256"),
            environment=fields.text("environment"),
            processor=fields.text("processor"),
            disclaimer=fields.text("disclaimer"),
            told=fields.integer("told") if "told" in fields.names() else None,
            sr=DocumentCounts.from_json(fields.object("sr")) if "sr" in fields.names() else None,
        )
        if digest != header.to_json()[_DIGEST_OF_HEADER]:
            raise InputError(f"{fields.place}: its header isn't what was written")
        return header


@dataclass(frozen=True)
class Part:
    """A part file, read."""

    header: PartHeader
    lines: Sequence[bytes]
    """The rows as JSON lines, without line ends; their digest is the header's."""

    def rows(self) -> list[Row]:
        """The rows. Raises InputError when one is damaged."""
        place = f"shard {self.header.shard}"
        return [Row.from_json(JsonObject(json.loads(line), place)) for line in self.lines]


@dataclass(frozen=True)
class PartMaker:
    """Makes a shard's part of its rows."""

    run: str
    generation: int
    shard: int
    environment: str
    processor: str
    disclaimer: str

    def make(
        self,
        made: Mapping[int, Row],
        planned: Sequence[int],
        format_name: str,
        sr: DocumentCounts | None = None,
    ) -> tuple[PartHeader, bytes]:
        """The header, and the file's content in this format, `jsonl` or `parquet`.

        `made`: rows by number; `sr`: see `PartHeader`. Raises ValueError unless the rows are those that are
        `planned`, MissingExtraError.
        """
        rows = [made[number] for number in planned if number in made]
        if len(rows) != len(planned) or len(made) != len(planned):
            raise ValueError(
                f"shard {self.shard} has {len(made)} rows, not the {len(planned)} that are planned"
            )
        lines = [row.to_json_line() for row in rows]
        read = [row for row in rows if row.content_sha256 is not None]
        contents = {row.content_sha256 for row in read}
        header = PartHeader(
            run=self.run,
            generation=self.generation,
            shard=self.shard,
            films=len(rows),
            reasons=dict(sorted(Counter(row.reason for row in rows if row.reason is not None).items())),
            duplicates=len(read) - len(contents),
            bytes=sum(row.bytes for row in read),
            rows_sha256=_digest(lines),
            environment=self.environment,
            processor=self.processor,
            disclaimer=self.disclaimer,
            told=told_count(row.indication for row in rows),
            sr=sr,
        )
        if format_name == PARQUET:
            from cxrscribe.archive.rows.parquet import write_parquet

            return header, write_parquet(json.dumps(header.to_json()), rows)
        return header, _write_jsonl(header, lines)


def told_count(each: Iterable[bool | None]) -> int | None:
    """What `PartHeader.told` says of rows whose `Row.indication` this is."""
    said = [told for told in each if told is not None]
    return sum(said) if said else None


def check_format(format_name: str) -> None:
    """Raise MissingExtraError where parts of this format can't be written or read here."""
    if format_name == PARQUET:
        from cxrscribe.archive.rows.parquet import require_arrow

        require_arrow()


def read_part(content: bytes, name: str) -> Part:
    """Read the part file `name`. Raises InputError, which names it, when it is damaged."""
    header = read_header(content, name)
    return Part(header, list(part_lines(content, name, header)))


def part_lines(content: bytes, name: str, header: PartHeader) -> Iterator[bytes]:
    """The rows of the part file `name` as JSON lines, without line ends, as they are unpacked.

    `header`: the file's own. No more is unpacked than so many rows can be. Raises InputError, which names
    the file, when it is damaged; the last error may come after the last row.
    """
    lines = _parquet_lines if name.endswith(SUFFIXES[PARQUET]) else _jsonl_lines
    digest = hashlib.sha256()
    for count, line in enumerate(lines(content, name, header.films), start=1):
        if count > header.films:
            raise damaged(name, "it has more rows than its header says")
        digest.update(line)
        digest.update(b"\n")
        yield line
    if digest.hexdigest() != header.rows_sha256:
        raise damaged(name, "its rows aren't those that its header has the digest of")


def read_header(content: bytes, name: str) -> PartHeader:
    """The header of a part file, from its content or, of .jsonl.gz, its first `HEAD_BYTES`.

    Raises InputError.
    """
    if name.endswith(SUFFIXES[PARQUET]):
        from cxrscribe.archive.rows.parquet import read_parquet_header

        try:
            return _header(read_parquet_header(content), name)
        except ValueError as error:
            raise damaged(name, str(error)) from None
    start = len(_GZIP_START)
    if (
        len(content) < start + 6
        or content[:start] != _GZIP_START
        or content[start + 2 : start + 4] != _SUBFIELD
    ):
        raise damaged(name, "it doesn't begin as parts do")
    (size,) = struct.unpack_from("<H", content, start + 4)
    return _header(content[start + 6 : start + 6 + size], name)


def part_header(place: Place, name: str) -> PartHeader:
    """The header of the part `name` of a run, for which little of the file is read. Raises InputError."""
    whole = name.endswith(SUFFIXES[PARQUET])
    return read_header(place.read(name) if whole else place.head(name, HEAD_BYTES), name)


def damaged(name: str, why: str) -> InputError:
    """The error for a part file that isn't what it should be."""
    return InputError(f"{name} is damaged ({why}); `cxrscribe score verify --drop-broken` puts it aside")


def _write_jsonl(header: PartHeader, lines: Sequence[str]) -> bytes:
    text = json.dumps(header.to_json(), separators=(",", ":")).encode("ascii")
    subfield = _SUBFIELD + struct.pack("<H", len(text)) + text
    content = "".join(f"{line}\n" for line in lines).encode("ascii")
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"".join(
        (
            _GZIP_START,
            struct.pack("<H", len(subfield)),
            subfield,
            packer.compress(content),
            packer.flush(),
            struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF),
        )
    )


def _jsonl_lines(content: bytes, name: str, _: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    packed = content
    begun: list[bytes] = []
    size = 0
    while not unpacker.eof:
        try:
            text = unpacker.decompress(packed, _UNPACKED_AT_ONCE)
        except zlib.error as error:
            raise damaged(name, str(error)) from None
        packed = unpacker.unconsumed_tail
        if not text and not packed and not unpacker.eof:
            raise damaged(name, _ENDS_WRONG)
        first, *others = text.split(b"\n")
        begun.append(first)
        size += len(first)
        if size > LONGEST_ROW:
            raise damaged(name, "one of its rows is longer than any row")
        if others:
            yield b"".join(begun)
            yield from others[:-1]
            begun, size = [others[-1]], len(others[-1])
    if size or unpacker.unused_data:
        raise damaged(name, _ENDS_WRONG)


def _parquet_lines(content: bytes, name: str, films: int) -> Iterator[bytes]:
    from cxrscribe.archive.rows.parquet import read_parquet

    try:
        rows = read_parquet(content, films)
    except ValueError as error:
        raise damaged(name, str(error)) from None
    return (row.to_json_line().encode("ascii") for row in rows)


def _header(text: bytes | str, name: str) -> PartHeader:
    try:
        value = json.loads(text)
    except ValueError:
        raise damaged(name, "its header is no JSON") from None
    try:
        return PartHeader.from_json(JsonObject(value, name))
    except ValueError as error:
        raise damaged(name, str(error)) from None


def _digest(lines: Sequence[bytes] | Sequence[str]) -> str:
    found = hashlib.sha256()
    for line in lines:
        found.update(line.encode("ascii") if isinstance(line, str) else line)
        found.update(b"\n")
    return found.hexdigest()
