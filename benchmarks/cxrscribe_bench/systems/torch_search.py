"""Beam search in PyTorch over a static batch, as a good engineer would write it.

It keeps to the rules of docs/decoding.md, n_best being 1.

One compiled function is a whole step: LSTM cells, log-softmax, the best candidates, the pool of finished
hypotheses. Words are kept as links to the step before and followed back once at the end, so that no step
moves them. Only what the benchmark asks for: one beam width, one max_length, length_penalty 0, the best
result. Needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from cxrscribe.vocabulary import END, PAD, START, UNK
from cxrscribe_bench.systems.system import Words
from cxrscribe_export.graphs.decoder_weights import DecoderWeights, LayerWeights

Tensor: TypeAlias = Any
Step: TypeAlias = Callable[..., tuple[Any, ...]]
Ints: TypeAlias = NDArray[np.int64]


class TorchSearch:
    """Beam search of static batches: all images start together, and end when the last one is done.

    Args:
        initial_state: a module, features float32 [N, F] -> hidden and cell float32 [L, N, D].
        step: a BeamStep, compiled or not.
        beam_width: K.
        max_length: steps at most.
        device: torch's name of where both modules are.
    """

    def __init__(
        self, initial_state: Any, step: Step, beam_width: int, max_length: int, device: str = "cpu"
    ) -> None:
        self._initial_state = initial_state
        self._step = step
        self._width = beam_width
        self._max_length = max_length
        self._device = device

    def decode(self, features: NDArray[np.float32]) -> list[Words]:
        """Word ids of the best report of each row of features [N, F], as one batch."""
        with torch.inference_mode():
            return self._batch(torch.from_numpy(features).to(self._device))

    def _batch(self, features: Tensor) -> list[Words]:
        images, width, device = len(features), self._width, self._device
        hidden, cell = self._initial_state(features)
        state = [part.repeat_interleave(width, 0) for tensor in (hidden, cell) for part in tensor]
        word = torch.full((images, width), START, device=device)
        parent = torch.arange(width, device=device).expand(images, width).contiguous()
        score = torch.full((images, width), -torch.inf, device=device)
        score[:, 0] = 0
        pool_score = torch.full((images,), -torch.inf, device=device)
        pool_link = torch.zeros(images, dtype=torch.int64, device=device)
        words, parents = [], []
        for step in range(self._max_length):
            word, parent, score, pool_score, pool_link, done, *state = self._step(
                torch.tensor(step, device=device), word, parent, score, pool_score, pool_link, *state
            )
            words.append(word)
            parents.append(parent)
            if done.item():
                break
        # A link to a hypothesis is how many words it has, times K, plus its rank.
        best = torch.where(pool_score > -torch.inf, pool_link, self._max_length * width)
        length, rank = np.divmod(best.cpu().numpy(), width)
        return _followed_back(
            torch.stack(words).cpu().numpy(), torch.stack(parents).cpu().numpy(), length, rank
        )


class BeamStep(nn.Module):  # type: ignore[misc]
    """One step of a static batch of B images and beam width K, in which nothing depends on data but values.

    Takes the number of the step, int64 []; word and parent, int64 [B, K], the step before's; score, the
    live hypotheses', float32 [B, K]; pool_score and pool_link, float32 and int64 [B], of the best finished
    one; the state that the parents are rows of, h of each layer and then c of each, float32 [B * K, D].

    Gives the next ones of these from `word` on, with `done`, bool [], before the state.
    """

    def __init__(self, weights: DecoderWeights, beam_width: int) -> None:
        super().__init__()
        self._width = beam_width
        first, *others = weights.layers
        # What the first layer makes of a word is a row of a table, so that one product a step is saved.
        self.register_buffer("table", _tensor(weights.embedding @ first.input + first.bias))
        self.cells = nn.ModuleList([_Cell(first.hidden), *map(_above, others)])
        self.output = _linear(weights.output, weights.output_bias)
        forbidden = np.zeros(weights.vocabulary_size, np.float32)
        forbidden[[PAD, START, UNK]] = -np.inf
        self.register_buffer("forbidden", _tensor(forbidden))

    def forward(
        self,
        step: Tensor,
        word: Tensor,
        parent: Tensor,
        score: Tensor,
        pool_score: Tensor,
        pool_link: Tensor,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        """One step: what it takes and gives, the class says."""
        images, width = score.shape
        log_probs, state = self._log_probs(word, parent, state)
        total = (score[:, :, None] + log_probs.view(images, width, -1)).view(images, -1)
        top_score, top = total.topk(2 * width, 1)
        top_parent = top // log_probs.shape[1]
        top_word = top - top_parent * log_probs.shape[1]
        ends = top_word == END

        # Once an image is done, all that still ends in it is no better than what has finished.
        ending, place = top_score[:, :width].masked_fill(~ends[:, :width], -torch.inf).max(1)
        link = step * width + top_parent.gather(1, place[:, None])[:, 0]
        better = ending > pool_score
        pool_score, pool_link = torch.where(better, ending, pool_score), torch.where(better, link, pool_link)

        score, live = top_score.masked_fill(ends, -torch.inf).topk(width, 1)
        word, parent = top_word.gather(1, live), top_parent.gather(1, live)
        done = ((pool_score > -torch.inf) & (score[:, 0] <= pool_score)).all()  # rule 9
        return word, parent, score, pool_score, pool_link, done, *state

    def _log_probs(
        self, word: Tensor, parent: Tensor, state: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Log-probabilities float32 [B * K, V], -inf where a word is forbidden, and the state after."""
        rows = (parent + torch.arange(0, parent.numel(), self._width, device=parent.device)[:, None]).view(-1)
        layers = len(self.cells)
        hidden, cell = state[:layers], state[layers:]
        below = functional.embedding(word.view(-1), self.table)  # [B * K, 4 * D]
        new_hidden, new_cell = [], []
        for layer, unit in enumerate(self.cells):
            below, kept = unit(below, hidden[layer][rows], cell[layer][rows])
            new_hidden.append(below)
            new_cell.append(kept)
        log_probs = functional.log_softmax(self.output(below), 1) + self.forbidden
        return log_probs, (*new_hidden, *new_cell)


