from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import cxrscribe
from cxrscribe.bundle.bundle import Bundle, GraphSource
from cxrscribe.bundle.contract import DECODER_STEP, ENCODER
from cxrscribe.errors import BundleError, DeviceError, MissingExtraError
from cxrscribe.sessions.device import CPU, CUDA, DEVICES, TENSORRT, Device, Engine, Memory, Role
from cxrscribe.sessions.factory import SessionFactory, WantedGraph
from cxrscribe.sessions.session import Placement, Session, SessionSettings
from support.small_bundle import SmallBundle, edit_graph

_CUDA_NAME = "CUDAExecutionProvider"
_CPU_NAME = "CPUExecutionProvider"


def cuda_is_here() -> bool:
    import onnxruntime

    return _CUDA_NAME in onnxruntime.get_available_providers()


def tokens(reporter: cxrscribe.Reporter, films: list) -> list[tuple[int, ...]]:
    return [reporter.report(film).tokens for film in films]


def test_unknown_device_lists_those_there_are(small_bundle: Path) -> None:
    with pytest.raises(DeviceError, match="'tpu' is unknown; there are auto, cpu, cuda, tensorrt, openvino"):
        cxrscribe.load(small_bundle, device="tpu")


@pytest.mark.skipif("cuda_is_here()", reason="this onnxruntime has CUDA")
def test_cuda_asked_for_and_missing_says_what_to_install(small_bundle: Path) -> None:
    with pytest.raises(DeviceError, match=r"pip install 'cxrscribe\[gpu\]'"):
        cxrscribe.load(small_bundle, device="cuda")


@pytest.mark.skipif("cuda_is_here()", reason="this onnxruntime has CUDA")
@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("failure", ["left out", "error"])
def test_cuda_that_does_not_start_is_an_error_and_not_the_cpu(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failure: str
) -> None:
    """onnxruntime may list a provider whose libraries are missing, and then leave it out or fail."""
    import onnxruntime

    create = onnxruntime.InferenceSession._create_inference_session

    def fail(session: object, providers: list, *others: object) -> None:
        if failure == "error" and providers[0][0] == _CUDA_NAME:
            raise RuntimeError("libcublas.so.12 is missing")
        create(session, providers, *others)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [_CUDA_NAME, _CPU_NAME])
    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", fail)
    with pytest.raises(DeviceError, match="no working CUDAExecutionProvider") as caught:
        cxrscribe.load(small_bundle, device="cuda")
    assert ("libcublas" in str(caught.value)) == (failure == "error")
    with cxrscribe.load(small_bundle, device="auto") as reporter:
        assert reporter.device == "cpu"
    assert capsys.readouterr().out == ""


def test_graph_that_onnxruntime_refuses_is_a_bundle_error(tmp_path: Path) -> None:
    bundle = SmallBundle().write(tmp_path / "bundle")

    def take_unfit_operator(model) -> None:  # type: ignore[no-untyped-def]
        model.graph.node[0].op_type = "Concat"

    edit_graph(bundle, ENCODER, take_unfit_operator)
    with pytest.raises(BundleError, match=r"encoder\.onnx can't be loaded by onnxruntime .*Concat"):
        cxrscribe.load(bundle, device="cpu")


