"""The fused decoder of a bundle: `beam_init.onnx` and `beam_step.onnx` on a state cache.

The LSTM state of a batch of searches is one matrix, one row a hypothesis, in two buffers used in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, decoder_interfaces
from cxrscribe.networks.start import start_inputs
from cxrscribe.search.expander import Candidates, Frontier
from cxrscribe.search.step import StepModel
from cxrscribe.sessions.binding import Binding, Block, HostBlock, empty_block
from cxrscribe.sessions.device import Memory
from cxrscribe.sessions.session import Session
from cxrscribe.vocabulary import START

_ROWS_SPARE: Final = 8
_NUMBER_BYTES: Final = 4
_BOUND_KEPT: Final = 128


class FusedDecoder:
    """The two graphs. Safe to use from several threads, each with expanders of its own."""

    def __init__(
        self,
        init: Session,
        step: Session,
        architecture: Architecture,
        canonical: Callable[[], StepModel],
    ) -> None:
        """`canonical`: opens the canonical step of the same bundle; called once somebody needs it.

        Raises BundleError when the graphs aren't these two, or not of this architecture.
        """
        interfaces = decoder_interfaces(architecture)
        init.expect(interfaces[BEAM_INIT])
        step.expect(interfaces[BEAM_STEP])
        self.width = architecture.state_size
        self.feature_size = architecture.feature_size
        self.init = init
        self.step = step
        self.memory = step.device.memory
        """Where the state lives."""
        self._canonical = canonical
        self._opened: StepModel | None = None
        self._opening = Lock()

    def step_model(self) -> StepModel:
        """The canonical step: the fused one tells the best words, and samples need all of them.

        Raises BundleError and DeviceError as `load` does.
        """
        with self._opening:
            if self._opened is None:
                self._opened = self._canonical()
            return self._opened

    def expander(self, padded_images: int) -> FusedExpander:
        """A new state cache. `padded_images`: always compute the rows of so many images, used or not."""
        return FusedExpander(self, padded_images, on_device=self.memory is not Memory.CPU)


class FusedExpander:
    """The Expander of the fused step, on a state cache of its own.

    Initial states of images that wait are held in the host's memory; where the state lives elsewhere, their
    features are, and the states are computed in place when they enter.
    """

    def __init__(self, decoder: FusedDecoder, padded_images: int, *, on_device: bool) -> None:
        """`on_device`: whether the state lives out of this process' reach."""
        self._decoder = decoder
        self._on_device = on_device
        self._padded_images = padded_images
        self._cache = StateCache(decoder.width, decoder.memory, on_device)
        self._waiting = np.zeros((0, 0), np.float32)  # [n, width], or what they start from, [n, F or F + P]
        self._steps: dict[tuple[int, int], _BoundStep] = {}  # by turn of the cache, and images
        self._bound: list[_BoundStep | None] = [None, None]  # by turn: the last one
        self._numbers, self._index = np.zeros(0, np.float32), np.zeros(0, np.int64)  # of all candidates
        self.rows = 0
        self.seconds = 0.0

    def enqueue(self, features: NDArray[np.float32]) -> None:
        rows = features if self._on_device else self._initial_rows(features)
        self._waiting = np.concatenate((self._waiting, rows)) if len(self._waiting) else rows

    def admit(self, count: int) -> None:
        entering, self._waiting = self._waiting[:count], self._waiting[count:]
        self._reserve(self._cache.held + count)
        if self._on_device:
            self._compute_in_place(entering)
        else:
            self._cache.admit(entering)

    def expand(self, frontier: Frontier) -> Candidates:
        """The 2K best continuations of each image. The next call writes to the same arrays."""
        cache = self._cache
        step = self._bound[cache.turn]
        # While a frontier is the same object its arrays are, and so the step is bound already.
        if step is None or step.frontier is not frontier:
            step = self._bound_to(frontier)
        self.seconds += step.run()
        self.rows = step.rows
        cache.swap(step.rows_used)
        return step.candidates

    def clear(self) -> None:
        self._cache.clear()
        self._waiting = self._waiting[:0]

    def _bound_to(self, frontier: Frontier) -> _BoundStep:
        """A step bound to this frontier, for the present turn of the cache."""
        images, places = frontier.score.shape
        images = max(images, self._padded_images)
        self._reserve(images * places)
        turn = self._cache.turn
        step = self._steps.get((turn, images))
        if step is None or step.places != places:
            step = self._steps[turn, images] = self._new_step(images, places)
        if step.frontier is not frontier:
            step.bind(frontier)
        self._bound[turn] = step
        return step

    def _new_step(self, images: int, places: int) -> _BoundStep:
        """A step for so many images. Old ones are kept: a batch that runs empty, or the next one, comes back
        to the same sizes, and to bind anew takes as long as the rows of an image.
        """
        if len(self._steps) >= _BOUND_KEPT:
            self._forget_steps()
        count = images * 2 * places
        if count > len(self._index):
            self._forget_steps()  # they write to the old ones
            self._numbers, self._index = np.zeros(2 * count, np.float32), np.zeros(count, np.int64)
        found = Candidates.shaped(self._numbers, self._index, images, 2 * places)
        return _BoundStep(self._decoder.step, self._cache, found)

    def _initial_rows(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """States [n, width] of these images; always so many at a time, where rows are padded."""
        size = self._padded_images or len(features)
        parts = []
        for start in range(0, len(features), size):
            part = features[start : start + size]
            padded = np.concatenate((part, np.zeros((size - len(part), part.shape[1]), np.float32)))
            started = perf_counter()
            (rows,) = self._decoder.init.run(("state",), start_inputs(padded, self._decoder.feature_size))
            self.seconds += perf_counter() - started
            parts.append(rows[: len(part)])
        return np.concatenate(parts)

    def _compute_in_place(self, features: NDArray[np.float32]) -> None:
        """As `_initial_rows`, right into the cache."""
        size = self._padded_images or len(features)
        self._reserve(self._cache.held + len(features) + size)
        for start in range(0, len(features), size):
            part = features[start : start + size]
            padded = np.concatenate((part, np.zeros((size - len(part), part.shape[1]), np.float32)))
            binding = Binding(self._decoder.init, self._cache.memory, on_device=True)
            for name, rows in start_inputs(padded, self._decoder.feature_size).items():
                binding.read(name, rows)
            binding.write_rows("state", self._cache.behind, (size, self._cache.width))
            started = perf_counter()
            binding.run()
            self.seconds += perf_counter() - started
            self._cache.held += len(part)

    def _reserve(self, rows: int) -> None:
        if rows > self._cache.capacity:
            # Rows for as many images as just came enter at each step: leave room.
            self._cache.reserve(rows + rows // 4 + _ROWS_SPARE)
            self._forget_steps()

    def _forget_steps(self) -> None:
        self._steps.clear()
        self._bound = [None, None]


class StateCache:
    """Rows to read, and room for the rows that the next step makes of them.

    A step reads from one buffer and writes to the other: admission, reordering and eviction are the gather
    by which it reads. New images' rows come behind those of the last step. The buffers grow with the largest
    batch and stay for the next one.
    """

    def __init__(self, width: int, memory: Memory, on_device: bool) -> None:
        """`width`: numbers in a row, as `Architecture.state_size` has it; `memory`: where the network has its
        tensors; `on_device`: whether onnxruntime allocates them, out of this process' reach.
        """
        self.width = width
        self.memory = memory
        self.on_device = on_device
        self.capacity = 0
        """Rows that each buffer has room for."""
        self.held = 0
        """Rows of the last step, and of images admitted since."""
        self.turn = 0
        """Which of the two buffers holds them."""
        self._buffers: list[Block] = [empty_block(width, memory, on_device) for _ in range(2)]

    def reserve(self, rows: int) -> None:
        """Make room for this many rows; what is held stays."""
        if rows > self.capacity:
            self._buffers = [buffer.grown(rows) for buffer in self._buffers]
            self.capacity = rows

    def admit(self, rows: NDArray[np.float32]) -> None:
        """Put new images' states [n, width] behind what is held; for a cache that is not `on_device`."""
        buffer = self._buffers[self.turn]
        assert isinstance(buffer, HostBlock)
        buffer.array[self.held : self.held + len(rows)] = rows
        self.held += len(rows)

    @property
    def readable(self) -> int:
        """Address of the buffer to read, [capacity, width]."""
        return self._buffers[self.turn].address

    @property
    def writable(self) -> int:
        """Address of the buffer that the next step writes its rows to."""
        return self._buffers[1 - self.turn].address

    @property
    def behind(self) -> int:
        """Address of the first row behind what is held."""
        return self.readable + self.held * self.width * _NUMBER_BYTES

    def swap(self, rows: int) -> None:
        """Hold the rows that a step has written."""
        self.turn = 1 - self.turn
        self.held = rows

    def clear(self) -> None:
        """Hold nothing; the buffers stay, and are used in the same turn as the first time."""
        self.held = self.turn = 0


class _BoundStep:
    """The step for one number of images on one turn of the cache, bound to the arrays of a frontier."""

    def __init__(self, step: Session, cache: StateCache, found: Candidates) -> None:
        """`found`: arrays to write to, [images, 2K]."""
        self._found = found
        self._images, self.places = len(found.score), found.score.shape[1] // 2
        self._binding = Binding(step, cache.memory, cache.on_device)
        self._binding.read_rows("state", cache.readable, (cache.capacity, cache.width))
        self._binding.read("beam_width", np.array(self.places, np.int64))
        self._binding.write("candidate_score", found.score)
        self._binding.write("candidate_index", found.index)
        self._binding.write("candidate_log_prob", found.token_log_prob)
        self._binding.write_rows("state_out", cache.writable, (self._images * self.places, cache.width))
        self.frontier: Frontier | None = None
        """The one that it is bound to."""
        self._bound: Frontier | None = None  # the same, or padded
        self.candidates = found
        """Of the frontier's images, as of the last run."""
        self.rows = self._images * self.places
        """That a run computes."""
        self.rows_used = self.rows
        """Those of the frontier."""

    def bind(self, frontier: Frontier) -> None:
        """Read from this frontier from now on."""
        used = len(frontier.score)
        before, bound = self._bound, frontier
        if used < self._images:
            bound = _padded(frontier, self._images, before if before is not self.frontier else None)
        if before is None or bound.score is not before.score:
            self._binding.read("token", bound.token)
            self._binding.read("parent", bound.parent)
            self._binding.read("score", bound.score.reshape(-1, 1))
        if before is None or bound.bias is not before.bias:
            self._binding.read("bias", bound.bias)
        if len(self.candidates.score) != used:
            self.candidates = self._found.first(used)
        self.rows_used = used * self.places
        self.frontier, self._bound = frontier, bound

    def run(self) -> float:
        """Compute `candidates`; gives the seconds that the network took."""
        if self._bound is not self.frontier:
            assert self._bound is not None
            assert self.frontier is not None
            _fill(self._bound, self.frontier)
        started = perf_counter()
        self._binding.run()
        return perf_counter() - started


def _padded(frontier: Frontier, images: int, before: Frontier | None) -> Frontier:
    """Arrays for so many images, the unused ones with rows that no search has; those of `before`, if any."""
    places, words = frontier.score.shape[1], frontier.bias.shape[1]
    rows = images * places
    bias = frontier.bias if len(frontier.bias) == 1 else np.zeros((rows, words), np.float32)
    if before is None:
        return Frontier(
            np.full(rows, START, np.int64),
            np.zeros(rows, np.int64),
            np.full((images, places), -np.inf, np.float32),
            bias,
        )
    before.token[:], before.parent[:], before.score[:] = START, 0, -np.inf
    return Frontier(before.token, before.parent, before.score, bias)


def _fill(padded: Frontier, frontier: Frontier) -> None:
    """Copy a frontier into larger arrays."""
    padded.token[: len(frontier.token)] = frontier.token
    padded.parent[: len(frontier.parent)] = frontier.parent
    padded.score[: len(frontier.score)] = frontier.score
    if padded.bias is not frontier.bias:
        padded.bias[: len(frontier.bias)] = frontier.bias
