"""Image backbones: any classification network of paddle.vision that gives one vector an image."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import paddle
import paddle.vision.models

from cxrscribe.errors import InputError

_PROBE_SIDE = 64


class Backbone(paddle.nn.Layer):
    """A paddle.vision network without its classifier: float32 [N, 3, H, W] -> float32 [N, feature_size]."""

    def __init__(self, network: paddle.nn.Layer, feature_size: int) -> None:
        super().__init__()
        self.network = network
        self.feature_size = feature_size

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """Features of a batch.

        Args:
            image: float32 [N, 3, H, W], normalized.

        Returns:
            float32 [N, feature_size].
        """
        return paddle.flatten(self.network(image), start_axis=1)


def backbone_names() -> tuple[str, ...]:
    """Names of the paddle.vision functions that build a network, such as `resnet101`."""
    models = paddle.vision.models
    return tuple(sorted(name for name in models.__all__ if inspect.isfunction(getattr(models, name))))


def build_backbone(
    name: str, options: Mapping[str, float | int | str] | None = None, *, pretrained: bool = False
) -> Backbone:
    """Build the backbone `name` of paddle.vision, without its classifier.

    Args:
        name: a function of paddle.vision.models, such as `resnet101` or `mobilenet_v1`.
        options: keyword arguments of that function, such as `{"scale": 0.25}`.
        pretrained: take Paddle's ImageNet weights. Paddle downloads them.

    Raises:
        InputError: the name or an option is unknown, or the network doesn't give one vector an image.
    """
    if name not in backbone_names():
        raise InputError(f"no backbone is called {name!r}; choose one of {', '.join(backbone_names())}")
    build = getattr(paddle.vision.models, name)
    try:
        network = build(pretrained=pretrained, num_classes=0, **dict(options or {}))
        feature_size = _feature_size(network)
    except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"backbone {name!r} with options {dict(options or {})} can't be used: {first_line}; "
            "choose another backbone or other options"
        ) from error
    return Backbone(network, feature_size)


def _feature_size(network: paddle.nn.Layer) -> int:
    network.eval()
    with paddle.no_grad():
        output = network(paddle.zeros([2, 3, _PROBE_SIDE, _PROBE_SIDE]))
    network.train()
    if not isinstance(output, paddle.Tensor):
        raise ValueError("it gives several outputs, not one vector an image")
    shape = list(output.shape)
    if len(shape) not in (2, 4) or any(side != 1 for side in shape[2:]):
        raise ValueError(f"it gives shape {shape} for two images, not [2, F] or [2, F, 1, 1]")
    return int(shape[1])
