from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import paddle
import pytest

from cxrscribe.errors import CxrscribeError
from cxrscribe_train.fitting.loss import summed_token_loss
from cxrscribe_train.fitting.parallel import Alone, Exchange, shared_exchange
from cxrscribe_train.fitting.step_vector import StepVector
from cxrscribe_train.training import train
from support.square_corpus import tiny_config

FILMS, WORDS, LENGTH = 8, 11, 5
FILMS_PREPARED = 12  # a training asks whether to stop after each of them, and then after each step


def send_sums(exchange: Exchange, rounds: int) -> None:
    """What a helper does in the tests of the exchange itself."""
    for turn in range(rounds):
        exchange.sum(np.full(3, exchange.rank * 10.0 + turn, np.float32))


def test_all_processes_are_summed_in_every_round() -> None:
    with shared_exchange(3, 5, send_sums, 4) as exchange:
        sums = [exchange.sum(np.full(3, float(turn), np.float32)).tolist() for turn in range(4)]
    assert sums == [[30.0 + 3 * turn] * 3 for turn in range(4)]


def fail_at_once(exchange: Exchange) -> None:
    raise RuntimeError(f"process {exchange.rank} fails on purpose")


def die_at_once(exchange: Exchange) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("work", [fail_at_once, die_at_once])
def test_a_helper_that_ends_stops_the_training(work: object, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CxrscribeError, match="--resume"), shared_exchange(2, 3, work) as exchange:  # type: ignore[arg-type]
        exchange.sum(np.zeros(3, np.float32))
    assert ("on purpose" in capfd.readouterr().err) == (work is fail_at_once)


def meet_once_then_wait(exchange: Exchange) -> None:
    exchange.sum(np.array([os.getpid()], np.float32))
    exchange.sum(np.zeros(1, np.float32))


def lead_and_be_killed(pids: Queue[int]) -> None:
    with shared_exchange(2, 1, meet_once_then_wait) as exchange:
        pids.put(int(exchange.sum(np.zeros(1, np.float32))[0]))
        pids.close()
        pids.join_thread()
        os.kill(os.getpid(), signal.SIGKILL)


def test_helpers_end_when_the_first_process_is_killed() -> None:
    context = multiprocessing.get_context("spawn")
    pids: Queue[int] = context.Queue()
    leader = context.Process(target=lead_and_be_killed, args=(pids,))
    leader.start()
    helper = pids.get(timeout=60)
    leader.join()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{helper}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{helper}").exists()


class Words(paddle.nn.Layer):
    """A decoder's shape without its recurrence: features and tokens -> logits."""

    def __init__(self) -> None:
        super().__init__()
        paddle.seed(0)
        self.embedding = paddle.nn.Embedding(WORDS, 6)
        self.output = paddle.nn.Linear(6, WORDS)

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        return self.output(paddle.tanh(self.embedding(tokens)))


def tokens_and_targets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    targets = rng.integers(4, WORDS, (FILMS, LENGTH))
    targets[::3, 2:] = 0  # reports of different lengths
    return rng.integers(0, WORDS, (FILMS, LENGTH)), targets


def exchanged_gradients(exchange: Exchange) -> tuple[list[np.ndarray], float]:
    """Gradients of this process's share of the batch after the exchange, and the summed loss."""
    network = Words()
    tokens, targets = (
        paddle.to_tensor(array[exchange.rank :: exchange.processes]) for array in tokens_and_targets()
    )
    loss = summed_token_loss(network(tokens), targets)
    (loss / int((tokens_and_targets()[1] != 0).sum())).backward()
    (total,) = StepVector(network, numbers=1).exchange_step(exchange, float(loss))
    return [parameter.grad.numpy() for parameter in network.parameters()], float(total)


def test_two_halves_of_a_batch_give_the_gradients_of_the_whole() -> None:
    capacity = len(StepVector(Words(), numbers=1))
    whole, whole_loss = exchanged_gradients(Alone())
    with shared_exchange(2, capacity, exchanged_gradients) as exchange:
        halves, halves_loss = exchanged_gradients(exchange)
    for one, two in zip(whole, halves, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    assert np.abs(whole[0]).max() > 1e-3
    assert halves_loss == pytest.approx(whole_loss, rel=1e-6)


def normalized(exchange: Exchange) -> list[np.ndarray]:
    """Batch-norm statistics after one exchanged step on this process's films."""
    network = paddle.nn.BatchNorm1D(2)
    loss = network(
        paddle.to_tensor(np.random.default_rng(exchange.rank).normal(size=(6, 2)), "float32")
    ).sum()
    loss.backward()
    StepVector(network, numbers=0).exchange_step(exchange)
    return [network._mean.numpy(), network._variance.numpy()]


def test_batch_norm_statistics_are_averaged() -> None:
    class Second(Alone):
        rank = 1

    alone = [normalized(Alone()), normalized(Second())]
    with shared_exchange(2, 8, normalized) as exchange:
        together = normalized(exchange)
    for shared, first, second in zip(together, *alone, strict=True):
        np.testing.assert_allclose(shared, (first + second) / 2, rtol=1e-6)


@pytest.mark.slow
def test_two_processes_train_the_same_way_twice_and_resume_exactly(squares: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "epochs", 3), ("fit", "processes", 2), ("network", "dropout", 0.3))
    for name in ("straight", "again"):
        assert train(squares, tmp_path / name, config).finished
    calls = iter(range(-FILMS_PREPARED, 10))
    assert not train(squares, tmp_path / "resumed", config, stop=lambda: next(calls) == 2).finished
    assert train(squares, tmp_path / "resumed", config, resume=True).finished
    for file in ("encoder.safetensors", "decoder.safetensors"):
        contents = {(tmp_path / name / file).read_bytes() for name in ("straight", "again", "resumed")}
        assert len(contents) == 1
