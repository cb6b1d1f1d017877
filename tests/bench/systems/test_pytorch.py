"""The PyTorch peer computes what the runtime computes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
h5py = pytest.importorskip("h5py")

import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from PIL import Image  # noqa: E402

import cxrscribe  # noqa: E402
from cxrscribe import BeamSettings  # noqa: E402
from cxrscribe.errors import BundleError, InputError  # noqa: E402
from cxrscribe_bench.systems.ours import open_cxrscribe  # noqa: E402
from cxrscribe_bench.systems.pytorch import PyTorch, open_pytorch_compiled, open_pytorch_eager  # noqa: E402
from cxrscribe_bench.systems.torch_graph import torch_module  # noqa: E402
from cxrscribe_bench.systems.torch_operations import RULES  # noqa: E402
from cxrscribe_bench.workload import Workload  # noqa: E402

# torch.compile warns of what this project has no part in.
pytestmark = pytest.mark.filterwarnings("default")

SETTINGS = BeamSettings(beam_width=3, max_length=9)
OPENERS = [
    open_pytorch_eager,
    pytest.param(
        open_pytorch_compiled,
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler"),
        ],
    ),
]
Opener = Callable[[Workload, str], PyTorch]


@pytest.fixture(scope="session")
def small_workload(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Workload:
    folder = tmp_path_factory.mktemp("films")
    random = np.random.default_rng(0)
    films = tuple(folder / f"{number}.png" for number in range(7))
    for film in films:
        Image.fromarray(random.integers(0, 256, (30, 40), dtype=np.uint8)).save(film)
    return _workload(small_bundle, films, folder, SETTINGS)


@pytest.fixture(scope="session")
def demo_workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    bundle = cxrscribe.demo_bundle()
    films = tuple(sorted((Path(bundle).parent / "films").glob("*.png")))
    return _workload(bundle, films, tmp_path_factory.mktemp("demo"), BeamSettings(3, 60))


def _workload(bundle: Path, films: tuple[Path, ...], folder: Path, settings: BeamSettings) -> Workload:
    features = np.random.default_rng(1)
    with cxrscribe.load(bundle, device="cpu") as reporter:
        rows = reporter.encode([film.read_bytes() for film in films])
    drawn = features.normal(rows.mean(axis=0), rows.std(axis=0) + 1e-3, (11, rows.shape[1]))
    with h5py.File(folder / "features.h5", "w") as file:
        file["features"] = drawn.astype(np.float32)
    return Workload(bundle, films, folder / "features.h5", settings, batch_size=4, threads=1)


@pytest.mark.parametrize("workload", ["small_workload", "demo_workload"])
@pytest.mark.parametrize("opener", OPENERS)
def test_features_and_words_are_the_runtimes(
    opener: Opener, workload: str, request: pytest.FixtureRequest
) -> None:
    work: Workload = request.getfixturevalue(workload)
    ours, theirs = open_cxrscribe(work, "fp32"), opener(work, "fp32")
    with cxrscribe.load(work.bundle, device="cpu") as reporter:
        features = reporter.encode(list(work.film_files()))
    difference = np.abs(theirs.features(0, len(work.films)) - features).max()
    assert difference < 1e-4 * np.abs(features).max()
    for first, count in ((0, len(work.films)), (2, 1)):
        assert theirs.from_films(first, count) == ours.from_films(first, count)
    for first, count in ((0, 11), (3, 1), (1, 4)):
        assert theirs.from_features(first, count) == ours.from_features(first, count)


@pytest.mark.parametrize(("beam_width", "max_length"), [(1, 9), (5, 9), (4, 2), (3, 1)])
def test_words_are_the_runtimes_at_other_settings(
    small_workload: Workload, beam_width: int, max_length: int
) -> None:
    settings = BeamSettings(beam_width=beam_width, max_length=max_length)
    work = Workload(small_workload.bundle, small_workload.films, small_workload.features, settings, 4, 1)
    theirs = open_pytorch_eager(work, "fp32").from_features(0, 11)
    assert theirs == open_cxrscribe(work, "fp32").from_features(0, 11)


def test_details_say_what_was_compiled(small_workload: Workload) -> None:
    details = open_pytorch_eager(small_workload, "fp32").details()
    assert (details["compiled"], details["memory format"]) == ("nothing", "channels_last")
    assert details["threads"] == "1"


def test_refuses_what_it_cannot_do(small_workload: Workload) -> None:
    work = small_workload
    with pytest.raises(InputError, match="int8"):
        open_pytorch_eager(work, "int8")
    settings = BeamSettings(beam_width=3, length_penalty=1.0)
    with pytest.raises(InputError, match="settings"):
        open_pytorch_eager(Workload(work.bundle, work.films, work.features, settings, 4, 1), "fp32")


def test_an_unknown_operator_is_named() -> None:
    with pytest.raises(BundleError, match="has Erf"):
        torch_module(_model([helper.make_node("Erf", ["image"], ["features"])]), "encoder.onnx", RULES)


def test_operators_of_other_backbones_are_those_of_onnx() -> None:
    """One block with the operators of cheap backbones, held against onnxruntime."""
    onnxruntime = pytest.importorskip("onnxruntime")
    import torch

    random = np.random.default_rng(0)
    node = helper.make_node
    model = _model(
        [
            node("Conv", ["image", "w", "b"], ["c"], group=2, pads=[0, 0, 1, 1], strides=[2, 2]),
            node("BatchNormalization", ["c", "gain", "shift", "mean", "variance"], ["n"]),
            node("Clip", ["n", "zero", "six"], ["r"]),
            node("BatchNormalization", ["r", "gain", "shift", "mean", "variance"], ["m"]),
            node("AveragePool", ["m"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1]),
            node("MaxPool", ["m"], ["p"], kernel_shape=[2, 2], pads=[0, 0, 1, 1], strides=[1, 1]),
            node("Concat", ["a", "p"], ["both"], axis=1),
            node("Reshape", ["both", "grouped"], ["groups"]),
            node("Transpose", ["groups"], ["swapped"], perm=[0, 2, 1, 3, 4]),
            node("Reshape", ["swapped", "joined"], ["shuffled"]),
            node("Split", ["shuffled", "halves"], ["one", "other"], axis=1),
            node("HardSigmoid", ["one"], ["gate"], alpha=0.2, beta=0.5),
            node("HardSwish", ["other"], ["swish"]),
            node("Mul", ["gate", "swish"], ["product"]),
            node("ReduceMean", ["product"], ["pooled"], axes=[2, 3], keepdims=0),
            node("Gemm", ["pooled", "dense", "b"], ["features"], transB=1),
        ],
        w=random.normal(size=(4, 1, 3, 3)),
        b=random.normal(size=4),
        gain=random.normal(size=4),
        shift=random.normal(size=4),
        mean=random.normal(size=4),
        variance=random.uniform(0.5, 2, 4),
        zero=np.float64(0),
        six=np.float64(6),
        grouped=np.array([0, 2, 4, 4, 4]),
        joined=np.array([-1, 8, 4, 4]),
        halves=np.array([4, 4]),
        dense=random.normal(size=(4, 4)),
    )
    image = random.normal(size=(3, 2, 9, 9)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"image": image})
    with torch.inference_mode():
        found = torch_module(model, "encoder.onnx", RULES)(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def _model(nodes: list[onnx.NodeProto], **constants: np.ndarray | np.float64) -> onnx.ModelProto:
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 2, 9, 9])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name)
            for name, array in arrays.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
