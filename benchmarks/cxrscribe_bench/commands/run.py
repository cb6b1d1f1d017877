"""`cxrscribe bench BUNDLE`: the whole suite on one bundle."""

from __future__ import annotations

from pathlib import Path

import click

from cxrscribe.cli.terminal import note, say, say_json

_QUICK_HELP = (
    "Less of everything, in about a minute. Its figures are rough, and LoadGen calls most of its runs "
    "INVALID: they are too short."
)


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the results."
)
@click.option("--quick", is_flag=True, help=_QUICK_HELP)
@click.option(
    "--film",
    "films",
    multiple=True,
    metavar="PATH",
    help="Film, folder or pattern; may be repeated. [default: drawn films of 512 x 512 pixels]",
)
@click.option(
    "--features",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="H5",
    help="Features that `cxrscribe features` made. [default: those of the films]",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    metavar="NAME",
    help="Precision beside fp32, on another device perhaps (int8@openvino); may be repeated. [default: all "
    "of the bundle, and the fastest of all that runs here]",
)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="NAME",
    help="Program to compare with; may be repeated; `none` for none. [default: all that are installed]",
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="NAME",
    help="Part of the suite: peers, stages, films, loadgen, scaling, startup; may be repeated. "
    "[default: all]",
)
@click.option("--images", type=click.IntRange(min=1), metavar="N", help="Films, and rows of features.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Rounds of peers, of stages, and of large films.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Images that are searched for at a time.",
)
@click.option("--device", default="cpu", show_default=True, help="Where our runtime runs: cpu, cuda, ...")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="CPU threads of every program. [default: the cores this process may use]",
)
@click.option(
    "--server-p99-ms",
    type=click.FloatRange(min=0, min_open=True),
    default=500.0,
    show_default=True,
    help="Latency that 99 % of queries keep to at the rate that Server looks for.",
)
@click.option(
    "--beam-width",
    type=click.IntRange(min=1),
    metavar="K",
    help="Hypotheses kept at each step. [default: the bundle's]",
)
@click.option(
    "--max-length",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most words, the end token included. [default: the bundle's]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON on stdout.")
@click.pass_context
def run(
    context: click.Context,
    bundle: Path | None,
    out: Path,
    quick: bool,
    films: tuple[str, ...],
    features: Path | None,
    precisions: tuple[str, ...],
    peers: tuple[str, ...],
    parts: tuple[str, ...],
    images: int | None,
    rounds: int | None,
    batch_size: int,
    device: str,
    threads: int | None,
    server_p99_ms: float,
    beam_width: int | None,
    max_length: int | None,
    as_json: bool,
) -> None:
    """Measure BUNDLE, beside other programs that do the same with its weights.

    Latency and throughput in the scenarios of MLPerf LoadGen, from films and from features; peers in
    processes of their own, timed in turn with ours; what the machine could do at best; how time and memory
    grow; what a start costs. Writes bench.json, bench.html and summary.md into the folder of --out. Without
    BUNDLE it measures the benchmark model, which is made at the first time.

    This uses LoadGen and is not an MLPerf result. Exits 1 when our runtime wrote other words than the
    reference in this run, or failed.
    """
    from dataclasses import replace

    from cxrscribe.bundle.manifest import Manifest
    from cxrscribe.sessions.device import usable_threads
    from cxrscribe.settings import BeamSettings
    from cxrscribe_bench.parts.plan import QUICK, WHOLE
    from cxrscribe_bench.results.summary import terminal_table
    from cxrscribe_bench.suite import PARTS, Order, Suite, write_results
    from cxrscribe_bench.systems.entrants import PEERS

    plan = QUICK if quick else WHOLE
    plan = replace(
        plan,
        images=images or plan.images,
        rounds=rounds or plan.rounds,
        peers=_chosen("peer", peers, PEERS) if peers else plan.peers,
    )
    model = bundle or _benchmark_model()
    defaults = Manifest.read(model).settings
    order = Order(
        bundle=model,
        out=out,
        plan=plan,
        parts=_chosen("part", parts, PARTS) if parts else PARTS,
        precisions=precisions,
        films=films,
        features=features,
        # No other setting: not every program knows them.
        settings=BeamSettings(
            beam_width=beam_width or defaults.beam_width, max_length=max_length or defaults.max_length
        ),
        batch_size=batch_size,
        threads=threads or usable_threads(),
        device=device,
        server_p99_ms=server_p99_ms,
    )
    suite = Suite(order, note=lambda text: note(f"{text} ..."))
    try:
        record = suite.run()
    except BaseException:
        # What was measured isn't lost.
        for path in write_results(suite.record, out):
            note(f"wrote {path}, incomplete")
        raise
    written = write_results(record, out)
    if as_json:
        say_json(record.to_json(), indent=1)
    else:
        say(*terminal_table(record).split("\n"))
    for path in written:
        note(f"wrote {path}")
    for check in record.drifted:
        note(
            f"Error: {check.system} at {check.precision}, from {check.source}: {check.identical} of "
            f"{check.reports} reports have the words of {check.reference}"
        )
    for name in record.failures:
        note(f"Error: {name} could not be measured: {record.absent[name]}")
    if record.drifted or record.failures:
        context.exit(1)


def _benchmark_model() -> Path:
    from cxrscribe_bench.material.model import default_folder, model_at

    folder = default_folder()
    if not folder.exists():
        note(f"making the benchmark model in {folder}; this takes about two minutes ...")
    return model_at(folder).bundle


def _chosen(what: str, names: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """The names in their usual order; none for the one name `none`."""
    if names == ("none",):
        return ()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(known)}", param_hint=f"--{what}")
    return tuple(name for name in known if name in names)
