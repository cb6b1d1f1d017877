from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from cxrscribe.errors import InputError
from cxrscribe_models import build_backbone
from cxrscribe_train.torchvision_names import is_torch_state, torchvision_names, with_own_names
from cxrscribe_train.weights import load_weights

SIDE = 64
NETWORKS = [
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_64x4d",
    "wide_resnet50_2", "wide_resnet101_2", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "densenet121", "densenet161", "densenet169", "densenet201", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
]  # fmt: skip
# As torchvision has them, one or two of each kind of part.
KNOWN = {
    "resnet18": {
        "layer1.0.conv1.weight": "layer1.0.conv1.weight",
        "layer2.0.downsample.1._mean": "layer2.0.downsample.1.running_mean",
        "bn1._variance": "bn1.running_var",
    },
    "mobilenet_v2": {"features.1.conv.2._mean": "features.1.conv.2.running_mean"},
    "mobilenet_v3_small": {
        "conv.1._mean": "features.0.1.running_mean",
        "blocks.0.bottleneck_conv.0.weight": "features.1.block.0.0.weight",
        "blocks.0.mid_se.fc1.bias": "features.1.block.1.fc1.bias",
        "blocks.1.linear_conv.1.weight": "features.2.block.2.1.weight",
        "blocks.3.mid_se.fc2.weight": "features.4.block.2.fc2.weight",
        "lastconv.0.weight": "features.12.0.weight",
    },
    "densenet121": {
        "conv1_func._conv.weight": "features.conv0.weight",
        "conv1_func._batch_norm._mean": "features.norm0.running_mean",
        "db_conv_2.conv2_6.bn_ac_func2._batch_norm.bias": "features.denseblock1.denselayer6.norm2.bias",
        "db_conv_5.conv5_16.bn_ac_func1._conv.weight": "features.denseblock4.denselayer16.conv1.weight",
        "tr_conv3_blk.conv_ac_func._batch_norm._variance": "features.transition2.norm.running_var",
        "tr_conv3_blk.conv_ac_func._conv.weight": "features.transition2.conv.weight",
        "batch_norm.weight": "features.norm5.weight",
    },
    "shufflenet_v2_x0_5": {
        "_conv1.0.weight": "conv1.0.weight",
        "2_1._conv_dw_1.1._mean": "stage2.0.branch1.1.running_mean",
        "2_1._conv_linear_1.0.weight": "stage2.0.branch1.2.weight",
        "3_8._conv_linear.1.bias": "stage3.7.branch2.6.bias",
        "_last_conv.1._variance": "conv5.1.running_var",
    },
}


def own_names(name: str) -> list[str]:
    network = build_backbone(name, {}, height=SIDE, width=SIDE)
    return [key.removeprefix("network.") for key in network.state_dict()]


def filled(name: str, path: Path) -> paddle.nn.Layer:
    network = build_backbone(name, {}, height=SIDE, width=SIDE)
    load_weights(network, path)
    network.eval()
    return network


@pytest.mark.parametrize("name", KNOWN)
def test_every_weight_has_one_name_in_torchvision(name: str) -> None:
    own = own_names(name)
    theirs = torchvision_names(own)
    assert KNOWN[name].items() <= theirs.items()
    assert list(theirs) == own
    assert len(set(theirs.values())) == len(own)
    assert with_own_names({their: key for key, their in theirs.items()}, own) == {key: key for key in own}


def test_batch_norms_give_torchs_names_away() -> None:
    assert is_torch_state(["conv1.weight", "bn1.running_mean"])
    assert is_torch_state(["bn1.num_batches_tracked"])
    assert not is_torch_state(["conv1.weight", "bn1._mean"])


def test_the_older_names_of_densenet_are_known() -> None:
    own = "db_conv_2.conv2_1.bn_ac_func1._batch_norm.weight"
    names = ["conv1_func._conv.weight", own]
    assert with_own_names({"features.denseblock1.denselayer1.norm.1.weight": 1}, names) == {own: 1}


def test_what_has_no_counterpart_keeps_its_name_and_counters_are_dropped() -> None:
    given = {"fc.weight": 1, "bn1.num_batches_tracked": 2, "bn1.running_var": 3}
    assert with_own_names(given, ["bn1._variance"]) == {"fc.weight": 1, "bn1._variance": 3}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("resnet18", "pth"),
        ("resnet18", "before 1.6"),
        ("resnet18", "safetensors"),
        pytest.param("resnet101", "pth", marks=pytest.mark.slow),
    ],
)
def test_a_resnet_gives_torchs_features(name: str, kind: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from support.torch_resnet import TorchResNet, randomize

    torch.manual_seed(0)
    theirs, films = TorchResNet(name), torch.randn(4, 3, SIDE, SIDE)
    randomize(theirs, films)
    path = saved(theirs, kind, tmp_path)
    with torch.no_grad():
        expected = theirs(films).numpy()
    assert_close(filled(name, path)(paddle.to_tensor(films.numpy())).numpy(), expected)


def test_a_deeper_resnet_of_torch_is_refused_by_the_weight_that_is_left(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from support.torch_resnet import TorchResNet

    path = saved(TorchResNet("resnet101"), "pth", tmp_path)
    wanted = r"weight 'layer2\.\d\.conv1\.weight' .*shape \[\d+, \d+, 1, 1\].*no place.*--backbone"
    network = build_backbone("resnet50", {}, height=SIDE, width=SIDE)
    with pytest.raises(InputError, match=wanted.replace("layer2", "layer3").replace(r"\.\d", r"\.\d+", 1)):
        load_weights(network, path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_of_torchvision_give_its_features(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    from support.torch_resnet import randomize

    torch.manual_seed(0)
    theirs, films = getattr(models, name)(weights=None), torch.randn(4, 3, SIDE, SIDE)
    randomize(theirs, films)
    features: list[Any] = []
    classifier = next(module for module in theirs.modules() if isinstance(module, torch.nn.Linear))
    classifier.register_forward_pre_hook(lambda module, given: features.append(given[0].numpy()))
    with torch.no_grad():
        theirs(films)
    found = filled(name, saved(theirs, "pth", tmp_path))(paddle.to_tensor(films.numpy())).numpy()
    assert_close(found, features[0])


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Torch and Paddle add up in another order, and a hundred random layers magnify it."""
    assert np.ptp(expected, axis=0).mean() > 0.1  # films differ in their features
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.01)


def saved(network: Any, kind: str, folder: Path) -> Path:
    import torch

    if kind == "safetensors":
        from safetensors.torch import save_file

        save_file(network.state_dict(), folder / "w.safetensors")
        return folder / "w.safetensors"
    torch.save(network.state_dict(), folder / "w.pth", _use_new_zipfile_serialization=kind == "pth")
    return folder / "w.pth"
