"""The device openvino: found or refused, exact, the same alone and in company, and quiet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.errors import BundleError, DeviceError
from cxrscribe.sessions import openvino
from cxrscribe.sessions.device import OPENVINO, Engine, Memory, Role, find_devices
from cxrscribe.sessions.openvino import Arithmetic, bf16_capable, compile_graph, import_openvino
from support.openvino import needs_openvino
from support.small_bundle import SmallBundle, edit_graph

Films = list[NDArray[np.uint8]]
_CPU_NAME = "CPUExecutionProvider"


def run_python(code: str, *arguments: str, cwd: Path, **environment: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def words(reporter: cxrscribe.Reporter, films: Films) -> list[Sequence[int]]:
    return [report.tokens for report in reporter.report_batch(films)]


def test_missing_package_names_the_extra(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    said = r"'openvino' is not there: .*pip install 'cxrscribe\[openvino\]', or take device='cpu'"
    with pytest.raises(DeviceError, match=said):
        find_devices("openvino")
    with pytest.raises(DeviceError, match=said):
        cxrscribe.load(small_bundle, device="openvino")
    with pytest.raises(DeviceError, match=said):
        import_openvino()


def test_what_an_uninstallation_left_is_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", ModuleType("openvino"))
    with pytest.raises(DeviceError, match=r"no working package openvino \(it has no Core\)"):
        import_openvino()


@pytest.mark.parametrize("raised", [ImportError, RuntimeError, AttributeError])
def test_a_package_that_breaks_when_imported_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[Exception]
) -> None:
    (tmp_path / "openvino.py").write_text(f"raise {raised.__name__}('of another numpy')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.setattr(openvino, "_started", None)
    with pytest.raises(DeviceError, match=r"package openvino \(of another numpy\)\. Run pip"):
        bf16_capable()


def test_a_package_whose_import_is_forbidden_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidding:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "openvino":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Forbidding(), *sys.meta_path])
    with pytest.raises(DeviceError, match="no working package openvino"):
        find_devices("openvino")


def test_decoder_stays_with_onnxruntime() -> None:
    assert OPENVINO.engine(Role.ENCODER) is Engine.OPENVINO
    assert OPENVINO.engine(Role.DECODER) is Engine.ONNXRUNTIME
    assert [provider.name for provider in OPENVINO.providers(Role.DECODER)] == [_CPU_NAME]
    assert OPENVINO.memory is Memory.CPU


def test_auto_does_not_take_it(small_bundle: Path) -> None:
    with cxrscribe.load(small_bundle) as reporter:
        assert reporter.device in ("cpu", "cuda")


@needs_openvino
def test_encoder_runs_there_in_float32_and_gives_the_reports_of_the_cpu(
    small_bundle: Path, films: Films
) -> None:
    with (
        cxrscribe.load(small_bundle, device="openvino") as there,
        cxrscribe.load(small_bundle, device="cpu") as cpu,
    ):
        assert (there.device, there.precision) == ("openvino", "fp32")
        encoder, *decoder = there.placement
        assert encoder.nodes["OpenVINO f32"] > 0
        assert encoder.nodes.keys() <= {"OpenVINO f32", "OpenVINO u8", "OpenVINO i32"}
        assert all(set(graph.nodes) == {_CPU_NAME} for graph in decoder)
        np.testing.assert_allclose(there.encode(films), cpu.encode(films), rtol=1e-5, atol=1e-5)
        assert words(there, films) == words(cpu, films)


@needs_openvino
def test_a_film_has_the_same_features_alone_and_in_company(small_bundle: Path, films: Films) -> None:
    many = [*films, *films[::-1], *films][:19]
    with cxrscribe.load(small_bundle, device="openvino") as reporter:
        alone = np.concatenate([reporter.encode([film]) for film in many])
        for count in (1, 2, 3, 5, 7, 8, 9, 19):
            assert reporter.encode(many[:count]).tobytes() == alone[:count].tobytes()


@needs_openvino
def test_several_threads_get_what_one_gets(small_bundle: Path, films: Films) -> None:
    parts = [films[start : start + size] for size in (1, 2, 3, 4) for start in range(4)]
    with cxrscribe.load(small_bundle, device="openvino", threads=2) as reporter:
        wanted = [reporter.encode(part).tobytes() for part in parts]
        with ThreadPoolExecutor(4) as pool:
            assert [found.tobytes() for found in pool.map(reporter.encode, parts)] == wanted


@needs_openvino
def test_neither_strict_nor_spinning_nor_threads_change_a_report(fused_bundle: Path, films: Films) -> None:
    with cxrscribe.load(fused_bundle, device="openvino", threads=1) as reporter:
        wanted = reporter.encode(films).tobytes(), words(reporter, films)
    for options in ({"strict": True}, {"spinning": False}, {"threads": 2}):
        with cxrscribe.load(fused_bundle, device="openvino", **{"threads": 1, **options}) as other:  # type: ignore[arg-type]
            assert (other.encode(films).tobytes(), words(other, films)) == wanted


@needs_openvino
def test_bfloat16_is_computed_where_it_was_asked_for_and_can_be(small_bundle: Path, films: Films) -> None:
    if not bf16_capable():
        with pytest.raises(DeviceError, match="'bf16' needs a processor"):
            cxrscribe.load(small_bundle, device="openvino", precision="bf16")
        return
    with (
        cxrscribe.load(small_bundle, device="openvino", precision="bf16") as reporter,
        cxrscribe.load(small_bundle, device="openvino") as exact,
    ):
        assert reporter.precision == "bf16"
        assert reporter.placement[0].nodes["OpenVINO bf16"] > 0
        found, wanted = reporter.encode(films), exact.encode(films)
        assert found.tobytes() != wanted.tobytes()
        np.testing.assert_allclose(found, wanted, rtol=0.1, atol=0.1 * float(np.abs(wanted).max()))


@needs_openvino
def test_bfloat16_is_an_error_on_a_processor_without_it(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "bf16_capable", lambda: False)
    with pytest.raises(DeviceError, match=r"'bf16' needs a processor with .*; take another precision"):
        cxrscribe.load(small_bundle, device="openvino", precision="bf16")


@needs_openvino
@pytest.mark.parametrize(
    ("asked", "computed"),
    [
        ("fp32", {"bf16": 3, "f32": 9}),
        ("fp32", {"f16": 1}),
        ("bf16", {"f32": 9}),
        ("bf16", {"bf16": 1, "f16": 1}),
    ],
)
def test_computing_in_another_type_than_was_asked_for_is_an_error(
    asked: str, computed: dict[str, int], small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "bf16_capable", lambda: True)
    monkeypatch.setattr("cxrscribe.sessions.openvino.CompiledGraph.operations", computed)
    with pytest.raises(DeviceError, match=r"asked to compute .*encoder\.onnx in b?f"):
        compile_graph(small_bundle / "encoder.onnx", 1, Arithmetic(1, asked))


@needs_openvino
def test_a_graph_that_openvino_refuses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "encoder.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(BundleError, match=r"can't be compiled by OpenVINO .* device='cpu'"):
        compile_graph(tmp_path / "encoder.onnx", 1, Arithmetic(1))


@needs_openvino
def test_a_graph_for_one_batch_size_is_refused(tmp_path: Path) -> None:
    bundle = SmallBundle().write(tmp_path / "bundle")

    def close(model: object) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1  # type: ignore[attr-defined]

    edit_graph(bundle, "encoder.onnx", close)
    with pytest.raises(BundleError, match="for batches of one size only"):
        cxrscribe.load(bundle, device="openvino")


@needs_openvino
def test_failure_while_it_runs_is_a_device_error(small_bundle: Path) -> None:
    graph = compile_graph(small_bundle / "encoder.onnx", 1, Arithmetic(1))
    with pytest.raises(DeviceError, match=r"'openvino' failed in .*encoder\.onnx"):
        graph.run(("features",), {"image": np.zeros((1, 3, 3), np.uint8)})


_QUIET = """
import sys, types, cxrscribe, numpy
with cxrscribe.load(sys.argv[1], device="openvino", cache=False) as reporter:
    reporter.encode([numpy.arange(1600, dtype=numpy.uint8).reshape(40, 40)] * 8)
    unwanted = ("openvino_telemetry", "openvino.tools.ovc")
    print(sorted(name for name in sys.modules if name.startswith(unwanted)))
