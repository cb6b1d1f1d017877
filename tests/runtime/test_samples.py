"""Reports that are drawn by a reporter, from film to text: the same whatever call, company and step."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats, Report, Reporter, demo_bundle, demo_films
from cxrscribe.errors import BundleError, FilmError, SettingsError
from support.edited_manifest import edit_manifest

Films = list[NDArray[np.uint8]]

DRAWN = BeamSettings(max_length=12, decoding="sample", samples=4, n_best=3, temperature=0.8, seed=5)
CONSENSUS = replace(DRAWN, decoding="consensus", samples=6)


@pytest.fixture(scope="module", params=["canonical step", "fused step", "fused step, strict"])
def reporter(request: pytest.FixtureRequest, small_bundle: Path, fused_bundle: Path) -> Iterator[Reporter]:
    bundle = fused_bundle if "fused" in request.param else small_bundle
    with cxrscribe.load(bundle, device="cpu", strict="strict" in request.param) as loaded:
        yield loaded


def mixed(images: int) -> list[BeamSettings]:
    """Samples, searches and consensus, under limits of all kinds."""
    return [
        (DRAWN, BeamSettings(beam_width=1 + i % 4), CONSENSUS, replace(DRAWN, top_k=3, seed=i))[i % 4]
        if i % 3
        else replace(DRAWN, min_length=4, no_repeat_ngram=2, banned_words=("a",), samples=3 + i % 5)
        for i in range(images)
    ]


def test_every_call_draws_the_same(reporter: Reporter, films: Films) -> None:
    each = mixed(len(films))
    alone = [reporter.report(film, chosen) for film, chosen in zip(films, each, strict=True)]
    assert len({report.text for report in alone}) > 10
    assert reporter.report_batch(films, each) == alone
    assert list(reporter.report_stream(iter(films), iter(each), batch_size=3)) == alone
    assert list(reporter.report_stream(films[::-1], each[::-1], batch_size=7)) == alone[::-1]
    features = reporter.encode(films)
    assert reporter.decode_features(features, each) == alone
    assert list(reporter.decode_stream(iter(features), iter(each), batch_size=2)) == alone


def test_all_steps_and_ways_draw_the_same_words(reporter: Reporter, small_bundle: Path, films: Films) -> None:
    """From the same features: the random numbers hang on their last bits."""
    with cxrscribe.load(small_bundle, device="cpu") as canonical:
        features = canonical.encode(films)
        wanted = canonical.decode_features(features, DRAWN)
    found = reporter.decode_features(features, DRAWN)
    assert [report.tokens for report in found] == [report.tokens for report in wanted]


def test_results_hold_together(reporter: Reporter, films: Films) -> None:
    for chosen in (DRAWN, CONSENSUS):
        for report in reporter.report_batch(films, chosen):
            assert isinstance(report, Report)
            results = [report, *report.alternatives]
            assert len(results) == 3
            for found in results:
                assert len(found.token_log_probs) == len(found.tokens) + found.finished
                assert found.log_prob == pytest.approx(sum(found.token_log_probs), abs=1e-5)
                assert found.score == found.log_prob or chosen is CONSENSUS
                assert 0 <= found.score <= 1 or chosen is DRAWN
            ranks = [(found.finished, found.score) for found in results]
            assert ranks == sorted(ranks, reverse=True)


def test_log_prob_is_that_of_the_model_whatever_the_temperature(reporter: Reporter, films: Films) -> None:
    """A sample whose words are those of greedy search has its log-probability."""
    greedy = reporter.report(films[0], BeamSettings(beam_width=1, max_length=12))
    drawn = reporter.report(films[0], replace(DRAWN, top_k=1, temperature=3.0, n_best=1))
    assert drawn.tokens == greedy.tokens
    assert drawn.log_prob == pytest.approx(greedy.log_prob, abs=1e-5)


def test_a_film_that_cannot_be_read_changes_no_other(reporter: Reporter, films: Films) -> None:
    wanted = reporter.report_batch(films[:3], DRAWN)
    found = reporter.report_batch([films[0], "missing.png", *films[1:3]], DRAWN)
    assert isinstance(found.pop(1), FilmError)
    assert found == wanted


def test_threads_draw_what_one_thread_draws(reporter: Reporter, films: Films) -> None:
    alone = [reporter.report(film, DRAWN) for film in films[:8]]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda film: reporter.report(film, DRAWN), films[:8])) == alone


def test_a_word_that_does_not_exist_is_refused_before_any_film_is_read(reporter: Reporter) -> None:
    with pytest.raises(SettingsError, match="'zebra'"):
        reporter.report("missing.png", replace(DRAWN, banned_words=("zebra",)))


def test_warmup_and_stats(reporter: Reporter, films: Films) -> None:
    reporter.warmup(2, CONSENSUS)
    stats = DecodingStats()
    (report,) = reporter.report_batch(films[:1], replace(DRAWN, n_best=1), stats=stats)
    assert isinstance(report, Report)
    assert (stats.images, stats.words) == (1, len(report.tokens))
    assert stats.steps == stats.image_steps == 12 - stats.steps_saved
    assert stats.rows >= stats.steps
    assert 0 < stats.decoder_seconds < stats.decode_seconds


def test_a_bundle_without_the_canonical_step_says_so_when_samples_are_asked_for(
    fused_bundle: Path, tmp_path: Path, films: Films
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(fused_bundle, bundle)
    (bundle / "decoder_step.onnx").unlink()
    edit_manifest(
        bundle,
        lambda fields: fields.update(
            files=[entry for entry in fields["files"] if entry["path"] != "decoder_step.onnx"]
        ),
    )
    with cxrscribe.load(bundle, device="cpu") as reporter:
        assert isinstance(reporter.report(films[0]), Report)
        with pytest.raises(BundleError, match=r"decoder_step\.onnx"):
            reporter.report(films[0], DRAWN)
        assert isinstance(reporter.report(films[0]), Report)


def test_the_canonical_step_is_opened_only_once_and_only_for_samples(
    fused_bundle: Path, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxrscribe.sessions.factory import SessionFactory

    opened: list[str] = []
    original = SessionFactory.open

    def watched(self: SessionFactory, graphs: list[object]) -> list[object]:
        opened.extend(graph.source.name for graph in graphs)  # type: ignore[attr-defined]
        return original(self, graphs)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr(SessionFactory, "open", watched)
    with cxrscribe.load(fused_bundle, device="cpu") as reporter:
        reporter.report(films[0])
        assert opened == ["encoder.onnx", "beam_init.onnx", "beam_step.onnx"]
        del opened[:]
        reporter.report_batch(films, DRAWN)
        list(reporter.report_stream(films, DRAWN, batch_size=2))
        assert opened == ["decoder_init.onnx", "decoder_step.onnx"]


def test_abandoned_samples_leave_the_reporter_usable(reporter: Reporter, films: Films) -> None:
    wanted = reporter.report_batch(films[:4], DRAWN)
    for taken in range(3):
        stream = reporter.report_stream(films * 3, DRAWN, batch_size=2)
        for _ in range(taken):
            next(stream)
        del stream
        gc.collect()
    assert reporter.report_batch(films[:4], DRAWN) == wanted


def test_demo_reports_are_drawn_the_same_alone_and_in_company() -> None:
    """On onnxruntime's own kernels, with rows enough for all their shapes; strict where these don't hold."""
    films = demo_films()
    settings = BeamSettings(decoding="consensus", samples=8, n_best=8, temperature=0.7)
    with cxrscribe.load(demo_bundle(), device="cpu", strict=True) as reporter:
        alone = [reporter.report(film, settings) for film in films]
        assert reporter.report_batch(films, settings) == alone
        assert len({report.text for report in alone}) == 6
