"""The state of a training between two steps, on disk.

All randomness of a training follows from the seed and the place in the training (epoch, batch, film), so
that weights, optimizer and the place are the whole state: a resumed training gives the same bits as an
uninterrupted one.

    checkpoint/state.json                the place, the history and the name of the file with the tensors
    checkpoint/state-<step>.safetensors  weights, batch-norm statistics and the optimizer's accumulators

`state.json` is replaced last and in one piece: a training killed at any time leaves a whole checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import paddle
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.fitting.loss import TokenLoss
from cxrscribe_train.weights import fill, state_arrays

_PLACE_FILE: Final = "state.json"
_NETWORK: Final = "network/"
_OPTIMIZER: Final = "optimizer/"
_SCHEDULE: Final = "LR_Scheduler"


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch. Losses are mean cross-entropies a token (natural logarithm).

    `train_loss` is measured while training, with dropout, augmentation and label smoothing; `val_loss`
    without.

    Of a self-critical epoch, `train_reward` is the mean reward of the reports that were sampled, and
    `val_reward` that of the greedy reports of all validation films after it. None of another one.
    """

    epoch: int
    step: int
    train_loss: float
    val_loss: float
    learning_rate: float
    seconds: float
    train_reward: float | None = None
    val_reward: float | None = None

    def to_json(self) -> dict[str, float]:
        """The fields as JSON values; rewards only where there are some."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, fields: JsonObject) -> EpochRecord:
        """Read the fields of a record. Raises the document's error, which names the one that is wrong."""
        rewarded = "val_reward" in fields.names()
        return fields.make(
            cls,
            epoch=fields.integer("epoch"),
            step=fields.integer("step"),
            train_loss=fields.number("train_loss"),
            val_loss=fields.number("val_loss"),
            learning_rate=fields.number("learning_rate"),
            seconds=fields.number("seconds"),
            train_reward=fields.number("train_reward") if rewarded else None,
            val_reward=fields.number("val_reward") if rewarded else None,
        )


@dataclass(frozen=True)
class SelfCriticalStart:
    """Where self-critical training began: the first epoch and step, and the reward of what it began from."""

    epoch: int
    step: int
    val_reward: float


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands: `batch` batches of `epoch` (from 0) are done."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    train_loss: TokenLoss = field(default_factory=TokenLoss)
    history: tuple[EpochRecord, ...] = ()
    since: int = 0
    """The epoch from which on losses are measured as they are now: what was before isn't compared."""
    self_critical: SelfCriticalStart | None = None
    """None before the first self-critical epoch."""
    reward: float = 0.0
    """Sum of the rewards of the reports that were sampled in this epoch."""
    sampled: int = 0
    """How many they are."""

    @property
    def best(self) -> EpochRecord | None:
        """The finished epoch with the highest validation reward, of the self-critical ones.

        Without such epochs, or where none came above the reward of the weights that they began from, the one
        with the lowest validation loss, of the others since `since`. Of equals the first.
        """
        loss_counts = (record for record in self.history if record.val_reward is None)
        compared = (record for record in loss_counts if record.epoch >= self.since)
        by_loss = min(compared, key=lambda record: record.val_loss, default=None)
        rewarded = (record for record in self.history if record.val_reward is not None)
        by_reward = max(rewarded, key=lambda record: record.val_reward or 0.0, default=None)
        if by_reward is None or self.self_critical is None:
            return by_loss
        gained = (by_reward.val_reward or 0.0) > self.self_critical.val_reward
        return by_reward if gained or by_loss is None else by_loss

    @property
    def epochs_without_gain(self) -> int:
        """Finished epochs since the best one."""
        return 0 if self.best is None else self.history[-1].epoch - self.best.epoch


