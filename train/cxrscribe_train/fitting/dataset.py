"""Reports as padded token arrays, and the batches that a training step takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import paddle
from numpy.typing import NDArray

from cxrscribe.cleaning import CLEANING, clean
from cxrscribe.errors import InputError
from cxrscribe.study import pooled
from cxrscribe.vocabulary import END, PAD, SENTENCE_END, START, Vocabulary
from cxrscribe_train.corpus.table import Corpus
from cxrscribe_train.fitting.augmentation import Augmentation
from cxrscribe_train.fitting.hints import read_hints
from cxrscribe_train.labeller import label_words

# Enough to find like lengths, few enough for batches to differ from epoch to epoch.
POOL_BATCHES: Final = 16


@dataclass(frozen=True)
class Examples:
    """Images of one split, each with the words of its report, what the radiologist was told, and its study.

    `without_image` and `without_findings` count the rows that were left out.
    """

    image_ids: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    without_image: int = 0
    without_findings: int = 0
    indications: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.image_ids)

    def keep(self, image_ids: Sequence[str]) -> Examples:
        """Only the examples with these images; the counts stay those of the rows."""
        kept = set(image_ids)
        chosen = [index for index, image_id in enumerate(self.image_ids) if image_id in kept]
        return Examples(
            tuple(self.image_ids[index] for index in chosen),
            tuple(self.words[index] for index in chosen),
            self.without_image,
            self.without_findings,
            tuple(self.indications[index] for index in chosen),
            tuple(self.studies[index] for index in chosen),
        )


def read_examples(corpus: Corpus, split: str, *, need_file: bool, cleaning: int = CLEANING) -> Examples:
    """The images of a split whose study has FINDINGS, cleaned.

    Args:
        corpus: the table.
        split: `train`, `val` or `test`.
        need_file: leave out images without a file.
        cleaning: version of the rules that make words of a text.

    Raises:
        InputError: nothing is left.
    """
    rows, words = [], []
    without_image = without_findings = 0
    for row in corpus.split(split):
        tokens = clean(row.findings, cleaning)
        if not row.image_id or (need_file and not row.image_path):
            without_image += 1
        elif not tokens:
            without_findings += 1
        else:
            rows.append(row)
            words.append(tuple(tokens))
    if not rows:
        raise InputError(
            f"the split {split!r} of {corpus.root} has no image with FINDINGS ({without_image} rows without "
            f"image, {without_findings} without FINDINGS); training needs a train and a val split: make the "
            "corpus again"
        )
    return Examples(
        tuple(row.image_id for row in rows),
        tuple(words),
        without_image,
        without_findings,
        tuple(row.indication for row in rows),
        tuple(row.study_id for row in rows),
    )


@dataclass(frozen=True)
class ReportTokens:
    """Reports as the decoder sees them.

    Attributes:
        inputs: int64 [N, T], `<start> w1 .. wn`, padded with `<pad>`.
        targets: int64 [N, T], `w1 .. wn <end>`, padded. A report that was cut has no `<end>`: the decoder
            should not learn to stop in the middle.
        lengths: int64 [N], real targets of each report.
        hints: uint8 [N, findings + V], the findings and words of each report.
        stating: bool [N, T], the targets in sentences that state a finding, their `.` included.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    hints: NDArray[np.uint8]
    stating: NDArray[np.bool_]

    @classmethod
    def of(cls, words: Sequence[Sequence[str]], vocabulary: Vocabulary, max_tokens: int) -> ReportTokens:
        """Encode and pad reports; words after the first `max_tokens` are cut off."""
        reports = []
        for report in words:
            ids = vocabulary.encode(report)
            reports.append(ids[:max_tokens] if len(ids) > max_tokens else [*ids, END])
        lengths = np.array([len(targets) for targets in reports], dtype=np.int64)
        targets = np.full((len(reports), int(lengths.max(initial=0))), PAD, dtype=np.int64)
        for row, ids in enumerate(reports):
            targets[row, : len(ids)] = ids
        inputs = inputs_of(targets)
        stating = np.zeros(targets.shape, np.bool_)
        for marks, report in zip(stating, words, strict=True):
            of_report = _stating(report)[: targets.shape[1]]
            marks[: len(of_report)] = of_report
        return cls(inputs, targets, lengths, read_hints(words, vocabulary), stating)

    def weights(
        self, rows: NDArray[np.int64], finding_weight: float, longest: int | None = None
    ) -> NDArray[np.float32]:
        """How often each target of these reports counts: float32 [n, longest], 0 for padding.

        1, and `finding_weight` in sentences that state a finding.
        """
        real = self.targets[rows, :longest] != PAD
        counted = np.where(self.stating[rows, :longest], np.float32(finding_weight), np.float32(1))
        weights: NDArray[np.float32] = np.where(real, counted, np.float32(0))
        return weights

    def counted(
        self, rows: NDArray[np.int64], finding_weight: float, longest: int | None = None
    ) -> paddle.Tensor | None:
        """`weights` as a loss takes them: None where each target counts once."""
        if finding_weight == 1.0:
            return None
        return paddle.to_tensor(self.weights(rows, finding_weight, longest))

    def count(self, rows: NDArray[np.int64], finding_weight: float) -> float:
        """The number of targets of these reports, weighted so."""
        if finding_weight == 1.0:
            return int(self.lengths[rows].sum())
        return float(self.weights(rows, finding_weight).sum())

    def digest(self) -> str:
        """sha256 of all targets: two trainings on the same reports share it."""
        return hashlib.sha256(self.targets.tobytes() + self.lengths.tobytes()).hexdigest()