class _Cell(nn.Module):  # type: ignore[misc]
    """An LSTM cell to which what comes from below has been multiplied already."""

    def __init__(self, weight: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("weight", _tensor(weight))

    def forward(self, below: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        return _gates(torch.addmm(below, hidden, self.weight), cell)


class _UpperCell(nn.Module):  # type: ignore[misc]
    """An LSTM cell with one weight for what comes from below and its own h."""

    def __init__(self, linear: Any) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, below: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        return _gates(self.linear(torch.cat((below, hidden), 1)), cell)


def _above(layer: LayerWeights) -> _UpperCell:
    return _UpperCell(_linear(np.concatenate((layer.input, layer.hidden)), layer.bias))


def _gates(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    entry, forget, candidate, output = gates.chunk(4, 1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(entry) * torch.tanh(candidate)
    return torch.sigmoid(output) * torch.tanh(cell), cell


def _linear(weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Any:
    linear = nn.Linear(*weight.shape)
    for name, array in (("weight", weight.T), ("bias", bias)):
        setattr(linear, name, nn.Parameter(_tensor(array), requires_grad=False))
    return linear


def _tensor(array: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32, order="C"))


def _followed_back(words: Ints, parents: Ints, length: Ints, rank: Ints) -> list[Words]:
    """The words of the hypothesis of each image that had `rank` when it had `length` words.

    `words` and `parents` are int64 [steps, B, K]; `length` and `rank` int64 [B].
    """
    images = np.arange(len(rank))
    found = np.zeros((len(rank), len(words)), np.int64)
    for step in range(len(words) - 1, -1, -1):
        found[:, step] = words[step, images, rank]
        rank = np.where(step < length, parents[step, images, rank], rank)
    return [row[:count].tolist() for row, count in zip(found, length, strict=True)]
