"""The commands that score films: those of a run, and once more those that had no report."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cxrscribe.cli.films import stdin_lines
from cxrscribe.cli.options import (
    BeamChoice,
    beam_options,
    bundle_or_demo,
    engine_options,
    sample_options,
)
from cxrscribe.cli.score.bar import ScoreBar
from cxrscribe.cli.score.options import WayChoice, way_options
from cxrscribe.cli.score.summary import documents, exit_code, outcome
from cxrscribe.cli.terminal import note, say
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError, Reason

if TYPE_CHECKING:
    from cxrscribe.archive.generation import Generation
    from cxrscribe.archive.indications import Coverage
    from cxrscribe.archive.run import Run
    from cxrscribe.archive.scoring import Receipt
    from cxrscribe.reporter import Reporter

KEY_OPTION: Final = click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The key of --film-names hash: 16 to 64 bytes, which are to be kept secret, and kept.",
)
TABLE_OPTION: Final = click.option(
    "--indications",
    metavar="FILE.csv",
    help="Table of what is known of each film's patient, for a model that reads it: the columns film, as "
    "rows call it, and indication; a path or URL. It isn't copied into RUN, which has its place and sha256; "
    "give it again where it has been moved.",
)
RUN: Final = click.STRING  # click.Path would take a slash out of s3://


@click.command(hidden=True)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option(
    "--run",
    "path",
    type=RUN,
    required=True,
    help="Folder of the run, made if it isn't there; or s3://BUCKET/PREFIX, gs:// or az:// (extra 'store').",
)
@click.option(
    "--shard-films",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Films a shard, and so a part file. [default: 1000]",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["jsonl", "parquet"]),
    help="Of the part files: gzipped JSON lines, or Parquet (extra 'parquet'). [default: jsonl]",
)
@click.option("--token-log-probs", is_flag=True, help="Keep the log-probability of each token.")
@click.option(
    "--dicom-uids",
    is_flag=True,
    help="Keep the SOPInstanceUID of each DICOM film. It identifies the image, and so the patient.",
)
@click.option(
    "--film-names",
    type=click.Choice(["path", "hash"]),
    default="path",
    show_default=True,
    help="What rows call a film: its path, or a keyed hash of it, which names nobody.",
)
@click.option(
    "--sr",
    is_flag=True,
    help="Make each report of a DICOM film a DICOM structured report too, for a PACS: a draft, not verified. "
    "They are in RUN/sr, and repeat what the film says of patient and study.",
)
@KEY_OPTION
@TABLE_OPTION
@click.option("--plan-only", is_flag=True, help="List and freeze the films, and score none of them.")
@way_options
@engine_options
@beam_options
@sample_options
def films(
    sources: tuple[str, ...],
    path: str,
    shard_films: int | None,
    format_name: str | None,
    token_log_probs: bool,
    dicom_uids: bool,
    film_names: str,
    sr: bool,
    key: Path | None,
    indications: str | None,
    plan_only: bool,
    way: WayChoice,
    engine: Engine,
    beam: BeamChoice,
) -> None:
    """Write a report for every film of an archive into the folder RUN, none left out and none twice, whatever
    happens meanwhile: killed, it goes on when the same command is given again, and several machines may work
    on one RUN.

    SOURCE is a folder (searched at any depth), a quoted glob, a film, an archive (.tar, .tar.gz, .tgz, .zip;
    its members are read in place), or a list of these, one path a line: @FILE, or - for stdin. DICOM files
    need no suffix. The films are listed once, when the run is begun; later commands may leave SOURCE out.

    RUN/parts has a file for each shard of 1,000 films. A film that can't be done has a row that says why.
    Bundle, settings and versions are recorded, and compared whenever the run is gone on with.

    Exit code: 0 all films have a report; 1 some have none, or are left; 2 nothing could be done, the run was
    begun with something else, its folder can't be written, or so much goes wrong that it stops; 130
    interrupted.
    """
    from cxrscribe.archive.beginning import begin_run
    from cxrscribe.archive.rows.row import RowChoice
    from cxrscribe.archive.run import pinned
    from cxrscribe.search.constraints import banned_ids

    if (film_names == "hash") != (key is not None):
        raise InputError("--film-names hash needs a --key, and a --key needs --film-names hash; give both")
    engine = pinned(replace(engine, bundle=str(bundle_or_demo(engine.bundle))), path)
    with engine.load() as reporter:
        settings = beam.over(reporter.settings)
        banned_ids(settings, reporter.vocabulary)  # a wrong word must not begin a run
        run = begin_run(
            path,
            sources,
            reporter,
            settings,
            shard_films=shard_films,
            format_name=format_name,
            choice=RowChoice(token_log_probs, dicom_uids) if token_log_probs or dicom_uids else None,
            key_file=key,
            indications=indications,
            sr=sr or None,
            accept_runtime=way.accept == "runtime",
            stdin=stdin_lines(),
        )
        note(f"{run.plan.films:,} films in {len(run.plan.shards):,} shards: {path}")
        if run.coverage is not None:
            note(_told(run.coverage))
        code = 0 if plan_only else _score(run, run.generation(), reporter, engine, way)
    click.get_current_context().exit(code)


@click.command(short_help="Score once more the films that have no report.")
@click.argument("path", type=RUN, metavar="RUN")
@click.argument("reasons", nargs=-1, metavar="[REASON]...")
@KEY_OPTION
@TABLE_OPTION
@way_options
@engine_options
def retry(
    path: str,
    reasons: tuple[str, ...],
    key: Path | None,
    indications: str | None,
    way: WayChoice,
    engine: Engine,
) -> None:
    """Score once more the films of RUN that have no report, all or those with one of these REASONs: say
    `missing` after a mount is back, or `timed_out` with more --film-seconds.

    The run has to be done. Its parts stay as they are; the new rows go to RUN/retry and count in place of
    the old ones. Bundle and settings are those of the run: give the same --bundle.

    Exit code: as `cxrscribe score`.
    """
    from cxrscribe.archive.retry import begin_retry
    from cxrscribe.archive.run import open_run, pinned

    unknown = [reason for reason in reasons if reason not in tuple(Reason)]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is no reason; there are {', '.join(Reason)}")
    run = open_run(path, key, indications)
    engine = pinned(replace(engine, bundle=str(bundle_or_demo(engine.bundle))), path)
    with engine.load() as reporter:
        run.check(reporter, accept_runtime=way.accept == "runtime")
        generation = begin_retry(run, [Reason(reason) for reason in reasons])
        if generation is None:
            note("No film to retry: all have a report, or none for another reason than these.")
            code = 0
        else:
            note(f"{generation.film_count:,} films to retry")
            code = _score(run, generation, reporter, engine, way)
    click.get_current_context().exit(code)


def _told(found: Coverage) -> str:
    """How the table of a run that begins and its films fit together."""
    line = f"{found.told:,} of {found.films:,} films have an indication in the table"
    unused = found.rows - found.named
    return f"{line}; {unused:,} rows of it name no film of the run" if unused else line


def _score(run: Run, generation: Generation, reporter: Reporter, engine: Engine, way: WayChoice) -> int:
    """Score what is left of a generation; the exit code."""
    from cxrscribe.archive.progress import EventLog, Progress
    from cxrscribe.archive.status import Watch

    events = EventLog(run.place)
    twice = 0
    with (
        ScoreBar() as bar,
        Progress(run, bar.show),
        closing(_receipts(run, generation, reporter, engine, way)) as receipts,
    ):
        for receipt in receipts:
            events.write(receipt)
            if receipt.left:
                note(f"shard {receipt.shard} is left open: {receipt.fault}, and give the same command")
            twice += not receipt.committed and receipt.attempt > 0 and not receipt.left
            if not receipt.agrees:
                note(
                    f"shard {receipt.shard} was scored by two at once, with other results: its part is the "
                    "first one's"
                )
    status = Watch(run).look()
    left = sum(generation.count_of(shard) for shard in way.own_shards(generation.missing()))
    say(f"{status.films:,} films = {outcome(status.ok, status.reasons, status.films - status.done)}")
    if twice:
        note(
            f"{twice:,} shards were scored by someone else at the same time, whose parts count; give each "
            "command its own --part"
        )
    if status.duplicates:
        say(f"{status.duplicates:,} films have the bytes of another one of their shard")
    if status.told is not None:
        say(f"{status.told:,} reports were written with an indication, {status.ok - status.told:,} without")
    if status.sr_documents is not None:
        say(documents(status.sr_documents, status.sr_not_possible or {}))
        if status.sr_left_out:
            note(f"{status.sr_left_out:,} values of patient or study weren't valid, and are empty there")
    return exit_code(status.quarantined, status.done, left, way.max_quarantined)


def _receipts(
    run: Run, generation: Generation, reporter: Reporter, engine: Engine, way: WayChoice
) -> Generator[Receipt, None, None]:
    from cxrscribe.archive.quarantine import QUARANTINED_SHARE, Breaker
    from cxrscribe.archive.scoring import score_shards
    from cxrscribe.archive.supervisor import Assignment, supervise

    shards = way.own_shards(generation.missing())
    chosen = replace(
        engine, device=reporter.device, precision=reporter.precision, modalities=reporter.modalities
    )
    # Films that had no report before may well have none again.
    share = 1.0 if generation.number else max(QUARANTINED_SHARE, way.max_quarantined)
    assignment = Assignment(run, chosen, generation.number, way.batch_size, way.score_duplicates, share)
    if way.scheduler == "ray":
        from cxrscribe.archive.ray_data import score_on_ray

        reporter.close()  # the actors have their own
        return score_on_ray(assignment, shards, address=way.address, most_actors=way.workers)
    if way.workers is None or way.workers == 1:
        return score_shards(
            run,
            shards,
            reporter,
            generation=generation.number,
            batch_size=way.batch_size,
            score_duplicates=way.score_duplicates,
            breaker=Breaker(share),
            engine=chosen,
        )
    reporter.close()  # the workers have their own
    return supervise(assignment, shards, way.workers)
