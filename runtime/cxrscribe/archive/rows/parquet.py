"""Rows as Parquet, sorted by row: a reader finds a film by the statistics of the row groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from cxrscribe.archive.rows.row import Row
from cxrscribe.errors import MissingExtraError, Reason
from cxrscribe.report import Report

if TYPE_CHECKING:
    from types import ModuleType

HEADER_KEY: Final = b"cxrscribe"
"""Where the metadata of the file has the part's header."""

_ZSTD_LEVEL: Final = 3
_INDICATION: Final = "indication"


def require_arrow() -> None:
    """Raise MissingExtraError where pyarrow isn't installed."""
    _modules()


def write_parquet(header: str, rows: Sequence[Row]) -> bytes:
    """The content of a file with these rows in one row group. Raises MissingExtraError."""
    content = BytesIO()
    file = ParquetFile(content, header, indications=any(row.indication is not None for row in rows))
    file.write(rows)
    file.close()
    return content.getvalue()


class ParquetFile:
    """A Parquet file that is being written. Raises MissingExtraError."""

    def __init__(self, file: BinaryIO, header: str, *, indications: bool = False) -> None:
        """`header`: JSON, which the metadata of the file will have. `indications`: see `Row.indication`."""
        self._arrow, parquet = _modules()
        self._schema = _schema(self._arrow, indications=indications).with_metadata(
            {HEADER_KEY: header.encode("ascii")}
        )
        self._writer = parquet.ParquetWriter(
            file, self._schema, compression="zstd", compression_level=_ZSTD_LEVEL, write_page_checksum=True
        )

    def write(self, rows: Sequence[Row]) -> None:
        """Add a row group."""
        table = self._arrow.Table.from_pylist([_values(row) for row in rows], self._schema)
        self._writer.write_table(table, row_group_size=len(rows))

    def close(self) -> None:
        """Write the end of the file, which stays open."""
        self._writer.close()


def read_parquet(content: bytes, count: int) -> list[Row]:
    """A part's rows, of which there are so many.

    Raises MissingExtraError, and ValueError when the file is damaged.
    """
    arrow, parquet = _modules()
    try:
        if parquet.read_metadata(arrow.BufferReader(content)).num_rows != count:
            raise ValueError("it has more or fewer rows than its header says")
        table = parquet.read_table(arrow.BufferReader(content), page_checksum_verification=True)
        if not table.schema.equals(_schema(arrow, indications=_INDICATION in table.schema.names)):
            raise ValueError("its columns are others")
        return [_row(values) for values in table.to_pylist()]
    except (arrow.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from None


def read_parquet_header(content: bytes) -> bytes:
    """A part's header. Raises as `read_parquet` does."""
    arrow, parquet = _modules()
    try:
        return _header(parquet.read_schema(arrow.BufferReader(content)).metadata)
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(str(error)) from None


def _header(metadata: Mapping[bytes, bytes] | None) -> bytes:
    if metadata is None or HEADER_KEY not in metadata:
        raise ValueError("its metadata has no header")
    return metadata[HEADER_KEY]


def _schema(arrow: ModuleType, *, indications: bool) -> Any:
    words = arrow.dictionary(arrow.int32(), arrow.string())
    tokens = arrow.list_(arrow.int32())
    alternative = arrow.struct(
        [
            ("text", arrow.string()),
            ("tokens", tokens),
            ("log_prob", arrow.float64()),
            ("score", arrow.float64()),
            ("finished", arrow.bool_()),
        ]
    )
    return arrow.schema(
        [
            ("shard", arrow.int32()),
            ("row", arrow.int64()),
            ("film", arrow.string()),
            ("film_id", arrow.binary(16)),
            ("content_sha256", arrow.binary(32)),
            ("bytes", arrow.int64()),
            ("status", words),
            ("reason", words),
            ("message", arrow.string()),
            ("text", arrow.string()),
            ("tokens", tokens),
            ("token_log_probs", arrow.list_(arrow.float64())),
            ("log_prob", arrow.float64()),
            ("score", arrow.float64()),
            ("finished", arrow.bool_()),
            ("alternatives", arrow.list_(alternative)),
            ("sop_instance_uid", arrow.string()),
            *([(_INDICATION, arrow.bool_())] if indications else []),
            ("disclaimer", words),
        ]
    )


def _values(row: Row) -> dict[str, object]:
    return row.to_json() | {"film_id": row.film_id, "content_sha256": row.content_sha256}


def _row(values: dict[str, Any]) -> Row:
    report = None
    if values["text"] is not None:
        report = Report(
            text=values["text"],
            tokens=tuple(values["tokens"]),
            log_prob=values["log_prob"],
            score=values["score"],
            token_log_probs=tuple(values["token_log_probs"] or ()),
            finished=values["finished"],
            alternatives=tuple(
                Report(**{**each, "tokens": tuple(each["tokens"]), "token_log_probs": ()})
                for each in values["alternatives"]
            ),
        )
    return Row(
        shard=values["shard"],
        row=values["row"],
        film=values["film"],
        film_id=values["film_id"],
        content_sha256=values["content_sha256"],
        bytes=values["bytes"],
        report=report,
        reason=None if values["reason"] is None else Reason(values["reason"]),
        message=values["message"],
        sop_instance_uid=values["sop_instance_uid"],
        disclaimer=values["disclaimer"],
        indication=values.get(_INDICATION),
    )


def _modules() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    return pyarrow, pyarrow.parquet
