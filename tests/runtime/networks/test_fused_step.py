"""The fused decoder and its state cache, held against the canonical step."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats, Report, Reporter
from cxrscribe.errors import DecodingError
from cxrscribe.networks.fused_step import FusedDecoder, FusedExpander, StateCache
from cxrscribe.search.decoding import search_in_order
from cxrscribe.search.requests import FeatureMatrix
from cxrscribe.search.scheduler import Scheduler
from cxrscribe.sessions.binding import Binding
from cxrscribe.sessions.device import Memory
from support.small_bundle import SmallBundle

SMALL = SmallBundle()
ANY_FEATURES = np.random.default_rng(1).normal(size=(64, SMALL.features)).astype(np.float32)


@pytest.fixture(scope="module")
def canonical(small_bundle: Path) -> Iterator[Reporter]:
    with cxrscribe.load(small_bundle, device="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def fused(fused_bundle: Path) -> Iterator[Reporter]:
    with cxrscribe.load(fused_bundle, device="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def decoder(fused: Reporter) -> FusedDecoder:
    assert fused._model is not None
    decoder = fused._model.schedulers._decoder
    assert isinstance(decoder, FusedDecoder)
    return decoder


@st.composite
def beam_settings(draw: st.DrawFn) -> BeamSettings:
    beam_width = draw(st.integers(1, 6))
    max_length = draw(st.integers(1, 9))
    return BeamSettings(
        beam_width=beam_width,
        max_length=max_length,
        min_length=draw(st.integers(0, max_length - 1)),
        length_penalty=draw(st.sampled_from([0.0, 1.0, -0.5])),
        n_best=draw(st.integers(1, beam_width)),
        no_repeat_ngram=draw(st.sampled_from([0, 0, 2, 3])),
        banned_words=draw(st.sampled_from([(), ("a",)])),
    )


some = st.lists(beam_settings(), min_size=1, max_size=9)
fixtures_are_shared = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def close(report: Report, other: Report) -> bool:
    results, others = [report, *report.alternatives], [other, *other.alternatives]
    return [each.tokens for each in results] == [each.tokens for each in others] and np.allclose(
        [each.log_prob for each in results], [each.log_prob for each in others], atol=1e-5
    )


@pytest.mark.arm64
@fixtures_are_shared
@given(each=some)
def test_reports_are_those_of_the_canonical_step(
    canonical: Reporter, fused: Reporter, each: list[BeamSettings]
) -> None:
    features = ANY_FEATURES[: len(each)]
    pairs = zip(fused.decode_stream(features, each), canonical.decode_stream(features, each), strict=True)
    assert all(close(report, other) for report, other in pairs)


@fixtures_are_shared
@given(each=some, batch_size=st.integers(1, 5))
def test_a_report_is_the_same_to_the_bit_in_any_company(
    fused: Reporter, each: list[BeamSettings], batch_size: int
) -> None:
    features = ANY_FEATURES[: len(each)]
    alone = [next(fused.decode_stream([row], chosen)) for row, chosen in zip(features, each, strict=True)]
    assert list(fused.decode_stream(features, each, batch_size=batch_size)) == alone
    assert fused.decode_features(features[::-1], each[::-1]) == alone[::-1]


@fixtures_are_shared
@given(each=some, slots=st.integers(1, 5), padded=st.sampled_from([0, 5]), on_device=st.booleans())
def test_state_on_a_device_and_padded_rows_change_nothing(
    fused: Reporter,
    decoder: FusedDecoder,
    each: list[BeamSettings],
    slots: int,
    padded: int,
    on_device: bool,
) -> None:
    """`on_device` on a CPU: onnxruntime's own memory, initial states computed in place, inputs bound anew."""
    features = ANY_FEATURES[: len(each)]
    expander = FusedExpander(decoder, padded, on_device=on_device)
    scheduler = Scheduler(expander, fused.vocabulary, slots, one_width=bool(padded))
    stats = DecodingStats()
    found = list(search_in_order(scheduler, FeatureMatrix(features, each, fused.vocabulary, 3), stats))
    assert found == fused.decode_features(features, each)
    if padded:
        widest = max(chosen.beam_width for chosen in each)
        assert stats.rows >= padded * stats.steps
        assert stats.rows <= padded * stats.steps * widest


