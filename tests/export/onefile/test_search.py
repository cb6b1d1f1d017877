"""The search inside the file, held against the Python runtime's on random bundles, to the last bit."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats, Reporter
from cxrscribe.bundle.bundle import Bundle
from cxrscribe_export.onefile.file import one_file
from support.one_file import Films, OneFile, results_of
from support.small_bundle import SmallBundle
from support.small_models import letters

from .odd_bundles import NanAfterWords, NanOfBlackFilm, TwinWords

HEIGHT, WIDTH = SmallBundle.height, SmallBundle.width


def films(count: int, seed: int = 0) -> Films:
    return np.random.default_rng(seed).integers(0, 256, (count, HEIGHT, WIDTH), dtype=np.uint8)


@lru_cache(maxsize=40)
def runtime(small: SmallBundle) -> Reporter:
    with tempfile.TemporaryDirectory() as folder:  # once loaded, the runtime needs no file
        path = small.write(Path(folder) / "bundle")
        return cxrscribe.load(path, device="cpu", threads=1, cache=False)


@lru_cache(maxsize=80)
def file_of(small: SmallBundle, fixed: BeamSettings) -> OneFile:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Bundle.open(small.write(Path(folder) / "bundle"))
        return OneFile(one_file(bundle, settings=fixed))


def fixed_part(chosen: BeamSettings) -> BeamSettings:
    """The settings that a file holds for good; the rest is overridden."""
    return BeamSettings(no_repeat_ngram=chosen.no_repeat_ngram, banned_words=chosen.banned_words)


def assert_same(small: SmallBundle, images: Films, chosen: BeamSettings) -> None:
    everything = replace(chosen, n_best=chosen.beam_width)
    wanted = [results_of(outcome) for outcome in runtime(small).report_batch(list(images), everything)]
    assert file_of(small, fixed_part(chosen)).results(images, chosen) == wanted


@st.composite
def small_bundles(draw: st.DrawFn) -> SmallBundle:
    kind = draw(st.sampled_from([SmallBundle, SmallBundle, TwinWords]))
    return kind(
        seed=draw(st.integers(0, 15)),
        layers=draw(st.integers(1, 3)),
        words=draw(st.sampled_from([5, 6, 9, 24])),
        hidden=draw(st.sampled_from([3, 8])),
        fused=True,
    )


@st.composite
def beam_settings(draw: st.DrawFn, words: int) -> BeamSettings:
    max_length = draw(st.integers(1, 12))
    penalties = st.sampled_from([0.0, 0.5, 0.7, 1.0, 2.0, -1.0]) | st.integers(-(10**7), 10**7).map(
        lambda millionths: millionths / 1e6
    )
    return BeamSettings(
        beam_width=draw(st.integers(1, 6)),
        max_length=max_length,
        min_length=draw(st.integers(0, max_length)),
        length_penalty=draw(penalties),
        no_repeat_ngram=draw(st.sampled_from([0, 0, 1, 2, 3])),
        banned_words=tuple(sorted(draw(st.sets(st.sampled_from(letters(words).words[4:6]), max_size=2)))),
    )


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.data(), small_bundles(), st.integers(0, 1000), st.integers(1, 9))
def test_results_are_those_of_the_runtime_to_the_bit(
    data: st.DataObject, small: SmallBundle, seed: int, count: int
) -> None:
    assert_same(small, films(count, seed), data.draw(beam_settings(small.words)))


@pytest.mark.parametrize("kind", [SmallBundle, TwinWords])
@pytest.mark.parametrize("no_repeat_ngram", [0, 1, 2, 3])
@pytest.mark.parametrize("length_penalty", [0.0, 0.7, -1.0])
def test_results_under_some_settings(
    kind: type[SmallBundle], no_repeat_ngram: int, length_penalty: float
) -> None:
    for beam_width, max_length in ((1, 1), (1, 9), (3, 7), (6, 12)):
        chosen = BeamSettings(
            beam_width=beam_width,
            max_length=max_length,
            length_penalty=length_penalty,
            no_repeat_ngram=no_repeat_ngram,
        )
        assert_same(kind(seed=2, fused=True), films(5), chosen)


def test_ties_are_ties_here_too() -> None:
    (results,) = file_of(TwinWords(seed=1, fused=True), BeamSettings()).results(
        films(1), BeamSettings(beam_width=6, max_length=5)
    )
    scores = [result.score for result in results]
    assert len(set(scores)) < len(scores)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_any_number_of_films(count: int) -> None:
    assert_same(SmallBundle(seed=4, fused=True), films(count), BeamSettings(max_length=8))


def test_a_film_gets_the_same_whatever_stands_beside_it() -> None:
    file = file_of(SmallBundle(seed=5, fused=True), BeamSettings())
    together = file.results(films(12))
    assert together == [file.results(film[None])[0] for film in films(12)]


def test_settings_that_forbid_every_report_leave_all_missing() -> None:
    chosen = BeamSettings(max_length=6, min_length=2, banned_words=("a", "b"))
    small = SmallBundle(seed=1, words=6, fused=True)
    assert file_of(small, fixed_part(chosen)).results(films(2), chosen) == [[], []]
    assert_same(small, films(2), chosen)


def test_a_narrow_search_gives_fewer_results_than_places() -> None:
    chosen = BeamSettings(beam_width=6, max_length=2, banned_words=("a",))
    small = SmallBundle(seed=1, words=6, fused=True)
    assert len(file_of(small, fixed_part(chosen)).results(films(1), chosen)[0]) == 3  # "", "b", and "b b" cut
    assert_same(small, films(1), chosen)


def test_a_film_of_nan_is_missing_and_harms_no_other() -> None:
    small = NanOfBlackFilm(seed=6, fused=True)
    images = films(5)
    images[2] = 0
    chosen = BeamSettings(max_length=8)
    found = file_of(small, BeamSettings()).results(images, chosen)
    assert found[2] == []
    whole = file_of(SmallBundle(seed=6, fused=True), BeamSettings()).results(images, chosen)
    assert [results for place, results in enumerate(found) if place != 2] == whole[:2] + whole[3:]
    assert_same(small, images, chosen)


def test_nan_in_the_middle_of_a_search_takes_what_it_has_found() -> None:
    brightness = np.linspace(0.1, 1, 40)[:, None, None]
    images = (films(40) * brightness).astype(np.uint8)  # unlike enough for unlike words
    chosen = BeamSettings(beam_width=3, max_length=8)
    small = NanAfterWords(seed=1, nan_words=(10,), fused=True)
    found = file_of(small, BeamSettings()).results(images, chosen)
    whole = file_of(SmallBundle(seed=1, fused=True), BeamSettings()).results(images, chosen)
    assert 0 < sum(not results for results in found) < len(images)
    assert all(own in ([], healthy) for own, healthy in zip(found, whole, strict=True))
    assert_same(small, images, chosen)


def test_nan_of_words_that_are_never_produced_does_not_matter() -> None:
    small = NanAfterWords(seed=3, nan_words=(0, 2, 3), fused=True)
    healthy = SmallBundle(seed=3, fused=True)
    for chosen in (BeamSettings(beam_width=6, max_length=9), BeamSettings(beam_width=20, max_length=3)):
        files = [file_of(each, BeamSettings()) for each in (small, healthy)]
        assert files[0].results(films(6), chosen) == files[1].results(films(6), chosen)


def steps_of(small: SmallBundle, images: Films, chosen: BeamSettings) -> int:
    """Iterations of the loop, from a graph that also gives what each of them left."""
    with tempfile.TemporaryDirectory() as folder:
        model = one_file(Bundle.open(small.write(Path(folder) / "bundle")), settings=chosen)
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    model.graph.output.add().name = loop.output[-1]
    return len(OneFile(model).run(images)[-1])


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, -1.0])
def test_the_loop_ends_in_the_step_in_which_the_last_search_ends(length_penalty: float) -> None:
    # The file gives all K results, so that its searches are those whose n_best is K.
    chosen = BeamSettings(beam_width=2, n_best=2, max_length=40, length_penalty=length_penalty)
    early = 0
    for seed in range(8):
        small = SmallBundle(seed=seed, fused=True)
        steps = []
        for film in films(4):
            stats = DecodingStats()
            runtime(small).report(film, chosen, stats=stats)
            steps.append(stats.image_steps)
            assert steps_of(small, film[None], chosen) == stats.image_steps
        early += max(steps) < chosen.max_length
        assert steps_of(small, films(4), chosen) == max(steps)
    assert early


def test_a_long_limit_costs_no_step() -> None:
    small = SmallBundle(seed=1, fused=True)
    short, long = (BeamSettings(beam_width=2, max_length=length) for length in (40, 4096))
    assert steps_of(small, films(3), long) == steps_of(small, films(3), short) < 40
