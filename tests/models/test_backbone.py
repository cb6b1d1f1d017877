"""Backbones by name, and the encoder around them."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from cxrscribe.errors import InputError
from cxrscribe_models import FilmEncoder, build_backbone

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_options_reach_the_network() -> None:
    backbone = build_backbone("mobilenet_v1", {"scale": 0.25})
    backbone.eval()
    assert backbone.feature_size == 256
    assert backbone(paddle.zeros([2, 3, 64, 64])).shape == [2, 256]


@pytest.mark.parametrize("name", ["ResNet", "resnet", "os", "__import__", ""])
def test_a_name_that_is_no_backbone_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no backbone is called"):
        build_backbone(name)


@pytest.mark.parametrize(("name", "options"), [("googlenet", {}), ("vgg11", {}), ("resnet18", {"color": 3})])
def test_a_network_without_one_vector_an_image_is_refused(name: str, options: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"backbone '{name}'"):
        build_backbone(name, options)


def test_the_encoder_normalizes_as_written_in_the_preprocessing() -> None:
    backbone = build_backbone("shufflenet_v2_x0_25")
    backbone.eval()
    encoder = FilmEncoder(backbone, MEAN, STD)
    encoder.eval()
    films = np.random.default_rng(0).integers(0, 256, (2, 64, 64)).astype(np.uint8)
    planes = [(films / 255.0 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
    by_hand = np.stack(planes, axis=1).astype(np.float32)

    features = encoder(paddle.to_tensor(films))
    np.testing.assert_allclose(features.numpy(), backbone(paddle.to_tensor(by_hand)).numpy(), atol=1e-4)


def test_the_normalization_is_no_weight() -> None:
    encoder = FilmEncoder(build_backbone("shufflenet_v2_x0_25"), MEAN, STD)
    assert not [name for name in encoder.state_dict() if "scale" in name or "shift" in name]
