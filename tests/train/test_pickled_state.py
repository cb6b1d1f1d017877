from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from cxrscribe_train.pickled_state import PickledStateError, read_paddle_state, read_torch_state

WEIGHTS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "turned": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "counter": np.array(7, dtype=np.int64),
    "none": np.zeros((0, 4), np.float32),
}


class Armed:
    """Makes a file when it is unpickled by a reader that runs what a pickle names."""

    def __init__(self, mark: Path, call: Callable[..., Any] = os.mkdir) -> None:
        self._mark = mark
        self._call = call

    def __reduce__(self) -> Any:
        return self._call, (str(self._mark),)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_come_back(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "w.pdparams"
    path.write_bytes(pickle.dumps({**WEIGHTS, "StructuredToParameterName@@": {"a": "b"}}, protocol))
    assert_same(read_paddle_state(path), WEIGHTS)


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_paddle_saves_comes_back(tmp_path: Path, protocol: int) -> None:
    network = paddle.nn.Sequential(paddle.nn.Linear(3, 2), paddle.nn.BatchNorm1D(2))
    paddle.save(network.state_dict(), str(tmp_path / "w.pdparams"), protocol=protocol)
    expected = {name: value.numpy() for name, value in network.state_dict().items()}
    assert_same(read_paddle_state(tmp_path / "w.pdparams"), expected)


@pytest.mark.parametrize("call", [os.mkdir, eval, __import__])
def test_nothing_in_a_pickle_is_run(tmp_path: Path, call: Callable[..., Any]) -> None:
    path = tmp_path / "w.pdparams"
    path.write_bytes(pickle.dumps({**WEIGHTS, "z": Armed(tmp_path / "mark", call)}))
    with pytest.raises(PickledStateError, match=rf"asks for \w+\.{call.__name__},.*nothing was run"):
        read_paddle_state(path)
    assert not (tmp_path / "mark").exists()


def test_an_armed_file_of_torch_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for new in (True, False):
        path = tmp_path / f"{new}.pth"
        torch.save({"z": Armed(tmp_path / "mark")}, path, _use_new_zipfile_serialization=new)
        with pytest.raises(PickledStateError, match="nothing was run"):
            read_torch_state(path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "value",
    [["a"], {}, {"a": 1}, "text", {"a": np.array(["text"])}, {"a": np.array([None])}],
    ids=["list", "empty", "number", "text", "texts", "objects"],
)
def test_what_is_no_state_is_refused(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "w.pdparams"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(PickledStateError):
        read_paddle_state(path)


def test_a_pickle_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole, path = pickle.dumps(WEIGHTS), tmp_path / "w.pdparams"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(PickledStateError):
            read_paddle_state(path)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before 1.6"])
def test_what_torch_saves_comes_back(tmp_path: Path, new: bool) -> None:
    torch = pytest.importorskip("torch")
    shared = torch.arange(12, dtype=torch.float32)
    state = {
        "matrix": shared.reshape(3, 4),
        "turned": shared.reshape(3, 4).t(),
        "part": shared[5:9],
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "half": torch.tensor([0.5, -2.0], dtype=torch.float16),
        "bfloat": torch.tensor([0.5, -2.0], dtype=torch.bfloat16),
        "double": torch.tensor([[0.5]], dtype=torch.float64),
        "counter": torch.tensor(7),
        "none": torch.zeros(0, 4),
    }
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    expected = {name: value.detach().float().numpy() for name, value in state.items()}
    assert_same(read_torch_state(tmp_path / "w.pth"), expected)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_checkpoint_of_torch_gives_its_state(tmp_path: Path, key: str) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"epoch": 3, key: {"module.a": torch.ones(2)}}, tmp_path / "w.pth")
    assert_same(read_torch_state(tmp_path / "w.pth"), {"a": np.ones(2, np.float32)})


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before 1.6"])
def test_a_file_of_torch_cut_anywhere_is_refused(tmp_path: Path, new: bool) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.ones(30)}, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    whole, path = (tmp_path / "w.pth").read_bytes(), tmp_path / "cut.pth"
    for length in range(0, len(whole), 29):
        path.write_bytes(whole[:length])
        with pytest.raises(PickledStateError):
            read_torch_state(path)


def test_a_tensor_that_reaches_out_of_its_storage_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    # A thousand million ones that take four bytes in the file.
    torch.save({"a": torch.ones(1).expand(1000, 1000, 1000)}, tmp_path / "w.pth")
    with pytest.raises(PickledStateError, match=r"shape \[1000, 1000, 1000\] lies outside its storage"):
        read_torch_state(tmp_path / "w.pth")


def test_a_part_that_is_missing_compressed_or_of_another_size_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.ones(30)}, tmp_path / "w.pth")

    def rewritten(change: Callable[[str, bytes], bytes | None], method: int) -> Path:
        path = tmp_path / "changed.pth"
        with zipfile.ZipFile(tmp_path / "w.pth") as old, zipfile.ZipFile(path, "w", method) as new:
            for name in old.namelist():
                content = change(name, old.read(name))
                if content is not None:
                    new.writestr(name, content)
        return path

    def is_data(name: str) -> bool:
        return name.endswith("/data/0")

    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    assert len(read_torch_state(rewritten(lambda name, content: content, stored))["a"]) == 30
    with pytest.raises(PickledStateError, match="compressed"):
        read_torch_state(rewritten(lambda name, content: content, deflated))
    with pytest.raises(PickledStateError, match="data/0 is missing"):
        read_torch_state(rewritten(lambda name, content: None if is_data(name) else content, stored))
    with pytest.raises(PickledStateError, match="outside its storage"):
        read_torch_state(rewritten(lambda name, content: content[:40] if is_data(name) else content, stored))
    with pytest.raises(PickledStateError, match="not one of torch"):
        read_torch_state(rewritten(lambda name, content: None if "pkl" in name else content, stored))
