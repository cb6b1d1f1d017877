"""Options that several commands share: which bundle, on which device, under which beam settings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from cxrscribe.cli.terminal import note
from cxrscribe.engine import Engine

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter
    from cxrscribe.settings import BeamSettings

Command: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class BeamChoice:
    """The beam settings given on the command line; None leaves the bundle's default."""

    beam_width: int | None = None
    n_best: int | None = None
    max_length: int | None = None
    min_length: int | None = None
    length_penalty: float | None = None
    no_repeat_ngram: int | None = None
    banned_words: tuple[str, ...] | None = None
    decoding: str | None = None
    temperature: float | None = None
    top_k: int | None = None
    samples: int | None = None
    seed: int | None = None

    def over(self, defaults: BeamSettings) -> BeamSettings:
        """`defaults` with what was chosen in place of theirs, see `BeamSettings.with_chosen`."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)}
        return defaults.with_chosen({name: value for name, value in chosen.items() if value is not None})


def load(engine: Engine) -> Reporter:
    """Open the bundle, or else the embedded demo bundle. That is said on stderr, and what `fastest` is."""
    reporter = replace(engine, bundle=str(bundle_or_demo(engine.bundle))).load()
    if reporter.choice is not None:
        note(f"fastest: {reporter.choice.candidate}, {reporter.choice.why}")
    return reporter


def bundle_or_demo(bundle: str | Path | None) -> Path:
    """The bundle given, or the embedded one, and then say so on stderr."""
    if bundle is not None:
        return Path(bundle)
    from cxrscribe.embedded import demo_bundle

    note(
        "No bundle given: using the embedded demo bundle. It was trained on drawings and knows nothing "
        "about patients."
    )
    return demo_bundle()


def bundle_option(command: Command) -> Command:
    """Add `--bundle`; the command gets `bundle: Path | None`."""
    return click.option(
        "--bundle",
        type=click.Path(path_type=Path),
        help="Bundle folder that `cxrscribe export` wrote. [default: the embedded demo bundle]",
    )(command)


def modality_option(command: Command) -> Command:
    """Add `--modality`; the command gets `modalities: tuple[str, ...]`, empty for any."""

    def chosen(_context: click.Context, _option: click.Parameter, codes: tuple[str, ...]) -> tuple[str, ...]:
        return () if "ANY" in map(str.upper, codes) else codes

    return click.option(
        "--modality",
        "modalities",
        multiple=True,
        default=("CR", "DX"),
        show_default=True,
        metavar="CODE",
        callback=chosen,
        help="DICOM modality that is read; can be repeated. any: all of them, and all parts of the body.",
    )(command)


def engine_options(command: Command, *, isolate: str = "compressed", spinning: bool = True) -> Command:
    """Add the options of Engine, one each; the command gets `engine: Engine`.

    `isolate`, `spinning`: the defaults of these.
    """

    @functools.wraps(command)
    def packed(*, bundle: Path | None, **given: Any) -> Any:
        chosen = {field.name: given.pop(field.name) for field in fields(Engine) if field.name != "bundle"}
        return command(engine=Engine(None if bundle is None else str(bundle), **chosen), **given)

    return _with(
        packed,
        bundle_option,
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="cpu, cuda, tensorrt, openvino, or auto: the best that works.",
        ),
        click.option(
            "--precision",
            help="Precision of the graphs, as `cxrscribe inspect` lists them, two of encoder and decoder "
            "(int8+fp32), or fastest: what a trial shows here. [default: fp32]",
        ),
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            metavar="N",
            help="CPU threads. [default: the cores this process may use]",
        ),
        click.option(
            "--no-spinning" if spinning else "--spinning",
            "spinning",
            is_flag=True,
            flag_value=not spinning,
            default=spinning,
            help="Let threads sleep while they wait: slower, and leaves the cores to others."
            if spinning
            else "Let threads wait in a loop, which takes the cores from others.",
        ),
        click.option(
            "--no-cache",
            "cache",
            is_flag=True,
            flag_value=False,
            default=True,
            help="Optimize the graphs anew, and keep nothing of it.",
        ),
        click.option(
            "--strict",
            is_flag=True,
            help="Give every call of the network the same rows, where results would depend on their number.",
        ),
        click.option(
            "--isolate",
            type=click.Choice(["none", "compressed", "all"]),
            default=isolate,
            show_default=True,
            help="Films to decode in processes of their own: no crash of a decoder ends the run. compressed: "
            "DICOM with compressed pixels.",
        ),
        click.option(
            "--film-seconds",
            type=click.FloatRange(min=0, min_open=True),
            default=10.0,
            show_default=True,
            metavar="S",
            help="Processor time that decoding such a film may take.",
        ),
        modality_option,
        click.option(
            "--indication-from-dicom",
            metavar="ATTRIBUTE",
            help="Text attribute of DICOM films, by its keyword, that says what is known of the patient, for "
            "a model that reads it: ReasonForTheRequestedProcedure say. [default: none]",
        ),
    )


def beam_options(command: Command) -> Command:
    """Add the beam settings, one option each; the command gets `beam: BeamChoice`."""

    @functools.wraps(command)
    def packed(
        *,
        beam_width: int | None,
        n_best: int | None,
        max_length: int | None,
        min_length: int | None,
        length_penalty: float | None,
        no_repeat_ngram: int | None,
        banned_words: tuple[str, ...],
        **others: Any,
    ) -> Any:
        beam = BeamChoice(
            beam_width, n_best, max_length, min_length, length_penalty, no_repeat_ngram, banned_words or None
        )
        return command(beam=beam, **others)

    return _with(
        packed,
        click.option("--beam-width", type=int, metavar="K", help="Hypotheses kept at each step."),
        click.option(
            "--n-best",
            type=int,
            metavar="M",
            help="Results a film, at most the beam width, or the samples of drawn reports.",
        ),
        click.option("--max-length", type=int, metavar="N", help="Most words, the end token included."),
        click.option("--min-length", type=int, metavar="N", help="Fewest words."),
        click.option(
            "--length-penalty", type=float, metavar="A", help="Score is log-probability / length ** A."
        ),
        click.option(
            "--no-repeat-ngram", type=int, metavar="N", help="Never repeat N words in a row; 0 allows it."
        ),
        click.option(
            "--ban",
            "banned_words",
            metavar="WORD",
            multiple=True,
            help="Word never to produce; may be repeated.",
        ),
    )


def sample_options(command: Command, *, seed_option: str = "--seed") -> Command:
    """Add to `beam_options`, which come after it, how reports are drawn; `beam` has that too then.

    `seed_option`: what that of the samples is called, for commands that have a `--seed` of their own.
    """

    @functools.wraps(command)
    def packed(
        *,
        beam: BeamChoice,
        decoding: str | None,
        temperature: float | None,
        top_k: int | None,
        samples: int | None,
        sample_seed: int | None,
        **others: Any,
    ) -> Any:
        drawn = replace(
            beam, decoding=decoding, temperature=temperature, top_k=top_k, samples=samples, seed=sample_seed
        )
        return command(beam=drawn, **others)

    return _with(
        packed,
        click.option(
            "--decoding",
            metavar="WAY",
            help="beam: search for the most probable report; sample: draw reports; consensus: draw some, and "
            "take the one that agrees best with the others.",
        ),
        click.option(
            "--temperature", type=float, metavar="T", help="Of samples: below 1 keeps to what is probable."
        ),
        click.option(
            "--top-k",
            type=int,
            metavar="K",
            help="Of samples: draw from the K most probable words; 0 from all.",
        ),
        click.option(
            "--samples",
            type=int,
            metavar="S",
            help="Reports drawn a film, and the most results there can be.",
        ),
        click.option(seed_option, "sample_seed", type=int, metavar="N", help="Of the samples."),
    )


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    """`command` with the options, which its help lists in this order."""
    for option in reversed(options):
        command = option(command)
    return command
