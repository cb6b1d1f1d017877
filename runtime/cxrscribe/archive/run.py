"""A run: a plan of films, what they are scored with, and a folder that holds both and all results."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cxrscribe import arguments
from cxrscribe.archive import layout
from cxrscribe.archive.film_names import HASH, PATH, FilmNames, read_film_names
from cxrscribe.archive.generation import Generation, read_retry
from cxrscribe.archive.identity import (
    Difference,
    Identity,
    environment_digest,
    identity_of,
    installed_versions,
)
from cxrscribe.archive.indications import Coverage, coverage, open_table
from cxrscribe.archive.places.folder import Folder
from cxrscribe.archive.places.place import Place, is_url
from cxrscribe.archive.plan import SHARD_FILMS, Plan, make_plan
from cxrscribe.archive.rows.part import JSONL, SUFFIXES, check_format
from cxrscribe.archive.rows.row import RowChoice
from cxrscribe.archive.sources.listing import Sources, source_names
from cxrscribe.archive.text_table import TextTable
from cxrscribe.bundle.precision_pair import FASTEST
from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe.json_object import JsonObject, parse_json_object
from cxrscribe.sessions.device import AUTO
from cxrscribe.settings import settings_of_each

if TYPE_CHECKING:
    from cxrscribe.archive.sources.objects import ObjectSources
    from cxrscribe.engine import Engine
    from cxrscribe.reporter import Reporter
    from cxrscribe.settings import BeamSettings

MOST_SHARD_FILMS: Final = 100_000

_SCHEMA: Final = 1
_SHOWN_DIFFERENCES: Final = 4


@dataclass(frozen=True)
class Run:
    """A run whose plan is frozen and whose identity is recorded. Made by `begin_run` and `open_run`."""

    place: Place
    plan: Plan
    identity: Identity
    """What it was begun with."""
    run_id: str
    started: str
    """When it was begun, ISO 8601."""
    key_file: Path | None = None
    """Where the key of its films' names is, if it was given."""
    indications: str | None = None
    """Where the table of its films' indications is, if it has one: an absolute path, or a URL."""
    coverage: Coverage | None = None
    """How that table and the films fit together; known to the call that began the run."""

    @cached_property
    def table(self) -> TextTable | None:
        """That table, opened once; None where the run has none.

        Raises InputError when it can't be read, or isn't the one that the run was begun with.
        """
        known = self.identity.indications.table
        if known is None:
            return None
        assert self.indications is not None
        found = open_table(self.indications)
        if found.sha256 != known:
            raise InputError(
                f"{found.source} isn't the table of indications that {self.place.url} was begun with (sha256 "
                f"{found.sha256}, not {known}); give that one with --indications"
            )
        return found

    @property
    def has_names(self) -> bool:
        """Whether it can be said what its rows call a film."""
        return self.identity.choice.film_names == PATH or self.key_file is not None

    @property
    def names(self) -> FilmNames:
        """What its rows call films. Raises InputError without the key that they are hashed with."""
        if not self.has_names:
            raise InputError(f"the rows of {self.place.url} have hashes for names; give the same --key")
        return read_film_names(self.key_file)

    def generation(self, number: int = 0) -> Generation:
        """The run itself (0), or one of its retries. Raises InputError."""
        suffix = SUFFIXES[self.identity.format]
        number = arguments.whole_number("generation", number, 0)
        if number == 0:
            return Generation(0, self.place, self.plan, suffix)
        return Generation(number, self.place, self.plan, suffix, read_retry(self.place, number))

    def generations(self) -> list[Generation]:
        """The run itself and all its retries, in order."""
        found = [self.generation()]
        while self.place.has(layout.retry_file(len(found))):
            found.append(self.generation(len(found)))
        return found

    def check(self, reporter: Reporter, *, accept_runtime: bool = False) -> None:
        """As `check_identity`, for what a reporter can differ in."""
        known = self.identity
        now = identity_of(
            reporter,
            known.settings,
            known.format,
            known.choice,
            known.root,
            known.sources,
            known.plan,
            known.indications.table,  # which is compared when it is opened
            sr=known.sr,
        )
        self.check_identity(now, accept_runtime=accept_runtime)

    def check_identity(self, now: Identity, *, accept_runtime: bool = False) -> None:
        """Raise InputError unless `now` is what the run was begun with.

        Other versions of libraries are accepted if they have been before, or are from now on.
        """
        found = self.identity.differences(now)
        versions = [difference for difference in found if difference.is_version]
        others = [difference for difference in found if not difference.is_version]
        if others:
            raise InputError(
                f"{self.place.url} was begun with something else: {_shown(others)}; give the same again, or "
                "another --run"
            )
        if not versions:
            return
        name = layout.environment_file(now.environment)
        if accept_runtime:
            self.place.create(name, json.dumps(dict(now.versions), indent=1).encode("ascii"))
        elif not self.place.has(name):
            raise InputError(
                f"{self.place.url} was begun with other software: {_shown(versions)}; install the same, "
                "give another --run, or --accept runtime to have parts of both, each of which says its own"
            )


def open_run(
    path: str | os.PathLike[str],
    key_file: str | os.PathLike[str] | None = None,
    indications: str | os.PathLike[str] | None = None,
) -> Run:
    """Open the run in the folder `path`, with the key of its films' names where they are hashes.

    `indications`: where the table of its films' indications is now, if it isn't where it was; it is opened
    when films are scored. Raises InputError when there is no run, it is damaged, the key is another one, or
    the run has no table.
    """
    place = place_at(path)
    run = _read(place)
    if run is None:
        raise InputError(f"{place.url} holds no run; `cxrscribe score SOURCE --run {place.url}` begins one")
    if indications is not None:
        if run.identity.indications.table is None:
            raise InputError(
                f"{place.url} was begun without a table of indications; leave it out, or begin another run"
            )
        run = replace(run, indications=_table_place(indications))
    return _with_key(run, key_file)