def test_missing_onnxruntime_names_the_extra(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cxrscribe\[cpu\]'"):
        cxrscribe.load(small_bundle)


@pytest.mark.parametrize("content", ["raise ImportError('libonnxruntime.so')", "import no_such_part", ""])
def test_broken_onnxruntime_says_how_to_mend_it(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """What is left when onnxruntime or onnxruntime-gpu was uninstalled and both had been there."""
    (tmp_path / "onnxruntime.py").write_text(content)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    said = r"is broken .*Uninstall both, .*and install one: pip install 'cxrscribe\[cpu\]'"
    with pytest.raises(MissingExtraError, match=said):
        cxrscribe.load(small_bundle)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)


@pytest.mark.parametrize("threads", [0, -1, True, 1.5])
def test_impossible_thread_count_is_refused(small_bundle: Path, threads: int) -> None:
    with pytest.raises(DeviceError, match="threads is"):
        cxrscribe.load(small_bundle, threads=threads)


def test_threads_asked_for_are_used(small_bundle: Path) -> None:
    with cxrscribe.load(small_bundle, device="cpu", threads=3) as reporter:
        assert reporter.threads == 3
    session = Session(small_bundle / ENCODER, SessionSettings(CPU, 3))
    assert session.native.get_session_options().intra_op_num_threads == 3
    assert SessionFactory("cpu").threads >= 1


@pytest.mark.parametrize("spinning", [True, False])
def test_threads_spin_unless_told_not_to(small_bundle: Path, spinning: bool) -> None:
    options = Session(
        small_bundle / ENCODER, SessionSettings(CPU, 2, spinning=spinning)
    ).native.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == str(int(spinning))
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_encoders_threads_spin_for_a_moment_only(small_bundle: Path) -> None:
    """They have to leave the cores to those who read films meanwhile."""
    spin = {}
    for role in Role:
        options = Session(small_bundle / ENCODER, SessionSettings(CPU, 2, role)).native.get_session_options()
        try:
            spin[role] = int(options.get_session_config_entry("session.intra_op.spin_duration_us"))
        except RuntimeError:  # not set
            spin[role] = None
    assert spin == {Role.ENCODER: 20, Role.DECODER: None}


def test_spinning_changes_no_report(small_bundle: Path, films: list) -> None:
    with (
        cxrscribe.load(small_bundle, device="cpu", spinning=False) as sleeping,
        cxrscribe.load(small_bundle, device="cpu") as spinning,
    ):
        assert sleeping.report_batch(films) == spinning.report_batch(films)


def test_device_that_runs_nothing_of_a_graph_is_an_error(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider is there, says onnxruntime, and every node went to the CPU."""

    class AllOnCpu:
        def get_providers(self) -> list[str]:
            return [_CUDA_NAME, _CPU_NAME]

        def get_provider_graph_assignment_info(self) -> list[SimpleNamespace]:
            return [SimpleNamespace(ep_name=_CPU_NAME, get_nodes=lambda: [None] * 5)]

    monkeypatch.setattr("cxrscribe.sessions.session.open_native", lambda graph, settings: AllOnCpu())
    said = r"takes no node of .*encoder\.onnx: encoder\.onnx: 5 nodes on CPUExecutionProvider"
    with pytest.raises(DeviceError, match=said):
        Session(small_bundle / ENCODER, SessionSettings(CUDA, 1))


def test_placement_is_what_onnxruntime_says(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    wanted = [
        WantedGraph(GraphSource(bundle, ENCODER), Role.ENCODER),
        WantedGraph(GraphSource(bundle, DECODER_STEP), Role.DECODER),
    ]
    encoder, step = SessionFactory("cpu").open(wanted)
    assert encoder.placement.graph == ENCODER
    assert set(encoder.placement.nodes) == set(step.placement.nodes) == {_CPU_NAME}
    assert step.placement.nodes[_CPU_NAME] > encoder.placement.nodes[_CPU_NAME] > 3


def test_placement_counts_nodes_by_provider_and_puts_the_most_first() -> None:
    def part(provider: str, nodes: int) -> SimpleNamespace:
        return SimpleNamespace(ep_name=provider, get_nodes=lambda: [None] * nodes)

    placement = Placement.of(
        "int8/encoder.onnx", [part(_CPU_NAME, 1), part(_CUDA_NAME, 5), part(_CPU_NAME, 2)]
    )
    assert placement.to_json() == {"graph": "int8/encoder.onnx", "nodes": {_CUDA_NAME: 5, _CPU_NAME: 3}}
    assert str(placement) == (
        "int8/encoder.onnx: 5 nodes on CUDAExecutionProvider, 3 nodes on CPUExecutionProvider"
    )


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_every_device_ends_on_the_cpu_for_what_it_can_not_run(device: Device) -> None:
    for role in Role:
        if device.engine(role) is Engine.ONNXRUNTIME:
            assert device.providers(role)[-1].name == _CPU_NAME
    assert device.engine(Role.DECODER) is Engine.ONNXRUNTIME


def test_tensorrt_runs_the_encoder_and_cuda_the_decoder() -> None:
    encoder = [provider.name for provider in TENSORRT.providers(Role.ENCODER)]
    assert encoder == ["TensorrtExecutionProvider", _CUDA_NAME, _CPU_NAME]
    assert TENSORRT.providers(Role.DECODER) == CUDA.providers(Role.DECODER)
    assert TENSORRT.memory is Memory.CUDA


def test_float32_stays_float32_on_cuda() -> None:
    for role in Role:
        assert CUDA.providers(role)[0].options == {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}


@pytest.mark.parametrize("device", [device for device in DEVICES if device.name != "openvino"])
def test_bfloat16_is_refused_where_nothing_computes_it(small_bundle: Path, device: Device) -> None:
    sessions = SessionFactory("cpu")
    sessions._candidates = (device,)
    wanted = WantedGraph(GraphSource(Bundle.open(small_bundle), ENCODER), Role.ENCODER, arithmetic="bf16")
    with pytest.raises(DeviceError, match=rf"'{device.name}' computes float32 in .* take device='openvino'"):
        sessions.open([wanted])


@pytest.mark.skipif("cuda_is_here()", reason="this onnxruntime has CUDA")
def test_tensorrt_asked_for_and_missing_says_what_to_install(small_bundle: Path) -> None:
    with pytest.raises(DeviceError, match=r"no working TensorrtExecutionProvider.* 'cxrscribe\[gpu\]'"):
        cxrscribe.load(small_bundle, device="tensorrt")


@pytest.mark.cuda
def test_cuda_gives_the_reports_of_the_cpu(small_bundle: Path, films: list) -> None:
    try:
        cuda = cxrscribe.load(small_bundle, device="cuda")
    except DeviceError as error:  # onnxruntime-gpu on a machine without a driver, too
        pytest.skip(f"no CUDA here: {error}")
    with cuda, cxrscribe.load(small_bundle, device="cpu") as cpu:
        assert cuda.device == "cuda"
        assert all(_CUDA_NAME in graph.nodes for graph in cuda.placement)
        assert tokens(cuda, films) == tokens(cpu, films)


@pytest.mark.cuda
def test_tensorrt_gives_the_reports_of_the_cpu(small_bundle: Path, films: list) -> None:
    try:
        tensorrt = cxrscribe.load(small_bundle, device="tensorrt")
    except DeviceError as error:
        pytest.skip(f"no TensorRT here: {error}")
    with tensorrt, cxrscribe.load(small_bundle, device="cpu") as cpu:
        encoder, *decoder = tensorrt.placement
        assert "TensorrtExecutionProvider" in encoder.nodes
        assert all("TensorrtExecutionProvider" not in graph.nodes for graph in decoder)
        assert tokens(tensorrt, films) == tokens(cpu, films)
