"""Beginning a run: its films are listed, and what it is made with is recorded; later calls go on with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from cxrscribe import arguments
from cxrscribe.archive import layout
from cxrscribe.archive.film_names import HASH, read_film_names
from cxrscribe.archive.identity import (
    Difference,
    identity_of,
    in_words,
)
from cxrscribe.archive.indications import coverage, open_table, table_place
from cxrscribe.archive.places.place import Place, is_url
from cxrscribe.archive.plan import SHARD_FILMS, Plan, make_plan
from cxrscribe.archive.rows.part import JSONL, SUFFIXES, check_format
from cxrscribe.archive.rows.row import RowChoice
from cxrscribe.archive.run import SCHEMA, Run, place_at, read_run, with_key
from cxrscribe.archive.sources.listing import Sources, source_names
from cxrscribe.archive.text_table import TextTable
from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe.settings import settings_of_each

if TYPE_CHECKING:
    from cxrscribe.archive.sources.objects import ObjectSources
    from cxrscribe.reporter import Reporter
    from cxrscribe.settings import BeamSettings

MOST_SHARD_FILMS: Final = 100_000


def begin_run(
    path: str | os.PathLike[str],
    sources: Sequence[str],
    reporter: Reporter,
    settings: BeamSettings,
    *,
    shard_films: int | None = None,
    format_name: str | None = None,
    choice: RowChoice | None = None,
    key_file: str | os.PathLike[str] | None = None,
    indications: str | os.PathLike[str] | None = None,
    sr: bool | None = None,
    accept_runtime: bool = False,
    stdin: Iterable[bytes] = (),
) -> Run:
    """Begin a run in the folder `path`, or go on with the one that is there.

    `sources`: what to search for films, see `Sources`; none for those of the run that is there. They are
    listed once, when the run is begun. `shard_films`, `format_name` and `choice`: None for what the run has,
    and for a new one 1,000 films a shard, `jsonl`, and RowChoice(). `key_file`: a key, to have hashes for
    names in the rows. `indications`: a table of what is known of each film's patient, a CSV file or its URL,
    for models that read it; None for that of the run that is there. Rows say whether there was a text.
    `sr`: whether each report of a DICOM film is made a structured report too, which repeats what the film
    says of patient and study; None for what the run does, and for a new one none.

    Raises InputError when a run is there that was begun with anything else, when there is no film, when
    the place can't keep a run, or the table is none or names no film; SettingsError when the model reads no
    indication; MissingExtraError when the format's extra isn't installed, or `dicom` for structured reports.
    """
    arguments.several("sources", sources, "folders, films and lists")
    sources = [arguments.text("a source", source) for source in sources]
    if shard_films is not None:
        shard_films = arguments.whole_number("shard_films", shard_films, 1, MOST_SHARD_FILMS)
    if format_name is not None and arguments.text("format_name", format_name) not in SUFFIXES:
        raise InputError(f"format_name is {format_name!r}; there are {', '.join(SUFFIXES)}")
    arguments.none_or(RowChoice, "choice", choice)
    (settings,) = settings_of_each(settings, 1)
    accept_runtime = arguments.flag("accept_runtime", accept_runtime)
    sr = None if sr is None else arguments.flag("sr", sr)
    place = place_at(path)
    there = read_run(place)
    table = None
    if indications is not None:
        reporter.encode_indications(())  # a model that reads none says so first
        table = open_table(table_place(indications))
    if key_file is not None:
        names = read_film_names(arguments.path("key_file", key_file))
        given = choice or (there.identity.choice if there else RowChoice())
        choice = replace(given, film_names=HASH, key_check=names.check)
    if there is None:
        place.probe()
    if place.has(layout.PLAN):  # else nothing here need be ours
        place.sweep(layout.FOLDERS)
    plan = _plan(place, sources, shard_films, stdin)
    chosen = identity_of(
        reporter,
        settings,
        format_name or (there.identity.format if there else JSONL),
        choice or (there.identity.choice if there else RowChoice()),
        plan.root,
        source_names(sources) or plan.sources,
        plan.sha256,
        _table_sha256(table, there),
        sr=bool(there and there.identity.sr) if sr is None else sr,
    )
    found = None
    if there is None:
        check_format(chosen.format)
        if chosen.sr:
            _require_dicom()
        if table is not None:
            shards = (plan.read_shard(place, shard) for shard in range(len(plan.shards)))
            found = coverage(table, plan.root, shards)
        document = {
            "schema": SCHEMA,
            "run": chosen.run_id,
            # As clocks show it here: structured reports have it as date and time of their content.
            "started": datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
            "identity": chosen.to_json(),
        }
        if table is not None:
            document["indications"] = table.source
        place.create(layout.RUN, json.dumps(document, indent=1).encode("ascii"))
        there = read_run(place)
        assert there is not None
    there.check_identity(chosen, accept_runtime=accept_runtime)
    check_format(chosen.format)
    if table is not None:
        there = replace(there, indications=table.source, coverage=found)
    run = with_key(there, key_file)
    if table is not None:
        vars(run)["table"] = table  # which it needn't open again
    return run


def _require_dicom() -> None:
    """Raise MissingExtraError where no film's header could be read, so that no structured report is made."""
    if find_spec("pydicom") is None:
        raise MissingExtraError("structured reports", "dicom")


def _table_sha256(table: TextTable | None, there: Run | None) -> str | None:
    """That of the table that is given; without one, of that of the run that is there."""
    if table is not None:
        return table.sha256
    return there.identity.indications.table if there else None


def _plan(place: Place, sources: Sequence[str], shard_films: int | None, stdin: Iterable[bytes]) -> Plan:
    """The plan that is there, or a new one. Raises InputError when the one that is there is another."""
    plan = Plan.read(place)
    if plan is None:
        if not sources:
            raise InputError(f"{place.url} holds no run yet; give the folders, files or lists to score")
        found = _sources(sources, stdin)
        plan = make_plan(place, found.films(), found.root, found.names, shard_films or SHARD_FILMS)
    asked = [
        Difference("sources", list(plan.sources), list(source_names(sources) or plan.sources)),
        Difference("shard_films", plan.shard_films, shard_films or plan.shard_films),
    ]
    if found_differences := [difference for difference in asked if difference.was != difference.now]:
        raise InputError(
            f"{place.url} was planned with something else: {in_words(found_differences)}; give the same "
            "again, or another --run"
        )
    return plan


def _sources(names: Sequence[str], stdin: Iterable[bytes]) -> Sources | ObjectSources:
    """Raises InputError, MissingExtraError."""
    if not any(map(is_url, names)):
        return Sources(names, stdin)
    from cxrscribe.archive.sources.objects import ObjectSources

    return ObjectSources(names)