import openvino
print(hasattr(openvino, "no_such_thing"))
sys.modules["openvino.tools.ovc"] = types.SimpleNamespace(convert_model="the real one")
print(openvino.convert_model)
"""


@needs_openvino
def test_telemetry_is_not_imported_and_nothing_is_written(small_bundle: Path, tmp_path: Path) -> None:
    places = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    said = run_python(_QUIET, str(small_bundle), cwd=tmp_path, **places)
    assert said.splitlines() == ["[]", "False", "the real one"]
    assert list(tmp_path.iterdir()) == []


_FORK = """
import os, sys, warnings
import cxrscribe, numpy
from cxrscribe.errors import DeviceError
warnings.simplefilter("ignore")
with cxrscribe.load(sys.argv[1], device="openvino") as reporter:
    reporter.encode([numpy.arange(1600, dtype=numpy.uint8).reshape(40, 40)])
    child = os.fork()
    if child == 0:
        try:
            cxrscribe.load(sys.argv[1], device="openvino")
        except DeviceError as error:
            print(error, flush=True)
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@needs_openvino
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_told_to_load_after_the_fork(small_bundle: Path, tmp_path: Path) -> None:
    said, status = run_python(_FORK, str(small_bundle), cwd=tmp_path).splitlines()
    assert "OpenVINO was used before this process was forked" in said
    assert status == "7"


@needs_openvino
def test_a_host_that_has_imported_it_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done to a module that is complete."""
    mine = ModuleType("openvino")
    vars(mine).update(Core=object, convert_model=len)
    monkeypatch.setitem(sys.modules, "openvino", mine)
    kept = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "openvino.tools.ovc", kept)
    assert import_openvino() is mine
    assert sys.modules["openvino.tools.ovc"] is kept  # type: ignore[comparison-overlap]
    assert "__getattr__" not in vars(mine)
