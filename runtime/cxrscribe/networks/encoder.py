"""From pictures to features."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import encoder_interface
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.sessions.session import GraphSession

# Activations of a large backbone take some 100 MB a film at 512 pixels; features of many films take nothing.
FILMS_AT_ONCE: Final = 8


class Encoder:
    """`encoder.onnx`: image uint8 [N, H, W] -> features float32 [N, F]."""

    def __init__(
        self,
        session: GraphSession,
        architecture: Architecture,
        preprocessing: Preprocessing,
        *,
        padded: bool = False,
    ) -> None:
        """`padded`: always run FILMS_AT_ONCE films, black ones where there are fewer.

        Raises BundleError when the graph isn't an encoder of films of this size, or not of this architecture.
        """
        self.feature_size = architecture.feature_size
        session.expect(encoder_interface(preprocessing.height, preprocessing.width, self.feature_size))
        self._session = session
        self._padded = padded

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features float32 [N, F] of preprocessed films uint8 [N, H, W]; N may be 0."""
        features = np.empty((len(pictures), self.feature_size), np.float32)
        for start in range(0, len(pictures), FILMS_AT_ONCE):
            part = slice(start, start + FILMS_AT_ONCE)
            films = pictures[part]
            if self._padded and len(films) < FILMS_AT_ONCE:
                films = np.concatenate(
                    (films, np.zeros_like(pictures, shape=(FILMS_AT_ONCE - len(films), *films.shape[1:])))
                )
            (encoded,) = self._session.run(("features",), {"image": films})
            features[part] = encoded[: len(features[part])]
        return features