def save_checkpoint(
    directory: Path,
    state: TrainingState,
    network: paddle.nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    fingerprint: Mapping[str, str],
) -> None:
    """Write a checkpoint over the one before. The learning rate isn't in it: it follows from the step.

    `fingerprint` holds digests of what a resumed training must find unchanged, by name.
    """
    tensors = {_NETWORK + name: value for name, value in state_arrays(network).items()}
    accumulators = optimizer.state_dict()
    accumulators.pop(_SCHEDULE, None)
    for name, value in _by_structure(network, accumulators).items():
        tensors[_OPTIMIZER + name] = np.ascontiguousarray(value.numpy())
    tensor_file = f"state-{state.step}.safetensors"
    write_atomically(directory / tensor_file, safetensors.numpy.save(tensors))
    place = {
        "state": asdict(state),
        "tensors": tensor_file,
        "fingerprint": dict(fingerprint),
    }
    write_atomically(directory / _PLACE_FILE, json.dumps(place, indent=1).encode())
    for old in directory.glob("state-*.safetensors"):
        if old.name != tensor_file:
            old.unlink(missing_ok=True)


def has_checkpoint(directory: Path) -> bool:
    """Whether there is something to resume from."""
    return (directory / _PLACE_FILE).is_file()


def load_checkpoint(
    directory: Path,
    network: paddle.nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    fingerprint: Mapping[str, str],
) -> TrainingState:
    """Fill `network` and `optimizer` from a checkpoint and return the place it was taken at.

    Raises:
        InputError: there is none, it can't be read, or it was taken with another corpus, features or config.
    """
    path = directory / _PLACE_FILE
    try:
        place: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        tensors = safetensors.numpy.load_file(directory / place["tensors"])
        state = _state_from_json(place["state"])
    except FileNotFoundError as error:
        raise InputError(
            f"nothing to resume: {error.filename or path} is missing; leave --resume out"
        ) from None
    except (ValueError, KeyError, TypeError, OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{path} is damaged ({error}); start again without --resume in another folder"
        ) from error
    for name, digest in fingerprint.items():
        if place["fingerprint"].get(name) != digest:
            raise InputError(
                f"the checkpoint in {directory} was taken with another {name}, or by a version of cxrscribe "
                "that made it otherwise; give the one it was begun with, or start another run"
            )
    fill(network, _below(tensors, _NETWORK), str(directory / place["tensors"]))
    optimizer.set_state_dict(_by_parameter(network, _below(tensors, _OPTIMIZER)))
    return state


def _state_from_json(fields: dict[str, Any]) -> TrainingState:
    history = tuple(EpochRecord(**record) for record in fields.pop("history"))
    train_loss = TokenLoss(**fields.pop("train_loss"))
    start = fields.pop("self_critical", None)  # checkpoints of before have none
    self_critical = None if start is None else SelfCriticalStart(**start)
    return TrainingState(**fields, train_loss=train_loss, history=history, self_critical=self_critical)


def _below(tensors: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _by_structure(network: paddle.nn.Layer, accumulators: Mapping[str, Any]) -> dict[str, Any]:
    """Rename Paddle's accumulators from `conv2d_7.w_0_moment1_0` to `encoder...weight|moment1_0`.

    Those of parameters that learn no more are left out: a resumed optimizer doesn't make them.
    Paddle numbers parameters as it creates them, so that its own names hold for one process only.
    """
    names = {parameter.name: name for name, parameter in network.named_parameters()}
    still = {parameter.name for parameter in network.parameters() if parameter.stop_gradient}
    renamed = {}
    for key, value in accumulators.items():
        parameter = max((known for known in names if key.startswith(known + "_")), key=len)
        if parameter in still:
            continue
        renamed[f"{names[parameter]}|{key.removeprefix(parameter + '_')}"] = value
    return renamed


def _by_parameter(network: paddle.nn.Layer, accumulators: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `_by_structure`."""
    names = {name: parameter.name for name, parameter in network.named_parameters()}
    renamed = {}
    for key, value in accumulators.items():
        structure, _, accumulator = key.rpartition("|")
        renamed[f"{names[structure]}_{accumulator}"] = paddle.to_tensor(value)
    return renamed
