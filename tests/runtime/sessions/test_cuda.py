"""What a user is told of a GPU that doesn't work."""

from __future__ import annotations

import ctypes
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from cxrscribe.sessions import cuda
from cxrscribe.sessions.cuda import cuda_ready, gpu_missing
from cxrscribe.sessions.device import CUDA, TENSORRT, Device

MISSING = "cannot open shared object file: No such file or directory"


class Runtime(SimpleNamespace):
    """onnxruntime, as far as it is asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(__file__=str(folder / "__init__.py"), severities=[])

    def set_default_logger_severity(self, severity: int) -> None:
        self.severities.append(severity)

    def preload_dlls(self) -> None:
        print("Failed to load libcublasLt.so.13")
        other = Thread(target=print, args=("another thread's line",))
        other.start()
        other.join()


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """An onnxruntime with its providers' libraries, which can be loaded unless a test says otherwise."""
    (tmp_path / "capi").mkdir()
    for name in ("shared", "cuda", "tensorrt"):
        (tmp_path / "capi" / f"libonnxruntime_providers_{name}.so").touch()
    runtime = Runtime(tmp_path)
    monkeypatch.setattr(cuda, "import_onnxruntime", lambda: runtime)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: None)
    return runtime


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(
    ("device", "library", "remedy"),
    [
        (CUDA, "libcublasLt.so.13", r"pip install 'cxrscribe\[gpu\]', which brings the libraries"),
        (CUDA, "libcudnn.so.9", r"pip install 'cxrscribe\[gpu\]', which brings the libraries"),
        (CUDA, "libcuda.so.1", "Install NVIDIA's driver"),
        (TENSORRT, "libnvinfer.so.10", "Install NVIDIA's TensorRT libraries"),
    ],
)
def test_missing_library_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, device: Device, library: str, remedy: str
) -> None:
    def load(file: str, _: int) -> None:
        if file.endswith(f"_{device.name}.so"):
            raise OSError(f"{library}: {MISSING}")

    monkeypatch.setattr(ctypes, "CDLL", load)
    error = gpu_missing(device)
    assert error.args[0].count("pip install") <= 1
    with pytest.raises(type(error), match=rf"{library}: {MISSING}\)\. .*{remedy}.*, or take device='cpu'"):
        raise error


@pytest.mark.usefixtures("runtime")
def test_where_all_libraries_load_the_reason_is_onnxruntimes() -> None:
    assert "(CUDA failure 100: no CUDA-capable device)" in str(
        gpu_missing(CUDA, "CUDA failure 100: no CUDA-capable device")
    )


def test_onnxruntime_is_quiet_while_a_graph_is_opened(
    runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    with cuda_ready():
        assert runtime.severities == [4]
    assert runtime.severities == [4, 2]
    assert capsys.readouterr().out == "another thread's line\n"


def test_onnxruntime_is_loud_again_after_a_failure(runtime: Runtime) -> None:
    with pytest.raises(RuntimeError, match="no GPU"), cuda_ready():
        raise RuntimeError("no GPU")
    assert runtime.severities == [4, 2]