def inputs_of(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """`<start> w1 .. wn` of `w1 .. wn <end>`, both padded: int64 [N, T]."""
    inputs = np.full_like(targets, PAD)
    inputs[:, :1] = START
    inputs[:, 1:] = np.where(targets[:, 1:] == PAD, PAD, targets[:, :-1])
    return inputs


def _stating(report: Sequence[str]) -> list[bool]:
    """Of each word, whether its sentence states a finding."""
    found: list[bool] = []
    sentence: list[str] = []
    for word in report:
        sentence.append(word)
        if word == SENTENCE_END:
            found += [bool(label_words(sentence))] * len(sentence)
            sentence = []
    return found + [bool(label_words(sentence))] * len(sentence)


class ReportDataset(paddle.io.Dataset):
    """Pairs of an encoder input (a film uint8 [H, W] or features float32 [F]) and its report's number.

    `epoch` chooses the augmentation: a film's change follows from the seed, the epoch and the film's number
    alone. `films_of` says of which films of `inputs` a report's features are pooled, given its number and the
    epoch; without it each report has the film of its number.
    """

    def __init__(
        self,
        inputs: NDArray[Any],
        reports: ReportTokens,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        films_of: Callable[[int, int], NDArray[np.int64]] | None = None,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.reports = reports
        self.epoch = 0
        self._augmentation = augmentation
        self._seed = seed
        self._films_of = films_of

    def __len__(self) -> int:
        return len(self.reports.lengths)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], int]:
        if self._films_of is not None:
            return pooled(self.inputs[self._films_of(index, self.epoch)]), index
        source = np.asarray(self.inputs[index])
        if self._augmentation is not None:
            source = self._augmentation(source, np.random.default_rng((self._seed, self.epoch, index)))
        return source, index

    def collate(self, items: Sequence[tuple[NDArray[Any], int]]) -> tuple[NDArray[Any], ...]:
        """One batch: encoder inputs [n, ...], tokens and targets int64 [n, t], hints uint8 [n, findings + V].

        t is the length of the longest report among them.
        """
        rows = np.array([row for _, row in items])
        longest = int(self.reports.lengths[rows].max())
        return (
            np.stack([source for source, _ in items]),
            self.reports.inputs[rows, :longest],
            self.reports.targets[rows, :longest],
            self.reports.hints[rows],
        )


class EpochSampler(paddle.io.BatchSampler):
    """Full batches of one epoch in a shuffled order that follows from seed and epoch; it can start anywhere.

    Reports of like lengths share a batch, so that an LSTM doesn't spend most of its steps on padding: the
    shuffled samples are sorted in pools of POOL_BATCHES batches. The samples left over after the last full
    batch wait for another epoch's order. Of each batch, a process yields its own share: every `processes`-th
    sample from the `rank`-th on.
    """

    def __init__(
        self, lengths: NDArray[np.int64], batch_size: int, seed: int, rank: int = 0, processes: int = 1
    ) -> None:
        self.batch_size = batch_size
        self._lengths = lengths
        self._seed = seed
        self._rank = rank
        self._processes = processes
        self.begin(epoch=0)

    def begin(self, epoch: int, batch: int = 0) -> None:
        """Choose the epoch, and the batch to start from."""
        self._start = batch
        generator = np.random.default_rng((self._seed, epoch))
        order = generator.permutation(len(self._lengths))[: len(self) * self.batch_size]
        pool = POOL_BATCHES * self.batch_size
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        ordered = [members[np.argsort(self._lengths[members], kind="stable")] for members in pools]
        batches = np.concatenate([order[:0], *ordered]).reshape(-1, self.batch_size)
        self._batches = generator.permutation(batches)  # [batches, batch_size]

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._lengths) // self.batch_size

    def whole_batch(self, batch: int) -> NDArray[np.int64]:
        """Sample numbers of one batch of the epoch, over all processes: int64 [batch_size]."""
        rows: NDArray[np.int64] = self._batches[batch]
        return rows

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self._start, len(self)):
            yield self.whole_batch(batch)[self._rank :: self._processes].tolist()
