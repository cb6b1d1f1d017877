"""Each peer of the benchmark finds what our runtime finds, and says what it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cxrscribe import BeamSettings
from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe_bench.systems.openvino_native import AS_IT_COMES, open_openvino
from cxrscribe_bench.systems.paddle_dynamic import open_paddle_dynamic
from cxrscribe_bench.systems.paddle_inference import open_paddle_inference
from cxrscribe_bench.systems.plain_onnxruntime import open_plain_onnxruntime
from cxrscribe_bench.systems.plain_system import PlainSystem
from cxrscribe_bench.workload import Workload
from support.bench_workload import agree, demo_workload, has_details, small_workload

Opener = Callable[[Workload, str], PlainSystem]

ON_GRAPHS = [
    pytest.param(open_plain_onnxruntime, (), id="plain-onnxruntime"),
    pytest.param(open_openvino, ("openvino",), id="openvino"),
]
ON_PADDLE = [
    pytest.param(open_paddle_dynamic, ("paddle", "onnx"), id="paddle-dynamic"),
    pytest.param(open_paddle_inference, ("paddle", "onnx"), id="paddle-inference"),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    return demo_workload(tmp_path_factory.mktemp("demo"))


@pytest.mark.parametrize(("opener", "needs"), ON_GRAPHS)
@pytest.mark.parametrize("beam_width", [1, 3])
def test_peer_on_graphs_agrees_with_ours(
    opener: Opener, needs: tuple[str, ...], beam_width: int, fused_bundle: Path, tmp_path: Path
) -> None:
    for module in needs:
        pytest.importorskip(module)
    workload = replace(small_workload(fused_bundle, tmp_path), settings=BeamSettings(beam_width, 9))
    system = opener(workload, "fp32")
    assert agree(system, workload)
    assert has_details(system.details())
    system.encode(0, len(workload.films))


@pytest.mark.parametrize(("opener", "needs"), [*ON_GRAPHS, *ON_PADDLE])
def test_peer_agrees_with_ours_on_the_demo(opener: Opener, needs: tuple[str, ...], demo: Workload) -> None:
    for module in needs:
        pytest.importorskip(module)
    system = opener(demo, "fp32")
    assert agree(system, demo)
    assert has_details(system.details())
    system.encode(0, len(demo.films))


def test_openvino_says_what_it_computes_in(fused_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    workload = small_workload(fused_bundle, tmp_path)
    assert open_openvino(workload, "fp32").details()["precision of the encoder"] == "f32"
    free = open_openvino(workload, AS_IT_COMES)
    assert free.details()["precision of the decoder"] in {"f32", "bf16", "f16"}
    assert len(free.from_films(0, 2)) == 2


@pytest.mark.parametrize(
    "change",
    [{"device": "cuda"}, {"settings": BeamSettings(min_length=2)}],
    ids=["device", "settings"],
)
@pytest.mark.parametrize(("opener", "needs"), [*ON_GRAPHS, *ON_PADDLE])
def test_what_a_peer_can_not_do_is_refused(
    opener: Opener, needs: tuple[str, ...], change: dict[str, object], demo: Workload
) -> None:
    with pytest.raises(InputError):
        opener(replace(demo, **change), "fp32")  # type: ignore[arg-type]


@pytest.mark.parametrize(("opener", "needs"), [*ON_GRAPHS, *ON_PADDLE])
def test_other_precisions_are_refused(opener: Opener, needs: tuple[str, ...], demo: Workload) -> None:
    with pytest.raises(InputError, match="fp32"):
        opener(demo, "int8")


def test_a_missing_openvino_names_its_extra(demo: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError) as found:
        open_openvino(demo, "fp32")
    assert found.value.extra == "bench"


@pytest.mark.parametrize("opener", [open_paddle_dynamic, open_paddle_inference])
def test_a_missing_paddle_names_its_extra(
    opener: Opener, demo: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as found:
        opener(demo, "fp32")
    assert found.value.extra == "export"
