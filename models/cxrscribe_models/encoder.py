"""The film encoder: grey bytes in, features out, with scaling and normalization inside."""

from __future__ import annotations

from collections.abc import Sequence

import paddle

from cxrscribe_models.backbone import Backbone

GREY_LEVELS = 255.0


class FilmEncoder(paddle.nn.Layer):
    """Grey films uint8 [N, H, W] -> features float32 [N, feature_size].

    The grey plane goes to all three channels; each is scaled to 0..1 and normalized with `mean` and `std`.
    """

    def __init__(self, backbone: Backbone, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.backbone = backbone
        # One multiplication and one addition a channel: (x / 255 - mean) / std.
        scale = [1.0 / (GREY_LEVELS * deviation) for deviation in std]
        shift = [-average / deviation for average, deviation in zip(mean, std, strict=True)]
        self.register_buffer("scale", paddle.to_tensor(scale).reshape([1, 3, 1, 1]), persistable=False)
        self.register_buffer("shift", paddle.to_tensor(shift).reshape([1, 3, 1, 1]), persistable=False)

    @property
    def feature_size(self) -> int:
        """Length of one feature vector."""
        return self.backbone.feature_size

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """Features of a batch of films.

        Args:
            image: uint8 or float32 [N, H, W], grey levels 0 to 255.

        Returns:
            float32 [N, feature_size].
        """
        grey = paddle.unsqueeze(paddle.cast(image, "float32"), 1)  # [N, 1, H, W]
        return self.backbone(grey * self.scale + self.shift)  # [N, 3, H, W] by broadcasting
