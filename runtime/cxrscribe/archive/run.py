"""A run: a plan of films, what they are scored with, and a folder that holds both and all results."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cxrscribe import arguments
from cxrscribe.archive import layout
from cxrscribe.archive.film_names import PATH, FilmNames, read_film_names
from cxrscribe.archive.generation import Generation, read_retry
from cxrscribe.archive.identity import (
    Identity,
    environment_digest,
    identity_of,
    in_words,
    installed_versions,
)
from cxrscribe.archive.indications import Coverage, open_table, table_place
from cxrscribe.archive.places.folder import Folder
from cxrscribe.archive.places.place import Place, is_url
from cxrscribe.archive.plan import Plan
from cxrscribe.archive.rows.part import SUFFIXES
from cxrscribe.archive.text_table import TextTable
from cxrscribe.bundle.precision_pair import FASTEST
from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject, parse_json_object
from cxrscribe.sessions.device import AUTO

if TYPE_CHECKING:
    from cxrscribe.engine import Engine
    from cxrscribe.reporter import Reporter

SCHEMA: Final = 1


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
                f"{self.place.url} was begun with something else: {in_words(others)}; give the same again, "
                "or another --run"
            )
        if not versions:
            return
        name = layout.environment_file(now.environment)
        if accept_runtime:
            self.place.create(name, json.dumps(dict(now.versions), indent=1).encode("ascii"))
        elif not self.place.has(name):
            raise InputError(
                f"{self.place.url} was begun with other software: {in_words(versions)}; install the same, "
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
    run = read_run(place)
    if run is None:
        raise InputError(f"{place.url} holds no run; `cxrscribe score SOURCE --run {place.url}` begins one")
    if indications is not None:
        if run.identity.indications.table is None:
            raise InputError(
                f"{place.url} was begun without a table of indications; leave it out, or begin another run"
            )
        run = replace(run, indications=table_place(indications))
    return with_key(run, key_file)


def pinned(engine: Engine, path: str | os.PathLike[str]) -> Engine:
    """`fastest` as the run in the folder `path` has taken it, whatever is fastest here and now.

    The same engine where another precision is asked for, or there is no run yet. Raises InputError when the
    run is damaged.
    """
    run = read_run(place_at(path)) if engine.precision == FASTEST else None
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


def with_key(run: Run, key_file: str | os.PathLike[str] | None) -> Run:
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


def read_run(place: Place) -> Run | None:
    """The run that is there, if any. Raises InputError where it is damaged, or another version's."""
    if not place.has(layout.RUN):
        return None
    fields = parse_json_object(place.read(layout.RUN), place.locate(layout.RUN))
    version = fields.integer("schema")
    if version != SCHEMA:
        raise InputError(
            f"{place.locate(layout.RUN)} is of schema {version}, and this version of cxrscribe reads "
            f"{SCHEMA}; go on with the version that made it"
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
