"""How well a network does on the validation split: its loss a word, and the reward of what it writes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import paddle

from cxrscribe_train.fitting.dataset import ReportDataset
from cxrscribe_train.fitting.job import TrainingJob
from cxrscribe_train.fitting.loss import TokenLoss, summed_token_loss
from cxrscribe_train.fitting.network import ReportNetwork
from cxrscribe_train.fitting.parallel import Exchange
from cxrscribe_train.fitting.self_critical import Seen, SelfCritical


class Validation:
    """The validation split of a job. Each process takes its share of it, and all get the same numbers."""

    def __init__(self, job: TrainingJob, network: ReportNetwork) -> None:
        """Open the job's validation inputs; those of a study's films are pooled once."""
        inputs = np.load(job.val_inputs, mmap_mode="r")
        self._examples = ReportDataset(
            inputs if job.val_views is None else job.val_views.pooled(inputs), job.val
        )
        self._job = job
        self._network = network

    def loss(self, exchange: Exchange, finding_weight: float) -> float:
        """Mean loss over all real tokens, in sentences that state a finding with this weight.

        The network is in eval mode.
        """
        total, count = 0.0, 0.0
        with paddle.no_grad():
            for rows in self._batches(exchange):
                batch = self._examples.collate([self._examples[row] for row in rows])
                inputs, tokens, targets, _ = (paddle.to_tensor(array) for array in batch)
                patient = self._patient(rows)
                chosen = np.array(rows, np.int64)
                weights = self._job.val.counted(chosen, finding_weight, targets.shape[1])
                logits = self._network(inputs, tokens, *(() if patient is None else (patient,)))
                total += float(summed_token_loss(logits, targets, weights=weights))
                count += self._job.val.count(chosen, finding_weight)
        total, tokens_seen = exchange.sum(np.array([total, count], np.float32)).tolist()
        return TokenLoss(total, tokens_seen).mean

    def reward(self, exchange: Exchange, self_critical: SelfCritical) -> float:
        """Mean reward of the greedy reports, one an example. The network is in eval mode."""
        total, count = 0.0, 0.0
        with paddle.no_grad():
            for rows in self._batches(exchange):
                inputs = paddle.to_tensor(np.stack([self._examples[row][0] for row in rows]))
                seen = Seen(self._network.features(inputs), self._patient(rows))
                total += self_critical.validation_reward(self._network.decoder, seen, rows)
                count += len(rows)
        total, examples = exchange.sum(np.array([total, count], np.float32)).tolist()
        return total / examples

    def _batches(self, exchange: Exchange) -> Iterator[list[int]]:
        """The numbers of this process's share of the examples; those of like lengths hold little padding."""
        by_length = np.argsort(self._job.val.lengths, kind="stable")
        own = by_length[exchange.rank :: exchange.processes].tolist()
        for start in range(0, len(own), self._job.batch_size):
            yield own[start : start + self._job.batch_size]

    def _patient(self, rows: list[int]) -> paddle.Tensor | None:
        known = self._job.known
        return None if known is None else paddle.to_tensor(known.val[rows])
