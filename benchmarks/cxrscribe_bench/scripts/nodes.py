"""Where the time of one graph goes, node by node: `python -m cxrscribe_bench.scripts.nodes --graph encoder`.

onnxruntime's own profile of the graph as it runs on this machine, summed over kinds of operator and over
nodes that do the same work. Medians of several runs. Without a bundle it is the benchmark model.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.contract import BEAM_STEP, ENCODER
from cxrscribe.sessions.device import usable_threads
from cxrscribe_bench.material.drawn_films import drawn_films
from cxrscribe_bench.material.model import default_folder, model_at

if TYPE_CHECKING:
    from cxrscribe.bundle.bundle import Bundle

PLACES: Final = 5
"""Rows of the step for each image."""
_DRAWN_SIDE: Final = 512
_SUFFIX: Final = "_kernel_time"
_WARM_UP: Final = 2

Inputs = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Node:
    """One node of the optimized graph."""

    operator: str
    shapes: str
    """Of what it reads and what it gives, as `8x14x14x256 -> 8x14x14x1024`."""
    ms: float
    """The median over the runs."""


@dataclass(frozen=True)
class Share:
    """What nodes of a kind take together."""

    what: str
    nodes: int
    ms: float
    share: float
    """Of all nodes."""


@click.command()
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Default: the benchmark model.",
)
@click.option("--precision", default="int8", show_default=True, help="fp32 or one that the bundle has.")
@click.option("--graph", type=click.Choice(["encoder", "step"]), default="encoder", show_default=True)
@click.option(
    "--images",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Films, or images of the search, 5 rows each.",
)
@click.option(
    "--runs", type=click.IntRange(min=1), default=10, show_default=True, help="Runs; the median counts."
)
@click.option("--largest", type=click.IntRange(min=1), default=20, show_default=True, help="Nodes to list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    bundle: Path | None, precision: str, graph: str, images: int, runs: int, largest: int, as_json: bool
) -> None:
    """List what operators and nodes of one graph take."""
    from cxrscribe.bundle.bundle import Bundle
    from cxrscribe.sessions.device import processor_name

    opened = Bundle.open(bundle or model_at(default_folder()).bundle)
    name = ENCODER if graph == "encoder" else BEAM_STEP
    file = opened.graph(name, precision)
    nodes = profile(file, _inputs(opened, graph, images), runs)
    operators = shares((node.operator, node.ms) for node in nodes)
    alike = shares((f"{node.operator} {node.shapes}", node.ms) for node in nodes)[:largest]
    if as_json:
        record = {
            "graph": f"{precision}/{name}",
            "images": images,
            "processor": processor_name(),
            "threads": usable_threads(),
            "ms": sum(node.ms for node in nodes),
            "operators": [asdict(share) for share in operators],
            "nodes": [asdict(share) for share in alike],
        }
        click.echo(json.dumps(record, indent=2))
        return
    click.echo(f"{precision}/{name}, {images} images, {usable_threads()} threads of {processor_name()}")
    click.echo("\n".join((*_table("operator", operators), "", *_table("nodes that do the same", alike))))


def profile(graph: Path, inputs: Inputs, runs: int) -> list[Node]:
    """Time each node of a graph on `inputs`, in order, as onnxruntime runs it on this machine's CPU."""
    from cxrscribe.sessions.device import import_onnxruntime
    from cxrscribe.sessions.matrix_form import graph_for_this_machine

    onnxruntime = import_onnxruntime()
    with tempfile.TemporaryDirectory(prefix="cxrscribe-nodes-") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_threads()
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            graph_for_this_machine(graph), options, providers=["CPUExecutionProvider"]
        )
        names = [value.name for value in session.get_inputs()]
        for _ in range(_WARM_UP + runs):
            session.run(None, dict(zip(names, inputs, strict=True)))
        events = json.loads(Path(session.end_profiling()).read_text())
    return list(_nodes(events))


def shares(timed: Iterable[tuple[str, float]]) -> list[Share]:
    """Milliseconds by what took them, summed and most first."""
    ms: defaultdict[str, float] = defaultdict(float)
    count: Counter[str] = Counter()
    for what, each in timed:
        ms[what] += each
        count[what] += 1
    whole = sum(ms.values()) or 1.0
    found = [Share(what, count[what], took, took / whole) for what, took in ms.items()]
    return sorted(found, key=lambda share: -share.ms)


def _nodes(events: Iterable[dict[str, Any]]) -> Iterator[Node]:
    """From onnxruntime's profile, less the runs of the warm-up."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    known: dict[str, dict[str, Any]] = {}
    for event in events:
        name = event["name"]
        if event.get("cat") == "Node" and name.endswith(_SUFFIX):
            seconds[name].append(event["dur"] / 1000)
            known[name] = event["args"]
    for name, all_ms in seconds.items():
        arguments = known[name]
        read, given = (
            " ".join(filter(None, map(_shape, arguments.get(f"{side}_type_shape", []))))
            for side in ("input", "output")
        )
        yield Node(arguments["op_name"], f"{read} -> {given}", median(all_ms[_WARM_UP:]))


def _shape(typed: dict[str, list[int]]) -> str:
    """`8x14x14x256` of `{"uint8": [8, 14, 14, 256]}`; nothing for vectors and single numbers."""
    (shape,) = typed.values()
    return "x".join(map(str, shape)) if len(shape) > 1 else ""


def _inputs(bundle: Bundle, graph: str, images: int) -> Inputs:
    from cxrscribe_export.precision.speed import step_inputs

    if graph == "step":
        return step_inputs(bundle.manifest.architecture, images, PLACES)
    read = bundle.manifest.preprocessing.read
    return [np.stack([read(film) for film in drawn_films(images, _DRAWN_SIDE)])]


def _table(what: str, found: Sequence[Share]) -> Iterator[str]:
    yield f"{'ms':>9}{'share':>8}{'nodes':>7}  {what}"
    for share in found:
        yield f"{share.ms:>9.3f}{share.share:>8.1%}{share.nodes:>7}  {share.what}"


if __name__ == "__main__":
    main()
