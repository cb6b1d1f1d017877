"""`cxrscribe tune`: what `--precision fastest` takes on this machine, found out ahead of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cxrscribe.cli.options import bundle_or_demo
from cxrscribe.cli.terminal import note, say, say_json
from cxrscribe.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from cxrscribe.bundle.precision_cost import Precision
    from cxrscribe.tuning.choice import Choice, Chooser
    from cxrscribe.tuning.race import Lap

_NOT_KEPT: Final = "what is measured of the words can't be kept: the cache can't be written to"
_TRIALS: Final = "cxrscribe.trials"
"""Entry points of what measures a bundle's words, which takes more than the runtime has."""


@click.command(short_help="Find the fastest device and precision of this machine, and keep it.")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--device", default="auto", show_default=True, help="Choose among what runs there.")
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads. [default: those it may use]"
)
@click.option(
    "--no-spinning", "spinning", is_flag=True, flag_value=False, default=True, help="As for report."
)
@click.option("--strict", is_flag=True, help="As for report.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1.0),
    default=15.0,
    show_default=True,
    help="How long to try, about.",
)
@click.option(
    "--corpus",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Measure first what everything that runs here costs in words, on the films of this corpus that the "
    "model has not seen. Needs the extra export.",
)
@click.option(
    "--films",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Of the corpus, at most.",
)
@click.option(
    "--any-words",
    is_flag=True,
    help="Choose among all that runs, whatever it does to the words, and keep nothing: for models whose "
    "words mean nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def tune(
    bundle: Path | None,
    device: str,
    threads: int | None,
    spinning: bool,
    strict: bool,
    seconds: float,
    corpus: Path | None,
    films: int,
    any_words: bool,
    as_json: bool,
) -> None:
    """Try every device and precision that runs BUNDLE here and keeps its words, and print how fast they are.
    What was best is kept in the cache: --precision fastest takes it from now on, for as many threads and the
    same options. Without that, the first start with --precision fastest tries by itself.

    A precision keeps the words when it was measured to lose no more than its limits, by default 0.005 of
    BLEU-4 and 0.01 of label F1. Export measures that and records it; with --corpus it is measured here.

    Exit code: 0 done; 2 no readable bundle, nothing runs it, or its words can't be measured.
    """
    from cxrscribe.bundle.bundle import Bundle
    from cxrscribe.sessions.cache import open_cache
    from cxrscribe.sessions.cache_folder import default_folder
    from cxrscribe.sessions.factory import thread_count
    from cxrscribe.tuning.choice import Chooser
    from cxrscribe.tuning.trial import Conditions

    if any_words and corpus is not None:
        raise InputError("--any-words heeds no words, and --corpus measures them; leave one of them out")
    opened = Bundle.open(bundle_or_demo(bundle))
    cache = open_cache(True, default_folder())
    conditions = Conditions(thread_count(threads), spinning=spinning, strict=strict, cache=cache)
    chooser = Chooser(opened, device, conditions, any_words=any_words)
    if corpus is not None:
        _measure_words(chooser, corpus, films, conditions.threads)
    choice = chooser.choose(afresh=True, seconds=seconds, told=lambda what: note(f"trying {what}"))
    is_kept = not any_words and chooser.kept() == choice
    if as_json:
        say_json({"bundle": str(opened.path), "kept": is_kept, **choice.to_json()}, indent=1)
    else:
        say(f"bundle     {opened.path}", *_lines(choice, conditions.threads, is_kept=is_kept))


def _measure_words(chooser: Chooser, corpus: Path, films: int, threads: int) -> None:
    """Measure the words of all that isn't fp32, and keep what was found. Raises MissingExtraError."""
    from cxrscribe.bundle.precision_pair import PLAIN
    from cxrscribe.cli.inspect import record_lines
    from cxrscribe.sessions.cache_folder import VARIABLE

    wanted = [(each.device, str(each.precision)) for each in chooser.all() if each.precision != PLAIN]
    if not wanted:
        note("Nothing but fp32 runs this bundle here: there are no words to measure.")
        return
    if not chooser.can_keep:
        raise InputError(f"{_NOT_KEPT}; {VARIABLE} names another folder, and `cxrscribe cache` says more")
    records: Sequence[Precision] = _measurer()(
        chooser.folder, corpus, wanted, films=films, threads=threads, progress=note
    )
    for record in records:
        note(*record_lines(record))
    if not chooser.keep_costs(records):
        raise InputError(f"{_NOT_KEPT} any more; free some room, and measure again")


def _measurer() -> Callable[..., Any]:
    """`measure_costs` of the export package, which nothing here imports by name."""
    for point in entry_points(group=_TRIALS):
        try:
            measure: Callable[..., Any] = point.load()
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"cxrscribe tune --corpus (module {error.name})", "export") from None
        return measure
    raise MissingExtraError("cxrscribe tune --corpus", "export")


def _lines(choice: Choice, threads: int, *, is_kept: bool) -> Iterator[str]:
    from cxrscribe.networks.encoder import FILMS_AT_ONCE
    from cxrscribe.search.scheduler import IMAGES_AT_ONCE
    from cxrscribe.sessions.device import processor_name
    from cxrscribe.tuning.trial import STEPS

    yield f"processor  {processor_name()}, {threads} threads"
    trial = choice.trial
    if trial is not None:
        yield _row("encoder", "1 film, ms", f"{FILMS_AT_ONCE} films, ms", "rounds")
        yield from map(_lap_line, trial.encoders)
        yield _row(f"decoder, {STEPS} steps", "1 film, ms", f"{IMAGES_AT_ONCE} films, ms", "rounds")
        yield from map(_lap_line, trial.decoders)
        yield _row("report", "alone, ms", "among many, ms")
        for cost in sorted(trial.costs, key=lambda cost: cost.together_ms):
            mark = "*" if cost.candidate == choice.candidate else " "
            yield _row(f"{mark} {cost.candidate}", f"{cost.alone_ms:.2f}", f"{cost.together_ms:.2f}")
    for refused in choice.refused:
        yield f"not taken  {refused.candidate}: {refused.reason}"
    yield f"choice     {choice.candidate}: {choice.why}"
    if is_kept:
        yield "kept       --precision fastest takes it from now on"
    yield f"pin        --device {choice.candidate.device} --precision {choice.candidate.precision}"


def _lap_line(lap: Lap) -> str:
    if lap.problem:
        return f"  {lap.name:<22}  {lap.problem}"
    times = [f"{milliseconds:.2f}" for milliseconds in lap.milliseconds.values()]
    return _row(f"  {lap.name}", *times, str(lap.rounds))


def _row(name: str, *cells: str) -> str:
    return f"{name:<24}" + "".join(f"{cell:>16}" for cell in cells)
