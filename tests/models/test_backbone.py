"""Backbones by name, and the encoder around them."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from cxrscribe.errors import InputError
from cxrscribe_models import FilmEncoder, build_backbone

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_options_reach_the_network() -> None:
    backbone = build_backbone("mobilenet_v1", {"scale": 0.25}, height=64, width=64)
    backbone.eval()
    assert backbone.feature_size == 256
    assert backbone(paddle.zeros([2, 3, 64, 64])).shape == [2, 256]


@pytest.mark.parametrize("name", ["ResNet", "resnet", "os", "__import__", ""])
def test_a_name_that_is_no_backbone_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no backbone is called"):
        build_backbone(name, height=64, width=64)


@pytest.mark.parametrize(("name", "options"), [("googlenet", {}), ("vgg11", {}), ("resnet18", {"color": 3})])
def test_a_network_without_one_vector_an_image_is_refused(name: str, options: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"backbone '{name}'"):
        build_backbone(name, options, height=64, width=64)


@pytest.mark.parametrize(
    ("name", "side", "message"),
    [("alexnet", 224, r"shape \[2, 256, 6, 6\]"), ("inception_v3", 32, "not finite")],
)
def test_a_network_that_fits_other_sizes_only_is_refused(name: str, side: int, message: str) -> None:
    with pytest.raises(InputError, match=rf"'{name}'.*on {side} x {side} pixels: .*{message}.*another size"):
        build_backbone(name, height=side, width=side)


def test_height_and_width_may_differ() -> None:
    backbone = build_backbone("mobilenet_v1", {"scale": 0.125}, height=32, width=64)
    assert backbone.training
    assert backbone.feature_size == 128


@pytest.mark.parametrize("scale", [0.0001, float("inf"), 1e300, -1.0, "wide"])
def test_an_option_that_no_network_can_have_is_refused(scale: float | str) -> None:
    with pytest.raises(InputError, match=r"'mobilenet_v1' with options .*choose another backbone"):
        build_backbone("mobilenet_v1", {"scale": scale}, height=32, width=32)


def test_weights_that_can_not_be_downloaded_are_no_matter_of_the_backbone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(pretrained: bool, **_: object) -> None:
        raise RuntimeError("Downloading from https://paddle failed. Retry limit reached")

    monkeypatch.setattr(paddle.vision.models, "resnet18", unreachable)
    with pytest.raises(InputError, match=r"weights of resnet18 can't be downloaded .*--weights FILE"):
        build_backbone("resnet18", height=32, width=32, pretrained=True)
    with pytest.raises(InputError, match="choose another backbone"):
        build_backbone("resnet18", height=32, width=32)


def test_the_encoder_normalizes_as_written_in_the_preprocessing() -> None:
    backbone = build_backbone("shufflenet_v2_x0_25", height=64, width=64)
    backbone.eval()
    encoder = FilmEncoder(backbone, MEAN, STD)
    encoder.eval()
    films = np.random.default_rng(0).integers(0, 256, (2, 64, 64)).astype(np.uint8)
    planes = [(films / 255.0 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
    by_hand = np.stack(planes, axis=1).astype(np.float32)

    features = encoder(paddle.to_tensor(films))
    np.testing.assert_allclose(features.numpy(), backbone(paddle.to_tensor(by_hand)).numpy(), atol=1e-4)


def test_the_normalization_is_no_weight() -> None:
    encoder = FilmEncoder(build_backbone("shufflenet_v2_x0_25", height=64, width=64), MEAN, STD)
    assert not [name for name in encoder.state_dict() if "scale" in name or "shift" in name]
