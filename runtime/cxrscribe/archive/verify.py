"""Whether a run is what it claims: every film of the plan has one row, and every row is what was written."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cxrscribe.archive import layout
from cxrscribe.archive.generation import Generation
from cxrscribe.archive.places.place import is_unfinished
from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.rows.part import (
    PartHeader,
    damaged,
    part_header,
    part_lines,
    read_header,
    told_count,
)
from cxrscribe.archive.rows.row import OK, QUARANTINED
from cxrscribe.archive.run import Run, known_environments
from cxrscribe.archive.sending.ledger import ledgers
from cxrscribe.archive.structured_reports import Reported, check_documents
from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject

if TYPE_CHECKING:
    pass


@dataclass
class Verdict:
    """What was found. `planned` films are those with a report, those in quarantine, and those missing."""

    planned: int = 0
    ok: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Films in quarantine, for each reason."""
    repeated: int = 0
    """Rows that stand in the run more than once: by number, or with the `film_id` of another film."""
    missing_shards: int = 0
    duplicates: int = 0
    """Films whose content an earlier film of their shard has."""
    sr_documents: int | None = None
    """Structured reports, each that of its film's report; None in runs that make none."""
    sr_not_possible: dict[str, int] | None = None
    """Films with a report that can have no structured one, for each reason; None in runs that make none."""
    unfinished_files: int = 0
    """Left by processes that were killed; they disturb nothing."""
    problems: list[str] = field(default_factory=list)
    """What is broken: a sentence each."""
    damaged: list[str] = field(default_factory=list)
    """Parts that can't be read or don't hold what they should, and files of structured reports that don't."""
    fingerprint: str = ""
    """Of all rows: the same for the same run, whoever scored it."""

    @property
    def quarantined(self) -> int:
        """Films without a report."""
        return self.reasons.total()

    @property
    def missing(self) -> int:
        """Films without a row."""
        return self.planned - self.ok - self.quarantined

    @property
    def is_whole(self) -> bool:
        """Whether nothing is broken."""
        return not self.problems and not self.repeated


def verify(run: Run) -> Verdict:
    """Check every file of a run: plan, parts, rows. Raises InputError when the plan is damaged."""
    verdict = Verdict(planned=run.plan.films)
    if run.identity.sr:
        verdict.sr_documents, verdict.sr_not_possible = 0, {}
    environments = known_environments(run)
    generations = run.generations()
    done = [generation.done() for generation in generations]
    digest = hashlib.sha256()
    ids = bytearray()
    for shard in range(len(run.plan.shards)):
        newest: dict[int, _Line] = {}
        for generation, names in zip(generations, done, strict=True):
            if generation.rows is not None and shard not in generation.rows:
                continue
            try:
                films = generation.films_of(shard)
            except InputError as error:  # it is the plan that is damaged: the part may be good
                verdict.problems.append(str(error))
                verdict.missing_shards += shard not in names
                continue
            if shard not in names:
                verdict.missing_shards += 1
                continue
            part = _checked(verdict, run, generation, shard, films, environments)
            if part is None:
                continue
            header, lines = part
            newest |= {line.row: line for line in lines}
            verdict.duplicates += header.duplicates if generation.number == 0 else 0
            digest.update(f"{generation.number} {shard} {header.rows_sha256}\n".encode("ascii"))
        verdict.ok += sum(line.reason is None for line in newest.values())
        verdict.reasons.update(line.reason for line in newest.values() if line.reason is not None)
        ids += b"".join(line.film_id for line in newest.values())
    _count_equal_names(verdict, ids)
    for generation, names in zip(generations, done, strict=True):
        _look_for_others(verdict, run, generation, frozenset(names.values()))
    _check_sent(verdict, run)
    verdict.fingerprint = digest.hexdigest()
    return verdict


def _checked(
    verdict: Verdict,
    run: Run,
    generation: Generation,
    shard: int,
    films: Sequence[PlannedFilm],
    environments: frozenset[str],
) -> tuple[PartHeader, list[_Line]] | None:
    """The part of a shard; None, and the verdict says why, where it isn't what it should be."""
    name = generation.part(shard)
    try:
        content = run.place.read(name)
    except InputError as error:  # which says nothing of what it holds
        verdict.problems.append(str(error))
        return None
    try:
        header = read_header(content, name)
        _check_header(run, generation, shard, films, header)
        lines = _checked_lines(run, shard, films, header, part_lines(content, name, header), name)
    except InputError as error:
        verdict.problems.append(str(error))
        verdict.damaged.append(name)
        return None
    if header.sr is not None:
        _check_documents(verdict, run, generation, header, lines)
    if header.environment not in environments:
        verdict.problems.append(
            f"{name} was made by software that the run doesn't know ({header.environment}); "
            f"bring {layout.ENVIRONMENTS_FOLDER}/ back"
        )
    return header, lines


def _check_documents(
    verdict: Verdict, run: Run, generation: Generation, header: PartHeader, lines: Sequence[_Line]
) -> None:
    """Count a shard's structured reports; where they aren't what they should be, the verdict says why."""
    counts = header.sr
    assert counts is not None
    assert verdict.sr_documents is not None
    assert verdict.sr_not_possible is not None
    reports = {line.row: line.report for line in lines if line.report is not None}
    part, tar = generation.part(header.shard), layout.sr_file(generation.number, header.shard)
    try:
        content = run.place.read(tar)
    except InputError as error:  # one that is there may be good
        verdict.problems.append(str(error))
        if not run.place.has(tar):
            verdict.damaged.append(part)
        return
    try:
        check_documents(run.run_id, content, tar, counts, reports)
    except InputError as error:
        verdict.problems.append(str(error))
        # The tar first: a part without one is found again by whoever goes on, a tar without its part isn't.
        verdict.damaged += [tar, part]
        return
    verdict.sr_documents += counts.documents
    for reason, count in counts.not_possible.items():
        verdict.sr_not_possible[reason] = verdict.sr_not_possible.get(reason, 0) + count


