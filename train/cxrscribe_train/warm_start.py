"""The start of a training from another run: what is taken of it, by name, and what begins anew.

init.json   in the run folder of a training that began so
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.files import sha256_of
from cxrscribe.errors import InputError
from cxrscribe.json_object import read_json_object
from cxrscribe.vocabulary import SPECIAL_TOKENS, Vocabulary
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.context.known import Known
from cxrscribe_train.fitting.network import ReportNetwork
from cxrscribe_train.run import DECODER_FILE, Run
from cxrscribe_train.weights import fill, state_arrays

INIT_FILE: Final = "init.json"
# The decoder's weights that have a part for each word, and the axis along which these lie.
_WORD_AXIS: Final = {"embedding.weight": 0, "output.weight": 1, "output.bias": 0}
# Its weights that mean nothing for the features of another encoder.
_OF_FEATURES: Final = "image_projection."
# Its weights that mean nothing for another patient's text, whose numbers are fitted to the corpus.
_OF_CONTEXT: Final = "context."
_ENCODER: Final = "encoder"


@dataclass(frozen=True)
class WarmStart:
    """What a training took of the run that it began from.

    `taken` are names of weights as a whole, `taken_by_word` those of which the parts of shared words were,
    and `anew` says of all others why not. The encoder counts as one, called `encoder`, where it is trained.
    The heads that only teach are not kept by a run, and always begin anew.
    """

    run: str
    decoder_sha256: str
    encoder_sha256: str
    shared_words: int
    """Words that both runs know, special tokens not counted."""
    new_words: tuple[str, ...]
    dropped_words: tuple[str, ...]
    """Words of the other run that the corpus doesn't have."""
    taken: tuple[str, ...]
    taken_by_word: tuple[str, ...]
    anew: Mapping[str, str]
    seen_validation_studies: int
    """Validation studies that the other run was trained on: their loss flatters."""

    @property
    def encoder_weights(self) -> str | None:
        """Where the trained backbone began, for the run's record; None where not in the other run."""
        return f"run:{self.encoder_sha256}" if _ENCODER in self.taken else None

    def lines(self) -> list[str]:
        """What happened, for people."""
        words = (
            f"{self.shared_words} words kept, {len(self.new_words)} new, {len(self.dropped_words)} dropped"
        )
        lines = [
            f"begun from {self.run}: {words}",
            f"  taken: {', '.join(self.taken) or 'no weight as a whole'}",
        ]
        if self.taken_by_word:
            lines.append(f"  taken for the words kept: {', '.join(self.taken_by_word)}")
        lines += [f"  begun anew: {name} ({reason})" for name, reason in self.anew.items()]
        if self.seen_validation_studies:
            lines.append(
                f"  {self.seen_validation_studies} validation studies are among those that {self.run} was "
                "trained on: the validation loss flatters, and no film of theirs is held out"
            )
        return lines

    def check_whole(self) -> None:
        """Raise InputError unless all weights were taken, and all words known."""
        begun_anew = [f"{name} ({reason})" for name, reason in self.anew.items()]
        if self.new_words:
            begun_anew.append(f"{len(self.new_words)} words that the run doesn't know")
        if begun_anew:
            raise InputError(
                f"with epochs = 0 a training goes on with all weights of {self.run}, but begun anew were: "
                f"{'; '.join(begun_anew)}. Give that run's corpus and features, and its config.toml as "
                "--config, or some epochs"
            )

    def write(self, folder: Path) -> None:
        """Write `init.json`."""
        write_atomically(folder / INIT_FILE, json.dumps(asdict(self), indent=1).encode() + b"\n")

    @classmethod
    def read(cls, folder: Path) -> WarmStart:
        """Read what `write` wrote. Raises InputError when it is missing or damaged."""
        record = read_json_object(folder / INIT_FILE, place=str(folder / INIT_FILE))
        anew = record.object("anew")
        return record.make(
            cls,
            run=record.text("run"),
            decoder_sha256=record.text("decoder_sha256"),
            encoder_sha256=record.text("encoder_sha256"),
            shared_words=record.integer("shared_words"),
            new_words=record.texts("new_words"),
            dropped_words=record.texts("dropped_words"),
            taken=record.texts("taken"),
            taken_by_word=record.texts("taken_by_word"),
            anew={name: anew.text(name) for name in anew.names()},
            seen_validation_studies=record.integer("seen_validation_studies"),
        )