def pinned(engine: Engine, path: str | os.PathLike[str]) -> Engine:
    """`fastest` as the run in the folder `path` has taken it, whatever is fastest here and now.

    The same engine where another precision is asked for, or there is no run yet. Raises InputError when the
    run is damaged.
    """
    run = _read(place_at(path)) if engine.precision == FASTEST else None
    if run is None:
        return engine
    device = run.identity.device if engine.device == AUTO else engine.device
    return replace(engine, device=device, precision=run.identity.precision)


def run_of(request: JsonObject) -> Run:
    """The run that another process is to work on. Raises as `open_run` does."""
    key, indications = (
        None if request.is_null(name) else request.text(name) for name in ("key", "indications")
    )
    return open_run(request.text("run"), key, indications)


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
    there = _read(place)
    table = None
    if indications is not None:
        reporter.encode_indications(())  # a model that reads none says so first
        table = open_table(_table_place(indications))
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
            "schema": _SCHEMA,
            "run": chosen.run_id,
            # As clocks show it here: structured reports have it as date and time of their content.
            "started": datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
            "identity": chosen.to_json(),
        }
        if table is not None:
            document["indications"] = table.source
        place.create(layout.RUN, json.dumps(document, indent=1).encode("ascii"))
        there = _read(place)
        assert there is not None
    there.check_identity(chosen, accept_runtime=accept_runtime)
    check_format(chosen.format)
    if table is not None:
        there = replace(there, indications=table.source, coverage=found)
    run = _with_key(there, key_file)
    if table is not None:
        vars(run)["table"] = table  # which it needn't open again
    return run


def _require_dicom() -> None:
    """Raise MissingExtraError where no film's header could be read, so that no structured report is made."""
    if find_spec("pydicom") is None:
        raise MissingExtraError("structured reports", "dicom")


def _table_place(indications: str | os.PathLike[str]) -> str:
    """What a table is called, also by other processes."""
    path = arguments.path("indications", indications)
    return str(indications) if is_url(indications) else str(path.absolute())


def _table_sha256(table: TextTable | None, there: Run | None) -> str | None:
    """That of the table that is given; without one, of that of the run that is there."""
    if table is not None:
        return table.sha256
    return there.identity.indications.table if there else None


def _with_key(run: Run, key_file: str | os.PathLike[str] | None) -> Run:
    """The run, with its key. Raises InputError when the key is another one."""
    if key_file is None:
        return run
    opened = replace(run, key_file=arguments.path("key_file", key_file).absolute())
    if opened.names.check != run.identity.choice.key_check:
        raise InputError(
            f"{key_file} isn't the key that the names in {run.place.url} are hashed with; give that one"
        )
    return opened


def place_at(path: str | os.PathLike[str]) -> Place:
    """The place of this path: a folder, or for `s3://`, `gs://` and `az://` a prefix in a bucket.

    Raises MissingExtraError where a bucket needs the extra `store` and it isn't installed.
    """
    folder = arguments.path("the path of a run", path)
    if is_url(path):
        from cxrscribe.archive.places.bucket import Bucket

        return Bucket.open(str(path))
    return Folder(folder)


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
            f"{place.url} was planned with something else: {_shown(found_differences)}; give the same "
            "again, or another --run"
        )
    return plan


def _sources(names: Sequence[str], stdin: Iterable[bytes]) -> Sources | ObjectSources:
    """Raises InputError, MissingExtraError."""
    if not any(map(is_url, names)):
        return Sources(names, stdin)
    from cxrscribe.archive.sources.objects import ObjectSources

    return ObjectSources(names)


def _read(place: Place) -> Run | None:
    if not place.has(layout.RUN):
        return None
    fields = parse_json_object(place.read(layout.RUN), place.locate(layout.RUN))
    version = fields.integer("schema")
    if version != _SCHEMA:
        raise InputError(
            f"{place.locate(layout.RUN)} is of schema {version}, and this version of cxrscribe reads "
            f"{_SCHEMA}; go on with the version that made it"
        )
    plan = Plan.read(place)
    if plan is None:
        raise InputError(f"{place.url} has a {layout.RUN} and no {layout.PLAN}; start a new run")
    identity = Identity.from_json(fields.object("identity"))
    run = fields.make(
        Run,
        place=place,
        plan=plan,
        identity=identity,
        run_id=fields.text("run"),
        started=fields.text("started"),
        indications=fields.text("indications") if "indications" in fields.names() else None,
    )
    if (identity.indications.table is None) != (run.indications is None):
        raise InputError(
            f"{place.url}: {layout.RUN} has a table of indications and no place of it, or the other way "
            "round; start a new run"
        )
    if identity.plan != plan.sha256 or identity.run_id != run.run_id:
        raise InputError(
            f"{place.url}: {layout.RUN} and {layout.PLAN} don't belong together, or one of them was "
            "changed; start a new run"
        )
    return run


def known_environments(run: Run) -> frozenset[str]:
    """Digests of the versions that parts of a run may have been made with."""
    names = run.place.names(layout.ENVIRONMENTS_FOLDER)
    return frozenset(
        {run.identity.environment, *(name.rpartition("/")[2].removesuffix(".json") for name in names)}
    )


def environment_here(run: Run) -> str:
    """Digest of the versions that this process has."""
    return environment_digest(installed_versions(run.identity.device))


def _shown(differences: Sequence[Difference]) -> str:
    text = "; ".join(map(str, differences[:_SHOWN_DIFFERENCES]))
    more = len(differences) - _SHOWN_DIFFERENCES
    return f"{text}; and {more} more" if more > 0 else text
