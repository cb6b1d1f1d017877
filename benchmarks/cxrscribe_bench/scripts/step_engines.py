"""The fused step on OpenVINO: `python -m cxrscribe_bench.scripts.step_engines [--bundle DIR]`.

`beam_step.onnx` at fixed numbers of rows, onnxruntime and OpenVINO in turn in one run, at every precision
that the bundle has. OpenVINO compiles it for exactly these rows, which is the best case: a search's rows
become fewer. Also says how far its numbers are off. The runtime leaves the step to onnxruntime;
docs/devices.md says why.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import click
import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.bundle import Bundle, GraphSource
from cxrscribe.bundle.contract import BEAM_STEP, decoder_interfaces
from cxrscribe.bundle.files import FP32
from cxrscribe.sessions.device import Role, processor_name, usable_threads
from cxrscribe.sessions.factory import SessionFactory, WantedGraph
from cxrscribe.sessions.openvino import Arithmetic, import_openvino
from cxrscribe.sessions.session import GraphSession
from cxrscribe_bench.material.model import ModelSize, model_at

PLACES: Final = 5
IMAGES: Final = (1, 10, 32)
"""Times `PLACES` hypotheses each: 5, 50 and 160 rows."""
_INPUTS: Final = ("token", "parent", "score", "state", "bias", "beam_width")

Inputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Comparison:
    """One precision at one number of rows."""

    precision: str
    rows: int
    onnxruntime_ms: float
    openvino_ms: float
    time: float
    """OpenVINO's as a multiple of onnxruntime's: the median over the rounds."""
    same: bool
    """Whether all that it gives is the same to the bit."""
    furthest: float
    """Largest difference of a candidate's log-probability."""
    others: int
    """Candidates that are others, or in another order."""


@click.command()
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Default: the benchmark model.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=150,
    show_default=True,
    help="Of each engine at each number of rows.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(bundle: Path | None, rounds: int, as_json: bool) -> None:
    """Time the fused step on onnxruntime and OpenVINO."""
    with tempfile.TemporaryDirectory(prefix="cxrscribe-bench-") as folder:
        if bundle is None:
            bundle = model_at(Path(folder), ModelSize()).bundle
        found = list(compare(Bundle.open(bundle), rounds))
    if as_json:
        record = {
            "processor": processor_name(),
            "threads": usable_threads(),
            "steps": [asdict(each) for each in found],
        }
        click.echo(json.dumps(record, indent=2))
        return
    click.echo(f"{usable_threads()} threads of {processor_name()}")
    click.echo(f"{'precision':<11}{'rows':>5}{'onnxruntime':>13}{'OpenVINO':>10}{'times':>7}  numbers")
    for each in found:
        numbers = (
            "the same" if each.same else f"off by {each.furthest:.1e}, {each.others} candidates are others"
        )
        click.echo(
            f"{each.precision:<11}{each.rows:>5}{each.onnxruntime_ms:>10.2f} ms{each.openvino_ms:>7.2f} ms"
            f"{each.time:>7.2f}  {numbers}"
        )


def compare(bundle: Bundle, rounds: int) -> Iterator[Comparison]:
    """Both engines at every precision and number of rows."""
    from cxrscribe_export.precision.speed import seconds_in_turn, step_inputs

    architecture = bundle.manifest.architecture
    names = tuple(tensor.name for tensor in decoder_interfaces(architecture)[BEAM_STEP].outputs)
    for precision in bundle.manifest.graph_precisions:
        if not bundle.has_graph(BEAM_STEP, precision):
            continue
        source = GraphSource(bundle, BEAM_STEP, precision)
        (session,) = SessionFactory("cpu").open([WantedGraph(source, Role.DECODER)])
        for images in IMAGES:
            inputs = dict(zip(_INPUTS, step_inputs(architecture, images, PLACES), strict=True))
            request = _compiled(source.files()[0].path, inputs)
            ours, theirs = (
                partial(session.run, names, inputs),
                partial(request.infer, inputs, share_inputs=True),
            )
            ort, openvino = seconds_in_turn([ours, theirs], rounds)
            ratio = median(a / b for a, b in zip(openvino, ort, strict=True))
            same, furthest, others = _difference(session, request, names, inputs)
            yield Comparison(
                precision,
                images * PLACES,
                1000 * median(ort),
                1000 * median(openvino),
                ratio,
                same,
                furthest,
                others,
            )


def _compiled(graph: Path, inputs: Inputs) -> Any:
    """An openvino.InferRequest of the graph for inputs of these shapes, float32 held to float32."""
    core = import_openvino().Core()
    model = core.read_model(str(graph))
    model.reshape({name: list(values.shape) for name, values in inputs.items()})
    return core.compile_model(model, "CPU", Arithmetic(usable_threads(), FP32).options).create_infer_request()


def _difference(
    session: GraphSession, request: Any, names: tuple[str, ...], inputs: Inputs
) -> tuple[bool, float, int]:
    ours = dict(zip(names, session.run(names, inputs), strict=True))
    request.infer(inputs)
    theirs = {name: np.array(request.get_tensor(name).data) for name in names}
    same = all(ours[name].tobytes() == theirs[name].tobytes() for name in names)
    score = "candidate_score"
    furthest = float(np.abs(ours[score] - theirs[score]).max())
    index = "candidate_index"
    return same, furthest, int((ours[index] != theirs[index]).sum())


if __name__ == "__main__":
    main()