@pytest.mark.arm64
def test_nan_of_one_image_harms_no_other(fused: Reporter, decoder: FusedDecoder) -> None:
    features = ANY_FEATURES[:6].copy()
    features[3] = np.nan  # sums that overflow give NaN or infinity, as a processor adds them up
    each = [BeamSettings(beam_width=3, max_length=8)] * 6
    scheduler = Scheduler(decoder.expander(0), fused.vocabulary, 4, one_width=False)
    found = list(search_in_order(scheduler, FeatureMatrix(features, each, fused.vocabulary, 4)))
    assert isinstance(found[3], DecodingError)
    assert "NaN" in str(found[3])
    healthy = [0, 1, 2, 4, 5]
    assert [found[row] for row in healthy] == fused.decode_features(ANY_FEATURES[healthy], each[:5])


def test_state_cache_is_used_again_and_not_allocated_anew(fused_bundle: Path) -> None:
    with cxrscribe.load(fused_bundle, device="cpu") as reporter:
        reporter.decode_features(ANY_FEATURES)
        assert reporter._model is not None
        schedulers = reporter._model.schedulers
        (scheduler,) = schedulers._idle
        expander = scheduler._expander
        assert isinstance(expander, FusedExpander)
        cache = expander._cache
        before = ({cache.readable, cache.writable}, cache.capacity)
        for _ in range(3):
            reporter.decode_features(ANY_FEATURES)
        assert list(schedulers._idle) == [scheduler]
        assert ({cache.readable, cache.writable}, cache.capacity) == before


