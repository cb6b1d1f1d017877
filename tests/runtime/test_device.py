from __future__ import annotations

import sys
from pathlib import Path

import pytest

import cxrscribe
from cxrscribe.device import CPU, CUDA
from cxrscribe.errors import BundleError, DeviceError, MissingExtraError
from cxrscribe.session import Session, SessionFactory


def cuda_is_here() -> bool:
    import onnxruntime

    return CUDA.provider in onnxruntime.get_available_providers()


def test_unknown_device_lists_those_there_are(small_bundle: Path) -> None:
    with pytest.raises(DeviceError, match="'tpu' is unknown; there are auto, cuda, cpu"):
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
        if failure == "error" and providers[0][0] == CUDA.provider:
            raise RuntimeError("libcublas.so.12 is missing")
        create(session, providers, *others)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA.provider, CPU.provider])
    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", fail)
    with pytest.raises(DeviceError, match="no working CUDAExecutionProvider") as caught:
        cxrscribe.load(small_bundle, device="cuda")
    assert ("libcublas" in str(caught.value)) == (failure == "error")
    with cxrscribe.load(small_bundle, device="auto") as reporter:
        assert reporter.device == "cpu"
    assert capsys.readouterr().out == ""


def test_graph_that_onnxruntime_refuses_is_a_bundle_error(tmp_path: Path) -> None:
    # A field that ONNX doesn't have: valid protobuf, and no model.
    (tmp_path / "x.onnx").write_bytes(b"\x08\x01")
    with pytest.raises(BundleError, match=r"x\.onnx can't be loaded by onnxruntime"):
        SessionFactory("cpu").open(tmp_path / "x.onnx")


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
    session = Session(small_bundle / "encoder.onnx", CPU, 3)
    assert session._session.get_session_options().intra_op_num_threads == 3
    assert SessionFactory("cpu").threads >= 1


@pytest.mark.cuda
def test_cuda_gives_the_reports_of_the_cpu(small_bundle: Path, films: list) -> None:
    if not cuda_is_here():
        pytest.skip("no CUDA here: needs onnxruntime-gpu")
    with (
        cxrscribe.load(small_bundle, device="cuda") as cuda,
        cxrscribe.load(small_bundle, device="cpu") as cpu,
    ):
        assert cuda.device == "cuda"
        pairs = zip(cuda.report_batch(films), cpu.report_batch(films), strict=True)
        assert [first.tokens for first, _ in pairs] == [second.tokens for _, second in pairs]