def _count_equal_names(verdict: Verdict, ids: bytearray) -> None:
    """Count the films that are called like another one; `ids`: of all rows, 16 bytes each."""
    halves = np.frombuffer(ids, np.uint64).reshape(-1, 2)
    ordered = halves[np.lexsort(halves.T)]
    count = int(np.count_nonzero((ordered[1:] == ordered[:-1]).all(axis=1)))
    if count:
        verdict.repeated += count
        verdict.problems.append(
            f"{count} films have the name of another one, so that their rows can't be told apart by it: "
            "earlier versions called a film in a folder like a.tar! as if it were in a.tar; score them in a "
            "new run"
        )


def drop_broken(run: Run, verdict: Verdict) -> None:
    """Put the damaged files aside, so that their shards are scored anew."""
    for name in verdict.damaged:
        sha256 = hashlib.sha256(run.place.read(name)).hexdigest()
        run.place.set_aside(name, layout.broken_file(name, sha256))


@dataclass(frozen=True, slots=True)
class _Line:
    """What counts of a row."""

    row: int
    reason: str | None
    film_id: bytes
    told: bool | None
    report: Reported | None = None
    """Of rows with a report, in runs that make structured ones."""


def _check_header(
    run: Run, generation: Generation, shard: int, films: Sequence[PlannedFilm], header: PartHeader
) -> None:
    """Raise InputError unless a part says that it is the one of this shard and has as many rows as films."""
    name = generation.part(shard)
    expected = (run.run_id, generation.number, shard, run.identity.disclaimer)
    if (header.run, header.generation, header.shard, header.disclaimer) != expected:
        raise InputError(
            f"{name} is of another run or shard; `cxrscribe score verify --drop-broken` puts it aside"
        )
    if (header.sr is not None) != run.identity.sr:
        raise InputError(
            f"{name} says of structured reports what parts of this run don't; `cxrscribe score verify "
            "--drop-broken` puts it aside"
        )
    if len(films) != header.films:
        raise InputError(f"{name} has {header.films} rows for {len(films)} films")


def _checked_lines(
    run: Run,
    shard: int,
    films: Sequence[PlannedFilm],
    header: PartHeader,
    lines: Iterator[bytes],
    name: str,
) -> list[_Line]:
    """What counts of a part's rows. Raises InputError unless they are exactly those of the films."""
    names = run.names if run.has_names else None
    found = []
    for film, text in zip(films, lines, strict=True):
        row = _parsed(text, name, film.row)
        film_id = _film_id(row)
        here = (row.integer("shard"), row.integer("row"), film_id)
        if here != (shard, film.row, names.film_id(film) if names else film_id):
            raise InputError(f"{name} has another row where that of film {film.row} should be")
        if row.text("status") != (QUARANTINED if row.is_null("text") else OK):
            raise InputError(f"{name}: row {film.row} has a report and is in quarantine, or neither")
        reason = None if row.is_null("reason") else row.text("reason")
        told = row.boolean("indication") if "indication" in row.names() else None
        if (told is not None) != bool(run.identity.indications):
            raise InputError(f"{name}: row {film.row} says of an indication what rows of this run don't")
        report = None
        if run.identity.sr and reason is None:
            report = Reported(row.text("content_sha256"), row.text("text"))
        found.append(_Line(film.row, reason, film_id, told, report))
    if Counter(line.reason for line in found if line.reason is not None) != header.reasons:
        raise InputError(f"{name} has other films in quarantine than its header says")
    if told_count(line.told for line in found) != header.told:
        raise InputError(f"{name} has another number of films with an indication than its header says")
    return found


def _parsed(text: bytes, name: str, row: int) -> JsonObject:
    try:
        return JsonObject(json.loads(text), f"{name}: row {row}")
    except (ValueError, RecursionError):
        raise damaged(name, f"row {row} is no JSON") from None


def _film_id(row: JsonObject) -> bytes:
    try:
        (found,) = struct.unpack("16s", bytes.fromhex(row.text("film_id")))
    except (ValueError, struct.error):
        row.refuse("film_id", "16 bytes in hexadecimal digits")
    return bytes(found)


def _look_for_others(verdict: Verdict, run: Run, generation: Generation, known: frozenset[str]) -> None:
    """Files among the parts that are none of this run's."""
    folder = layout.generation_folder(generation.number) if generation.number else layout.PARTS_FOLDER
    allowed = {layout.retry_file(generation.number)} if generation.number else set()
    markers = f"{folder}/{layout.ATTEMPTS_FOLDER}/"
    names = run.place.names(folder)
    if generation.number == 0:
        names += run.place.names(layout.SR_FOLDER)
    if run.identity.sr:  # also of a shard whose part isn't there yet
        allowed |= {layout.sr_file(generation.number, shard) for shard in generation.shards}
    for name in names:
        if is_unfinished(name):
            verdict.unfinished_files += 1
        elif name not in known and name not in allowed and not name.startswith(markers):
            verdict.problems.append(f"{name} isn't a file of this run; move it elsewhere")
            try:
                verdict.repeated += part_header(run.place, name).films
            except InputError:
                continue


def _check_sent(verdict: Verdict, run: Run) -> None:
    """What is remembered of PACS that the run was sent to."""
    try:
        for ledger in ledgers(run.place, run.run_id):
            ledger.records()
    except InputError as error:
        verdict.problems.append(str(error))