def test_a_batch_that_runs_empty_binds_each_of_its_sizes_but_once(
    fused_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes change at every step that ends a search; the next batch comes back to the same ones."""
    bound: list[str] = []
    for name in ("read", "write", "read_rows", "write_rows"):
        monkeypatch.setattr(Binding, name, noting(getattr(Binding, name), bound))
    each = [BeamSettings(beam_width=3, max_length=1 + place % 9) for place in range(24)]
    with cxrscribe.load(fused_bundle, device="cpu") as reporter:
        first = reporter.decode_features(ANY_FEATURES[:24], each)
        assert bound
        bound.clear()
        assert reporter.decode_features(ANY_FEATURES[:24], each) == first
        assert bound == []
        # Another mask is all that is bound anew; another width makes new arrays.
        banned = BeamSettings(beam_width=3, max_length=9, banned_words=("a",))
        reporter.decode_features(ANY_FEATURES[:24], banned)
        assert bound.count("bias")
        bound.clear()
        reporter.decode_features(ANY_FEATURES[:24], replace(banned, beam_width=4))
        assert bound.count("state_out")


def test_strict_never_binds_anew_while_a_batch_runs_empty(
    fused_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = [BeamSettings(beam_width=3, max_length=1 + place % 9) for place in range(24)]
    with cxrscribe.load(fused_bundle, device="cpu", strict=True) as reporter:
        expected = reporter.decode_features(ANY_FEATURES[:24], each)
        with monkeypatch.context() as patch:
            patch.setattr(Binding, "read", forbidden)
            patch.setattr(Binding, "write_rows", forbidden)
            assert reporter.decode_features(ANY_FEATURES[:24], each) == expected
    with cxrscribe.load(fused_bundle, device="cpu") as reporter:
        assert reporter.decode_features(ANY_FEATURES[:24], each) == expected


def test_no_more_bindings_are_kept_than_there_is_room_for(
    fused_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxrscribe.networks.fused_step._BOUND_KEPT", 3)
    each = [BeamSettings(beam_width=3, max_length=1 + place % 9) for place in range(24)]
    with cxrscribe.load(fused_bundle, device="cpu") as reporter:
        reports = [reporter.decode_features(ANY_FEATURES[:24], each) for _ in range(2)]
        assert reporter._model is not None
        (scheduler,) = reporter._model.schedulers._idle
        expander = scheduler._expander
        assert isinstance(expander, FusedExpander)
        assert 0 < len(expander._steps) <= 3
    with cxrscribe.load(fused_bundle, device="cpu") as reporter:
        assert reports == [reporter.decode_features(ANY_FEATURES[:24], each)] * 2


def noting(bind: Callable[..., None], bound: list[str]) -> Callable[..., None]:
    """The same method, which notes what it binds."""

    def noted(self: Binding, name: str, *where: Any) -> None:
        bound.append(name)
        bind(self, name, *where)

    return noted


def forbidden(*_: object) -> None:
    raise AssertionError("bound anew")


@pytest.mark.parametrize("on_device", [False, True])
def test_a_cache_that_grows_keeps_what_it_holds(on_device: bool) -> None:
    cache = StateCache(4, Memory.CPU, on_device)
    cache.reserve(3)
    assert cache.behind == cache.readable
    if on_device:
        return
    rows: NDArray[np.float32] = np.arange(8, dtype=np.float32).reshape(2, 4)
    cache.admit(rows)
    cache.reserve(5)
    held = np.ctypeslib.as_array((np.ctypeslib.ctypes.c_float * 8).from_address(cache.readable))
    assert held.tolist() == list(range(8))
    assert cache.behind == cache.readable + 8 * 4


def test_strict_gives_every_step_of_one_width_the_same_rows(fused_bundle: Path) -> None:
    with cxrscribe.load(fused_bundle, device="cpu", strict=True) as strict:
        for images in (1, 7, 40):
            stats = DecodingStats()
            strict.decode_features(ANY_FEATURES[:images], BeamSettings(beam_width=3), stats=stats)
            assert stats.rows == stats.steps * 32 * 3


def test_strict_needs_the_fused_step(small_bundle: Path) -> None:
    with pytest.raises(cxrscribe.errors.BundleError, match=r"beam_step\.onnx"):
        cxrscribe.load(small_bundle, device="cpu", strict=True)


def test_failed_searches_give_their_scheduler_back_at_once(fused_bundle: Path) -> None:
    """Without a collection of garbage: the error's traceback must not keep them."""
    nothing = BeamSettings(max_length=6, min_length=5, no_repeat_ngram=1, banned_words=tuple("abcdefg"))
    gc.disable()
    try:
        with cxrscribe.load(fused_bundle, device="cpu") as reporter:
            assert reporter._model is not None
            schedulers = reporter._model.schedulers
            reporter.decode_features(ANY_FEATURES)
            (scheduler,) = schedulers._idle
            for _ in range(5):
                with pytest.raises(DecodingError):
                    reporter.decode_features(ANY_FEATURES, nothing)
                assert list(schedulers._idle) == [scheduler]
            assert scheduler._search._constraints.same_mask
            assert not scheduler._search._prefixes.tracked
    finally:
        gc.enable()


def test_an_interrupted_scheduler_is_not_used_again(
    fused_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cxrscribe.load(fused_bundle, device="cpu") as reporter:
        assert reporter._model is not None
        expected = reporter.decode_features(ANY_FEATURES)
        (scheduler,) = reporter._model.schedulers._idle

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("cxrscribe.search.hypotheses.History.add", interrupted)
            with pytest.raises(KeyboardInterrupt):
                reporter.decode_features(ANY_FEATURES)
        assert scheduler not in reporter._model.schedulers._idle
        assert reporter.decode_features(ANY_FEATURES) == expected


def test_a_very_large_scheduler_is_let_go(fused_bundle: Path) -> None:
    with cxrscribe.load(fused_bundle, device="cpu") as reporter:
        assert reporter._model is not None
        reporter.decode_features(ANY_FEATURES[:1], BeamSettings(beam_width=300, max_length=900, min_length=0))
        assert not reporter._model.schedulers._idle
