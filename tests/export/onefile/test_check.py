"""Before a file is written, it is held against the runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cxrscribe
from cxrscribe import BeamSettings, BundleError, DeviceError
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.manifest import Manifest
from cxrscribe_export.onefile.check import _NEAR_IN_HALF, Agreement, _agree, _Result, check, drawn_films
from cxrscribe_export.onefile.file import one_file
from cxrscribe_export.onefile.variant import Variant
from cxrscribe_export.precision.kinds import KINDS
from cxrscribe_export.precision.precisions import add_graphs
from support.small_bundle import SmallBundle

SETTINGS = BeamSettings(beam_width=3, max_length=12)


def file_of(bundle: Bundle, variant: Variant, settings: BeamSettings = SETTINGS) -> bytes:
    return one_file(bundle, settings=settings, variant=variant).SerializeToString()


@pytest.mark.parametrize("patient", [0, 4])
@pytest.mark.parametrize(
    "variant", [Variant(), Variant("whole", "film", "inputs"), Variant("encoder"), Variant("search")], ids=str
)
def test_a_file_of_the_bundle_agrees(tmp_path: Path, variant: Variant, patient: int) -> None:
    bundle = Bundle.open(SmallBundle(fused=True, patient=patient).write(tmp_path / "bundle"))
    file = file_of(bundle, variant)
    assert check(file, bundle, "fp32", SETTINGS, variant, films=5) == Agreement(5, 5, 5)


@pytest.mark.parametrize(
    "variant", [Variant(), Variant(input="film"), Variant("encoder"), Variant("search")], ids=str
)
def test_a_file_of_another_bundle_is_refused(tmp_path: Path, variant: Variant) -> None:
    bundle, other = (
        Bundle.open(SmallBundle(seed=seed, fused=True).write(tmp_path / str(seed))) for seed in (0, 5)
    )
    with pytest.raises(BundleError, match="of drawn film 1 of 3 the file writes other words or scores"):
        check(file_of(other, variant), bundle, "fp32", SETTINGS, variant, films=3)


A, B, C, D = (
    _Result((2, word), True, score) for word, score in ((7, -1.0), (8, -2.0), (9, -2.0005), (5, -4))
)


def test_results_of_near_scores_may_change_places() -> None:
    assert _agree([A, B, C, D], [A, B, C, D])
    assert _agree([A, B, C, D], [A, C, B, D])
    assert _agree([A, B], [A, C])  # which would have been the next one
    assert _agree([], [])
    rounded = [each._replace(score=each.score - 1e-5) for each in (A, C, B, D)]
    assert _agree([A, B, C, D], rounded)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param([each._replace(score=each.score - 0.01) for each in (A, B, C, D)], id="shifted scores"),
        pytest.param([A._replace(words=(2, 6)), B, C, D], id="another word at the same score"),
        pytest.param([A._replace(finished=False), B, C, D], id="another end"),
        pytest.param([A, B, B, D], id="one of them twice"),
        pytest.param([B._replace(score=A.score), A._replace(score=B.score), C, D], id="scores of each other"),
        pytest.param([A, B, C], id="one too few"),
        pytest.param([A, B, C, D._replace(score=float("nan"))], id="no number"),
        pytest.param([A, B, C, D._replace(words=(2, 6), score=-5.0)], id="another last one"),
    ],
)
def test_other_scores_and_other_words_are_no_near_ties(found: list[_Result]) -> None:
    assert not _agree(found, [A, B, C, D])
    assert not _agree([A, B, C, D], found)


def test_graphs_that_compute_in_half_may_be_further_off() -> None:
    rounded = [each._replace(score=each.score - 0.01) for each in (A, B, C, D)]
    assert _agree(rounded, [A, B, C, D], _NEAR_IN_HALF)
    assert not _agree([A._replace(words=(2, 6)), B, C, D], [A, B, C, D], _NEAR_IN_HALF)


def test_only_graphs_in_half_are_given_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = SmallBundle(fused=True).write(tmp_path / "bundle")
    add_graphs(path, Manifest.read(path), KINDS["fp16"], np.empty((0, 24, 32), np.uint8))
    bundle = Bundle.open(path)
    monkeypatch.setattr("cxrscribe_export.onefile.check._NEAR", -1.0)  # nothing is as near
    for precision in ("fp16", "fp32"):
        file = one_file(bundle, precision=precision, settings=SETTINGS).SerializeToString()
        if precision == "fp16":
            assert check(file, bundle, precision, SETTINGS, Variant(), films=2).films == 2
        else:
            with pytest.raises(BundleError, match="other words or scores"):
                check(file, bundle, precision, SETTINGS, Variant(), films=2)


def test_what_half_precision_changes_is_counted_and_not_refused(tmp_path: Path) -> None:
    bundle, other = (
        Bundle.open(SmallBundle(seed=seed, fused=True).write(tmp_path / str(seed))) for seed in (0, 5)
    )
    variant = Variant(weights="fp16")
    agreement = check(file_of(other, variant), bundle, "fp32", SETTINGS, variant, films=3)
    assert (agreement.films, agreement.same_words) == (3, 0)


def test_settings_that_forbid_every_report_agree(tmp_path: Path) -> None:
    bundle = Bundle.open(SmallBundle(words=6, fused=True).write(tmp_path / "bundle"))
    forbidding = BeamSettings(max_length=6, min_length=2, banned_words=("a", "b"))
    file = file_of(bundle, Variant(), forbidding)
    assert check(file, bundle, "fp32", forbidding, Variant(), films=2) == Agreement(2, 2, 2)


def test_a_file_that_does_not_run_is_an_error_of_the_device(tmp_path: Path) -> None:
    bundle = Bundle.open(SmallBundle(fused=True).write(tmp_path / "bundle"))
    with pytest.raises(DeviceError, match="doesn't load the file"):
        check(b"no graph", bundle, "fp32", SETTINGS, Variant(), films=1)
    with pytest.raises(DeviceError, match="doesn't run the file"):
        check(file_of(bundle, Variant("search")), bundle, "fp32", SETTINGS, Variant(), films=1)


def test_films_are_of_different_sizes_and_each_time_the_same() -> None:
    films, again = drawn_films(4), drawn_films(4)
    assert len({film.shape for film in films}) > 1
    assert all(np.array_equal(one, other) for one, other in zip(films, again, strict=True))


def test_the_demo_model_in_half_precision_writes_the_same_best_reports() -> None:
    bundle = Bundle.open(cxrscribe.demo_bundle())
    variant = Variant("whole", "film", "inputs", "fp16")
    settings = bundle.manifest.settings
    agreement = check(file_of(bundle, variant, settings), bundle, "fp32", settings, variant, films=4)
    assert agreement.same_best == 4
