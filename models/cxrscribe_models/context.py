"""What acts at every step of a report: what is known of the patient, and what the film says as a whole."""

from __future__ import annotations

import paddle
from paddle import nn

from cxrscribe.bundle.architecture import ContextSizes


class ReportContext(nn.Layer):
    """Features [N, F] and the patient's numbers [N, P] -> context [N, C], by one linear map.

    T tags, kinds and places of findings, are told from the features by weights that a training doesn't
    change. In a training they are given instead: what was learned on a film says too much of this film.
    """

    def __init__(self, feature_size: int, sizes: ContextSizes) -> None:
        super().__init__()
        self.film = nn.Linear(feature_size, sizes.context_size)
        self.patient = nn.Linear(sizes.patient_size, sizes.context_size, bias_attr=False)
        self.tags = nn.Linear(feature_size, sizes.tags) if sizes.tags else None
        self.tagged = nn.Linear(sizes.tags, sizes.context_size, bias_attr=False) if sizes.tags else None
        if self.tags is not None:
            for parameter in self.tags.parameters():
                parameter.stop_gradient = True

    def forward(
        self, features: paddle.Tensor, patient: paddle.Tensor, tags: paddle.Tensor | None = None
    ) -> paddle.Tensor:
        """The context of each film.

        Args:
            features: float32 [N, F].
            patient: float32 [N, P]; zeros where nothing is known.
            tags: float32 [N, T], in place of those that the features tell.

        Returns:
            float32 [N, C].
        """
        known = self.patient(patient)
        if self.tags is None or self.tagged is None:
            return self.film(features) + known
        if tags is not None:
            return self.film(features) + self.tagged(tags) + known
        # Tags are linear in the features too: both maps are one, which an export computes once.
        weight = self.film.weight + paddle.matmul(self.tags.weight, self.tagged.weight)
        bias = self.film.bias + paddle.matmul(self.tags.bias, self.tagged.weight)
        return paddle.matmul(features, weight) + bias + known
