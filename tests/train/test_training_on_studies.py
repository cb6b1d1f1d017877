"""Training on several views of a study: resumed to the bit, and in any number of processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.study import pooled
from cxrscribe_export.label import provenance_of
from cxrscribe_models import ReportDecoder
from cxrscribe_train.corpus.table import read_reports, write_reports
from cxrscribe_train.feature_file import FeatureFile
from cxrscribe_train.features import Extraction, extract_features, films_of
from cxrscribe_train.fitting.config import TrainingConfig
from cxrscribe_train.fitting.consensus import in_description
from cxrscribe_train.fitting.self_critical import Seen, SelfCritical
from cxrscribe_train.fitting.views import StudyViews
from cxrscribe_train.run import Run, read_config
from cxrscribe_train.training import train
from cxrscribe_train.weights import WeightsSource
from support.square_corpus import tiny_config, write_squares

REWARDED = (
    ("fit", "epochs", 1),
    ("self_critical", "self_critical_epochs", 2),
    ("self_critical", "samples", 2),
    ("self_critical", "self_critical_rate", 2e-3),
)
TOLD = ("Cough on the left.", "Fever, chest pain", "", "Large mass suspected.")


def by_study(*changes: tuple[str, str, object]) -> TrainingConfig:
    return tiny_config(("fit", "views", "all"), ("fit", "epochs", 3), *changes, end_to_end=False)


def encoded(corpus: Path, path: Path) -> Path:
    weights = WeightsSource.parse("random:0")
    extraction = Extraction("mobilenet_v1", {"scale": 0.125}, weights, Preprocessing(32, 32))
    extract_features(films_of(read_reports(corpus)), extraction, path)
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_squares(tmp_path / "corpus", train=48, val=8, test=8, indications=TOLD, views=(2, 1, 3))


@pytest.fixture
def features(corpus: Path, tmp_path: Path) -> Path:
    return encoded(corpus, tmp_path / "f.h5")


def files(run: Path) -> dict[str, bytes]:
    (state,) = (run / "checkpoint").glob("state-*.safetensors")
    return {"decoder": (run / "decoder.safetensors").read_bytes(), "state": state.read_bytes()}


@pytest.mark.parametrize("steps", [12, 17], ids=["at an epoch's end", "inside an epoch"])
@pytest.mark.parametrize("context", ["none", "patient+tags"])
def test_a_resumed_training_equals_a_straight_one_to_the_bit(
    corpus: Path, features: Path, tmp_path: Path, steps: int, context: str
) -> None:
    config = by_study(("context", "context", context), ("network", "dropout", 0.3))
    assert train(corpus, tmp_path / "straight", config, features).finished
    asked = iter(range(1, 1000))
    stopped = train(corpus, tmp_path / "resumed", config, features, stop=lambda: next(asked) >= steps)
    assert not stopped.finished
    assert read_config(tmp_path / "resumed") == config
    assert train(corpus, tmp_path / "resumed", config, features, resume=True).finished
    assert files(tmp_path / "straight") == files(tmp_path / "resumed")


@pytest.mark.parametrize("steps", [12, 17], ids=["before rewards", "inside their epoch"])
def test_so_does_one_on_rewards_with_consensus_targets(
    corpus: Path, features: Path, tmp_path: Path, steps: int
) -> None:
    taught = ("context", "context", "patient+tags"), ("text", "targets", "consensus")
    config = by_study(*REWARDED, *taught)
    assert train(corpus, tmp_path / "straight", config, features).finished
    asked = iter(range(1, 1000))
    stopped = train(corpus, tmp_path / "resumed", config, features, stop=lambda: next(asked) >= steps)
    assert (stopped.finished, stopped.epochs) == (False, 1)
    assert train(corpus, tmp_path / "resumed", config, features, resume=True).finished
    assert files(tmp_path / "straight") == files(tmp_path / "resumed")


def test_reports_are_sampled_from_pooled_features_and_rewarded_by_study(
    corpus: Path, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled: list[tuple[np.ndarray, list[int]]] = []
    greedy: list[tuple[np.ndarray, list[int]]] = []
    loss, validation_reward = SelfCritical.loss, SelfCritical.validation_reward

    def watched_loss(
        self: SelfCritical, decoder: ReportDecoder, seen: Seen, batch: np.ndarray, share: slice, step: int
    ) -> tuple[object, float]:
        sampled.append((seen.features.numpy(), batch.tolist()))
        return loss(self, decoder, seen, batch, share, step)

    def watched_reward(self: SelfCritical, decoder: ReportDecoder, seen: Seen, films: Sequence[int]) -> float:
        greedy.append((seen.features.numpy(), list(films)))
        return validation_reward(self, decoder, seen, films)

    monkeypatch.setattr(SelfCritical, "loss", watched_loss)
    monkeypatch.setattr(SelfCritical, "validation_reward", watched_reward)
    one_more = ("self_critical", "self_critical_epochs", 1)
    train(corpus, tmp_path / "run", by_study(*REWARDED, one_more), features)
    rows = read_reports(corpus)
    encoded_films = FeatureFile.open(features)
    of_image = dict(zip(encoded_films.image_ids, encoded_films.features, strict=True))
    for split, steps, drawn in (("train", sampled, True), ("val", greedy, False)):
        films = rows.split(split)
        views = StudyViews.of([row.study_id for row in films])
        encoded = np.stack([of_image[row.image_id] for row in films])
        assert {study for _, studies in steps for study in studies} == set(range(len(views.films)))
        for seen, studies in steps:
            for features_seen, study in zip(seen, studies, strict=True):
                chosen = views.drawn(study, 0, 1) if drawn else views.films[study]
                np.testing.assert_array_equal(features_seen, pooled(encoded[chosen]))


def test_consensus_targets_count_films_and_are_the_last_that_a_bundle_says(
    corpus: Path, features: Path, tmp_path: Path
) -> None:
    consensus = ("text", "targets", "consensus"), ("fit", "epochs", 1)
    train(corpus, tmp_path / "one", tiny_config(*consensus, end_to_end=False), features)
    train(corpus, tmp_path / "all", by_study(*consensus), features)
    one, every = Run.open(tmp_path / "one"), Run.open(tmp_path / "all")
    assert one.targets == every.targets is not None
    assert every.targets.films == 48 * 2
    description = provenance_of(every).description
    assert "Trained on several views" in description
    assert in_description(description) == str(every.targets)


def test_an_example_is_a_study_and_other_films_are_drawn_in_each_epoch(
    corpus: Path, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxrscribe_train.fitting import fit

    seen: dict[int, list[bytes]] = {}
    dataset = fit.ReportDataset

    class Watched(dataset):  # type: ignore[misc, valid-type]
        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            source, number = super().__getitem__(index)
            if self._films_of is not None:
                seen.setdefault(index, []).append(source.tobytes())
            return source, number

    monkeypatch.setattr(fit, "ReportDataset", Watched)
    train(corpus, tmp_path / "run", by_study(), features)
    assert set(seen) == set(range(48))
    assert all(len(rows) == 3 for rows in seen.values())
    several = [len(set(rows)) > 1 for study, rows in seen.items() if study % 3 != 1]
    assert sum(several) > len(several) / 2
    assert all(len(set(rows)) == 1 for study, rows in seen.items() if study % 3 == 1)  # of one film


def test_a_corpus_of_single_films_trains_as_one_film_an_example_does(tmp_path: Path) -> None:
    corpus = write_squares(tmp_path / "corpus", train=24)
    features = encoded(corpus, tmp_path / "f.h5")
    one = tiny_config(("fit", "epochs", 2), end_to_end=False)
    train(corpus, tmp_path / "one", one, features)
    train(
        corpus,
        tmp_path / "all",
        tiny_config(("fit", "epochs", 2), ("fit", "views", "all"), end_to_end=False),
        features,
    )
    assert files(tmp_path / "one")["decoder"] == files(tmp_path / "all")["decoder"]


@pytest.mark.parametrize("rewarded", [(), REWARDED], ids=["cross-entropy", "rewards"])
def test_two_processes_draw_the_films_that_one_does(
    corpus: Path, features: Path, tmp_path: Path, rewarded: tuple[tuple[str, str, object], ...]
) -> None:
    """Without dropout of units two processes do what one does, up to the order of sums."""
    calm = ("network", "dropout", 0.0), ("context", "context", "patient+tags"), *rewarded
    losses = [
        train(corpus, tmp_path / f"{n}", by_study(*calm, ("fit", "processes", n)), features).best
        for n in (1, 2)
    ]
    assert losses[0] is not None
    assert losses[1] is not None
    assert losses[0].train_loss == pytest.approx(losses[1].train_loss, rel=1e-4)
    assert losses[0].val_loss == pytest.approx(losses[1].val_loss, rel=1e-4)
    assert [best.val_reward is not None for best in losses if best] == [bool(rewarded)] * 2
    if rewarded:
        assert losses[0].val_reward == pytest.approx(losses[1].val_reward, rel=1e-3)


def test_films_of_other_studies_are_not_what_a_run_was_begun_with(
    corpus: Path, features: Path, tmp_path: Path
) -> None:
    asked = iter(range(1, 1000))
    train(corpus, tmp_path / "run", by_study(), features, stop=lambda: next(asked) >= 3)
    rows = list(read_reports(corpus).rows)
    moved = next(place for place, row in enumerate(rows) if row.image_id == "SQ0_2")
    rows[moved] = type(rows[0])(**{**vars(rows[moved]), "study_id": "SQ0b"})
    write_reports(corpus, rows)
    with pytest.raises(InputError, match=r"another (corpus|studies)"):
        train(corpus, tmp_path / "run", by_study(), features, resume=True)


def test_end_to_end_has_no_features_to_pool() -> None:
    with pytest.raises(
        InputError, match=r"fit.views is 'all'; the films of a study are pooled by their features"
    ):
        tiny_config(("fit", "views", "all"))
    with pytest.raises(InputError, match=r"fit.views is 'some'; give one or all"):
        tiny_config(("fit", "views", "some"))


def test_a_run_of_one_view_says_nothing_of_views(corpus: Path, features: Path, tmp_path: Path) -> None:
    train(corpus, tmp_path / "one", tiny_config(("fit", "epochs", 1), end_to_end=False), features)
    assert "views" not in (tmp_path / "one" / "config.toml").read_text(encoding="utf-8")
    train(corpus, tmp_path / "all", by_study(), features)
    assert Run.open(tmp_path / "all").config.fit.views == "all"
    assert Run.open(tmp_path / "all").corpus.train == 48 * 2
