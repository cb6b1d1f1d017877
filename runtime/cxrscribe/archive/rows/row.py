"""One film's row: its report, or why it has none."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Final

from cxrscribe.archive.film_names import PATH, FilmNames
from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.quarantine import QuarantinedError
from cxrscribe.errors import InputError, Reason
from cxrscribe.json_object import JsonObject
from cxrscribe.report import Report

OK: Final = "ok"
QUARANTINED: Final = "quarantined"


@dataclass(frozen=True)
class RowChoice:
    """What rows hold besides what they always do."""

    token_log_probs: bool = False
    """The log-probability of each token."""
    dicom_uids: bool = False
    """SOPInstanceUID of DICOM films. It identifies an image, and so a patient (PS3.15)."""
    film_names: str = PATH
    """`path`, or `hash` for a keyed hash of it."""
    key_check: str = ""
    """Which key that is: `FilmNames.check`."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: JsonObject) -> RowChoice:
        """Read what `to_json` gave. Raises the document's error."""
        return fields.make(
            cls,
            token_log_probs=fields.boolean("token_log_probs"),
            dicom_uids=fields.boolean("dicom_uids"),
            film_names=fields.text("film_names"),
            key_check=fields.text("key_check"),
        )


@dataclass(frozen=True)
class Row:
    """What became of a film: a report, or a reason and a message.

    The same film under the same run has the same row, whoever makes it and however often.
    """

    shard: int
    row: int
    """The film's number in the run."""
    film: str
    """Its place below the run's root, or a keyed hash of it: see `FilmNames`."""
    film_id: bytes
    """16 bytes that stand for it."""
    content_sha256: bytes | None
    """32 bytes; None where it couldn't be read."""
    bytes: int
    """Its size; -1 where it couldn't be found."""
    report: Report | None
    reason: Reason | None
    message: str | None
    """Why there is no report, without the film's name."""
    sop_instance_uid: str | None
    disclaimer: str
    """What the report has to say of itself."""
    indication: bool | None = None
    """Whether the report was written with what is known of the patient; None in runs that give nothing."""

    def __post_init__(self) -> None:
        if (self.report is None) != (self.reason is not None):
            raise InputError(f"row {self.row} has a report and a reason why it has none, or neither")

    @property
    def status(self) -> str:
        """`ok` or `quarantined`."""
        return OK if self.report is not None else QUARANTINED

    def to_json(self) -> dict[str, object]:
        """All fields as JSON values, null where there is none; bytes in hexadecimal digits.

        `indication` is there only where it isn't None.
        """
        found = self.report
        told = {} if self.indication is None else {"indication": self.indication}
        return {
            "shard": self.shard,
            "row": self.row,
            "film": self.film,
            "film_id": self.film_id.hex(),
            "content_sha256": self.content_sha256.hex() if self.content_sha256 is not None else None,
            "bytes": self.bytes,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "text": found.text if found else None,
            "tokens": list(found.tokens) if found else None,
            "token_log_probs": list(found.token_log_probs) if found and found.token_log_probs else None,
            "log_prob": found.log_prob if found else None,
            "score": found.score if found else None,
            "finished": found.finished if found else None,
            "alternatives": [_alternative(each) for each in found.alternatives] if found else None,
            "sop_instance_uid": self.sop_instance_uid,
            **told,
            "disclaimer": self.disclaimer,
        }

    def to_json_line(self) -> str:
        """`to_json` on one line, pure ASCII, without the line's end: what digests of rows are made of."""
        return json.dumps(self.to_json(), allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, fields: JsonObject) -> Row:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        report = None
        if not fields.is_null("text"):
            report = Report(
                text=fields.text("text"),
                tokens=_token_ids(fields),
                log_prob=fields.number("log_prob"),
                score=fields.number("score"),
                token_log_probs=()
                if fields.is_null("token_log_probs")
                else fields.numbers("token_log_probs"),
                finished=fields.boolean("finished"),
                alternatives=tuple(_read_alternative(each) for each in fields.objects("alternatives")),
            )
        # Of a row without a report these are null; `status` follows from the others.
        fields.skip("status", "tokens", "log_prob", "score", "token_log_probs", "finished", "alternatives")
        content = None if fields.is_null("content_sha256") else bytes.fromhex(fields.text("content_sha256"))
        return fields.make(
            cls,
            shard=fields.integer("shard"),
            row=fields.integer("row"),
            film=fields.text("film"),
            film_id=bytes.fromhex(fields.text("film_id")),
            content_sha256=content,
            bytes=fields.integer("bytes", -1),
            report=report,
            reason=None if fields.is_null("reason") else Reason(fields.text("reason")),
            message=None if fields.is_null("message") else fields.text("message"),
            sop_instance_uid=None if fields.is_null("sop_instance_uid") else fields.text("sop_instance_uid"),
            disclaimer=fields.text("disclaimer"),
            indication=fields.boolean("indication") if "indication" in fields.names() else None,
        )


@dataclass(frozen=True)
class Content:
    """What was read of a film."""

    sha256: bytes
    sop_instance_uid: str | None = None


def film_row(
    shard: int,
    film: PlannedFilm,
    content: Content | None,
    outcome: Report | QuarantinedError,
    disclaimer: str,
    choice: RowChoice,
    names: FilmNames,
    indication: bool | None = None,
) -> Row:
    """The row of a film: of its report, as far as rows keep it, or of why there is none.

    `indication`: see `Row`.
    """
    error = outcome if isinstance(outcome, QuarantinedError) else None
    return Row(
        shard=shard,
        row=film.row,
        film=names.text(film),
        film_id=names.film_id(film),
        content_sha256=content.sha256 if content else None,
        bytes=film.size,
        report=_kept(outcome, choice) if isinstance(outcome, Report) else None,
        reason=error.reason if error else None,
        message=_text(str(error)) if error else None,
        sop_instance_uid=content.sop_instance_uid if content else None,
        disclaimer=disclaimer,
        indication=indication,
    )


def _kept(report: Report, choice: RowChoice) -> Report:
    alternatives = tuple(replace(each, token_log_probs=()) for each in report.alternatives)
    token_log_probs = report.token_log_probs if choice.token_log_probs else ()
    return replace(report, token_log_probs=token_log_probs, alternatives=alternatives)


def _text(text: str) -> str:
    """`text` as any program can read it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _alternative(report: Report) -> dict[str, object]:
    return {
        "text": report.text,
        "tokens": list(report.tokens),
        "log_prob": report.log_prob,
        "score": report.score,
        "finished": report.finished,
    }


def _read_alternative(fields: JsonObject) -> Report:
    return fields.make(
        Report,
        text=fields.text("text"),
        tokens=_token_ids(fields),
        log_prob=fields.number("log_prob"),
        score=fields.number("score"),
        token_log_probs=(),
        finished=fields.boolean("finished"),
    )


def _token_ids(fields: JsonObject) -> tuple[int, ...]:
    found = fields.array("tokens")
    ids = tuple(token for token in found if isinstance(token, int) and not isinstance(token, bool))
    return ids if len(ids) == len(found) else fields.refuse("tokens", "an array of word ids")