def begin_from(
    run: Run,
    network: ReportNetwork,
    vocabulary: Vocabulary,
    *,
    other_encoder: str | None,
    validation_studies: Sequence[str] = (),
    known: Known | None = None,
) -> WarmStart:
    """Fill a new network with what it has in common with a run.

    Args:
        run: the one to begin from; its vocabulary may be another one.
        network: with weights of its own; where its encoder is trained, that is filled too.
        vocabulary: of `network`.
        other_encoder: why the run's encoder isn't this training's; None where it is. Then image projection
            and encoder are taken.
        validation_studies: ids of the studies that the training is validated on.
        known: what a context of `network` is told; the run's is taken where its numbers mean the same.

    Raises:
        InputError: a file of the run is damaged.
    """
    theirs, own = state_arrays(run.decoder()), state_arrays(network.decoder)
    ours_of = _shared_ids(run.vocabulary, vocabulary)
    other_numbers = _other_numbers(run, known, theirs)
    filled = dict(own)
    taken, by_word, anew = [], [], {}
    for name, value in own.items():
        reason = _why_not(name, value, theirs, other_encoder, other_numbers)
        if reason is not None:
            anew[name] = reason
        elif name in _WORD_AXIS:
            filled[name] = _with_rows(value, theirs[name], ours_of, _WORD_AXIS[name])
            by_word.append(name)
        else:
            filled[name] = theirs[name]
            taken.append(name)
    fill(network.decoder, filled, str(run.path / DECODER_FILE))
    if network.encoder is not None:
        if other_encoder is None:
            fill(network.encoder.backbone, state_arrays(run.encoder().backbone), str(run.path))
            taken.append(_ENCODER)
        else:
            anew[_ENCODER] = other_encoder
    seen = run.training_studies()
    return WarmStart(
        run=str(run.path),
        decoder_sha256=sha256_of(run.path / DECODER_FILE),
        encoder_sha256=run.weights_sha256,
        shared_words=len(ours_of) - len(SPECIAL_TOKENS),
        new_words=_without(vocabulary, run.vocabulary),
        dropped_words=_without(run.vocabulary, vocabulary),
        taken=tuple(taken),
        taken_by_word=tuple(by_word),
        anew=anew,
        seen_validation_studies=sum(study in seen for study in validation_studies),
    )


def open_origin(path: Path, out: Path) -> Run:
    """The run to begin from. Raises InputError when it is none, or the folder that is to be written."""
    if path.resolve() == out.resolve():
        raise InputError(f"--init {path} is the folder that --out names; give another --out, or --resume it")
    try:
        return Run.open(path)
    except InputError as error:
        raise InputError(f"--init: {error}") from error


def _why_not(
    name: str,
    own: NDArray[Any],
    theirs: Mapping[str, NDArray[Any]],
    other_encoder: str | None,
    other_numbers: str | None,
) -> str | None:
    """Why a weight can't be taken; None where it can, as a whole or for the words that are shared."""
    if name not in theirs:
        return "the run has no such weight"
    if name.startswith(_OF_CONTEXT) and other_numbers is not None:
        return other_numbers
    if name.startswith((_OF_FEATURES, _OF_CONTEXT)) and other_encoder is not None:
        return other_encoder
    shapes = [list(theirs[name].shape), list(own.shape)]
    if name in _WORD_AXIS:
        for shape in shapes:
            shape[_WORD_AXIS[name]] = -1  # the number of words may differ
    if shapes[0] != shapes[1]:
        return f"its shape is {list(theirs[name].shape)} in the run and {list(own.shape)} here"
    return None


def _other_numbers(run: Run, known: Known | None, theirs: Mapping[str, NDArray[Any]]) -> str | None:
    """Why the numbers that a context is told mean something else than in the run; None where the same."""
    text = run.patient_text()
    if known is None or text is None or text.to_bytes() != known.text.to_bytes():
        return "the numbers of the patient's text are fitted to each corpus"
    if known.tags is None:
        return None
    fitted = {"context.tags.weight": known.tags.weight, "context.tags.bias": known.tags.bias}
    same = all(np.array_equal(theirs.get(name, ()), value) for name, value in fitted.items())
    return None if same else "tags are fitted to each corpus"


def _with_rows(
    own: NDArray[Any], theirs: NDArray[Any], ours_of: Mapping[int, int], axis: int
) -> NDArray[Any]:
    """`own` with the parts of shared words out of `theirs`; `ours_of`: our id by theirs."""
    merged = np.moveaxis(own.copy(), axis, 0)
    merged[list(ours_of.values())] = np.moveaxis(theirs, axis, 0)[list(ours_of)]
    return np.ascontiguousarray(np.moveaxis(merged, 0, axis))


def _shared_ids(theirs: Vocabulary, ours: Vocabulary) -> dict[int, int]:
    """Our id of each word that both have, special tokens included, by theirs."""
    ids = {word: number for number, word in enumerate(ours.words)}
    return {number: ids[word] for number, word in enumerate(theirs.words) if word in ids}


def _without(first: Vocabulary, second: Vocabulary) -> tuple[str, ...]:
    """The words of `first` that `second` doesn't have, in the order of their ids."""
    known = frozenset(second.words)
    return tuple(word for word in first.words if word not in known)
