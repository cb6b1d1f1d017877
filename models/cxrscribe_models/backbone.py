"""Image backbones: any classification network of paddle.vision that gives one vector an image."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import numpy as np
import paddle
import paddle.vision.models

from cxrscribe.errors import InputError

# What paddle.vision raises for an option or a size that a network can't be built for or run with.
_UNFIT = (
    ArithmeticError,
    AssertionError,
    IndexError,
    MemoryError,
    RuntimeError,
    SystemError,
    TypeError,
    ValueError,
)


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
    name: str,
    options: Mapping[str, float | int | str] | None = None,
    *,
    height: int,
    width: int,
    pretrained: bool = False,
) -> Backbone:
    """Build the backbone `name` of paddle.vision, without its classifier, for films of one size.

    It is tried on two films of that size: many a network gives one vector an image at some sizes only.

    Args:
        name: a function of paddle.vision.models, such as `resnet101` or `mobilenet_v1`.
        options: keyword arguments of that function, such as `{"scale": 0.25}`.
        height, width: pixels of the films that it will see.
        pretrained: take Paddle's ImageNet weights. Paddle downloads them.

    Raises:
        InputError: the name or an option is unknown, the weights can't be downloaded, or the network doesn't
            give one vector of finite numbers an image of this size.
    """
    if name not in backbone_names():
        raise InputError(f"no backbone is called {name!r}; choose one of {', '.join(backbone_names())}")
    try:
        network = _network(name, dict(options or {}), pretrained=pretrained)
        feature_size = _feature_size(network, height, width)
    except InputError:
        raise
    except _UNFIT as error:
        raise InputError(
            f"backbone {name!r} with options {dict(options or {})} can't be used on {height} x {width} "
            f"pixels: {_first_line(error)}; choose another backbone, other options or another size"
        ) from error
    return Backbone(network, feature_size)


def _network(name: str, options: Mapping[str, float | int | str], *, pretrained: bool) -> paddle.nn.Layer:
    build = getattr(paddle.vision.models, name)
    try:
        return build(pretrained=pretrained, num_classes=0, **options)
    except (OSError, RuntimeError) as error:
        if not pretrained or isinstance(error, NotImplementedError):
            raise
        raise InputError(
            f"Paddle's ImageNet weights of {name} can't be downloaded ({_first_line(error)}); "
            "give a local file with --weights FILE"
        ) from error


def _feature_size(network: paddle.nn.Layer, height: int, width: int) -> int:
    # Not from Paddle's random state: what is drawn next must not depend on the trial.
    films = np.random.default_rng(0).standard_normal((2, 3, height, width), dtype=np.float32)
    network.eval()
    with paddle.no_grad():
        output = network(paddle.to_tensor(films))
    network.train()
    if not isinstance(output, paddle.Tensor):
        raise ValueError("it gives several outputs, not one vector an image")
    shape = list(output.shape)
    if len(shape) not in (2, 4) or any(side != 1 for side in shape[2:]):
        raise ValueError(f"it gives shape {shape} for two images, not [2, F] or [2, F, 1, 1]")
    if not np.isfinite(output.numpy()).all():
        raise ValueError("it gives features that are not finite")
    return int(shape[1])


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
