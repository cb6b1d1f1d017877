"""The program that the project replaces, as a notebook has it: Paddle's dynamic graph, one film at a time.

Each hypothesis is one row in a call of its own, each film takes max_length steps, and hypotheses are objects
in lists. The report is nevertheless that of the exact search (docs/decoding.md): stopping changes no result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.errors import DecodingError
from cxrscribe.vocabulary import END, PAD, START, UNK
from cxrscribe_bench.systems.paddle_setup import set_up_paddle
from cxrscribe_bench.systems.plain_system import PlainSystem, require_peer
from cxrscribe_bench.systems.system import Words
from cxrscribe_bench.workload import Workload

if TYPE_CHECKING:
    from cxrscribe_models import FilmEncoder, ReportDecoder

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Hypothesis:
    log_prob: np.float32
    words: Words
    state: Any  # hidden and cell, each a paddle.Tensor float32 [L, 1, D]


@dataclass(frozen=True)
class _Candidate:
    log_prob: np.float32
    rank: int
    word: int


class DynamicEncoder:
    """A FilmEncoder: pictures uint8 [N, H, W] -> features float32 [N, F]."""

    def __init__(self, encoder: FilmEncoder) -> None:
        self._encoder = encoder

    def __call__(self, pictures: NDArray[np.uint8]) -> Array:
        """Features of `pictures`."""
        import paddle

        with paddle.no_grad():
            features: Array = self._encoder(paddle.to_tensor(pictures)).numpy()
        return features


class NotebookSearch:
    """Beam search over a ReportDecoder, hypothesis by hypothesis."""

    def __init__(self, decoder: ReportDecoder, beam_width: int, max_length: int) -> None:
        self._decoder = decoder
        self._width = beam_width
        self._max_length = max_length

    def decode(self, features: Array) -> list[Words]:
        """Word ids of the best report of each row of `features` [N, F]. Raises DecodingError without any."""
        import paddle

        with paddle.no_grad():
            return [self._search(row[None]) for row in features]

    def _search(self, features: Array) -> Words:
        import paddle

        width = self._width
        state = self._decoder.initial_state(paddle.to_tensor(features))
        live = [_Hypothesis(np.float32(0), [], state)]
        finished: list[_Hypothesis] = []
        for _ in range(self._max_length):
            candidates: list[_Candidate] = []
            states = []
            for rank, hypothesis in enumerate(live):
                log_probs, state = self._step(hypothesis)
                states.append(state)
                candidates += self._best(hypothesis.log_prob + log_probs, rank)
            candidates.sort(key=lambda each: (-each.log_prob, each.rank, each.word))
            continued: list[_Hypothesis] = []
            for place, each in enumerate(candidates[: 2 * width]):
                words = live[each.rank].words
                if each.word == END and place < width:
                    finished.append(_Hypothesis(each.log_prob, words, None))
                elif each.word != END and len(continued) < width:
                    continued.append(_Hypothesis(each.log_prob, [*words, each.word], states[each.rank]))
            live = continued
        # The best, and of equal ones the first; those that never ended come after all that did.
        found = finished or live
        if not found:
            raise DecodingError("a search of the benchmark found no report; check the bundle's weights")
        return max(found, key=lambda each: each.log_prob).words

    def _step(self, hypothesis: _Hypothesis) -> tuple[Array, Any]:
        """Log-probabilities float32 [V] of the next word, and the state after this one."""
        import paddle

        word = hypothesis.words[-1] if hypothesis.words else START
        embedded = self._decoder.embedding(paddle.to_tensor([[word]]))  # [1, 1, E]
        # Paddle's own LSTM on a sequence of one word: on the benchmark model 3.0 ms a row, against 3.2 ms of
        # ReportDecoder.step. oneDNN (FLAGS_use_mkldnn) changed neither, nor the encoder.
        hidden, state = self._decoder.lstm(embedded, hypothesis.state)
        log_probs = paddle.nn.functional.log_softmax(self._decoder.output(hidden[:, 0]), axis=-1)
        return log_probs.numpy()[0], state

    def _best(self, log_probs: Array, rank: int) -> list[_Candidate]:
        """The best 2K words after a hypothesis; more of them can't be among the best 2K of all."""
        log_probs[[PAD, START, UNK]] = -np.inf
        count = min(2 * self._width, len(log_probs) - 1)
        words = np.argpartition(log_probs, -count)[-count:]
        return [
            _Candidate(log_probs[word], rank, word) for word in words.tolist() if log_probs[word] > -np.inf
        ]


def open_paddle_dynamic(workload: Workload, precision: str) -> PlainSystem:
    """The replaced program on the CPU, `precision` fp32.

    Raises InputError at another precision or device, MissingExtraError where Paddle isn't installed,
    BundleError where the bundle lacks weights.
    """
    require_peer(workload, precision)
    version = set_up_paddle("the peer paddle-dynamic", workload.threads)
    from cxrscribe_bench.systems.paddle_weights import decoder_of, encoder_of

    bundle, settings = Bundle.open(workload.bundle), workload.settings
    return PlainSystem(
        workload,
        bundle.manifest,
        DynamicEncoder(encoder_of(bundle)),
        NotebookSearch(decoder_of(bundle), settings.beam_width, settings.max_length),
        batch_size=1,
        readers=1,
        details={"version": version, "threads": str(workload.threads)},
        films_a_call=(1,),
    )
