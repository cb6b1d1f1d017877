from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats, Report, Reporter
from cxrscribe.disclaimer import DISCLAIMER
from cxrscribe.errors import BundleError, DecodingError, FilmError, InputError, SettingsError
from support.edited_manifest import edit_manifest
from support.small_bundle import SmallBundle

Films = list[NDArray[np.uint8]]


@pytest.fixture(scope="module", params=["canonical step", "fused step", "fused step, strict"])
def reporter(request: pytest.FixtureRequest, small_bundle: Path, fused_bundle: Path) -> Iterator[Reporter]:
    bundle = fused_bundle if "fused" in request.param else small_bundle
    with cxrscribe.load(bundle, device="cpu", strict="strict" in request.param) as loaded:
        yield loaded


@pytest.mark.parametrize(
    ("part", "size", "wrong", "graph"),
    [
        ("preprocessing", "height", 25, "encoder.onnx"),
        ("architecture", "feature_size", 9, "encoder.onnx"),
        ("architecture", "hidden_size", 9, "decoder_init.onnx"),
    ],
)
def test_a_graph_of_another_shape_than_the_manifest_says_is_refused(
    tmp_path: Path, part: str, size: str, wrong: int, graph: str
) -> None:
    bundle = SmallBundle().write(tmp_path / "bundle")
    edit_manifest(bundle, lambda fields: fields[part].update({size: wrong}))
    with pytest.raises(BundleError, match=rf"{graph} has .* but the manifest says"):
        cxrscribe.load(bundle, device="cpu")


def mixed_settings(images: int) -> list[BeamSettings]:
    return [
        BeamSettings(
            beam_width=1 + i % 5,
            max_length=4 + i % 9,
            min_length=i % 3,
            length_penalty=(0.0, 1.0, -0.5)[i % 3],
            n_best=1 + i % 2 if i % 5 else 1,
            no_repeat_ngram=i % 4,
            banned_words=("a",) if i % 2 else (),
        )
        for i in range(images)
    ]


# Odd sizes leave remainders in every vector loop; 64 is what a real decoder looks like.
@pytest.mark.parametrize(("hidden", "words"), [(7, 12), (37, 30), (64, 30)])
@pytest.mark.parametrize("threads", [1, 2])
def test_report_does_not_depend_on_the_batch_to_the_bit(
    tmp_path: Path, films: Films, hidden: int, words: int, threads: int
) -> None:
    bundle = SmallBundle(hidden=hidden, words=words).write(tmp_path / "bundle")
    each = mixed_settings(len(films))
    with cxrscribe.load(bundle, device="cpu", threads=threads) as reporter:
        together = reporter.report_batch(films, each)
        backwards = reporter.report_batch(films[::-1], each[::-1])[::-1]
        alone = [reporter.report(film, settings) for film, settings in zip(films, each, strict=True)]
        in_fives = list(reporter.report_stream(films, each, batch_size=5))
    assert together == backwards == alone == in_fives
    assert len({report.tokens for report in together if isinstance(report, Report)}) > 10


@pytest.mark.arm64
def test_features_and_films_give_the_same_reports(reporter: Reporter, films: Films) -> None:
    features = reporter.encode(films)
    assert (features.dtype, features.shape) == (np.float32, (len(films), 6))
    reports = reporter.report_batch(films)
    assert reporter.decode_features(features) == reports
    assert list(reporter.decode_stream(iter(features), batch_size=7)) == reports
    np.testing.assert_array_equal(features[3:4], reporter.encode(films[3:4]))


@pytest.mark.arm64
def test_report_holds_together(reporter: Reporter, films: Films) -> None:
    report = reporter.report(films[1], BeamSettings(beam_width=4, n_best=4, max_length=8, length_penalty=0.5))
    assert len(report.alternatives) == 3
    for result in (report, *report.alternatives):
        assert len(result.token_log_probs) == len(result.tokens) + result.finished
        total = np.float32(0)
        for share in result.token_log_probs:
            total += np.float32(share)
        assert result.log_prob == float(total)
        assert result.score == result.log_prob / len(result.token_log_probs) ** 0.5
        assert result.text == reporter.vocabulary.text(result.tokens)
    assert report.to_json()["alternatives"] == [other.to_json() for other in report.alternatives]


@pytest.mark.arm64
def test_bad_film_is_a_value_at_its_place(reporter: Reporter, films: Films, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    stats = DecodingStats()
    first, second, third = reporter.report_batch(
        [films[0], broken, films[1]],
        [BeamSettings(), BeamSettings(beam_width=1), BeamSettings()],
        stats=stats,
    )
    assert isinstance(second, FilmError)
    assert [first, third] == reporter.report_batch(films[:2], BeamSettings())
    assert (stats.films, stats.film_errors, stats.images) == (3, 1, 2)
    with pytest.raises(FilmError, match=r"broken\.png"):
        reporter.report(broken)
    with pytest.raises(FilmError, match=r"broken\.png"):
        reporter.encode([films[0], broken])


# No report can do without repeating a word for so long: the bundle has eight.
IMPOSSIBLE = BeamSettings(max_length=12, min_length=11, no_repeat_ngram=1)


def test_search_without_a_report_concerns_its_film_only(
    reporter: Reporter, films: Films, tmp_path: Path
) -> None:
    path = tmp_path / "film.png"
    Image.fromarray(films[1]).save(path)
    three = [films[0], path, films[2]]
    first, second, third = reporter.report_batch(three, [BeamSettings(), IMPOSSIBLE, BeamSettings()])
    assert isinstance(second, FilmError)
    assert isinstance(second.__cause__, DecodingError)
    assert str(second).startswith(f"{path}: the search ended without any report")
    assert [first, third] == reporter.report_batch([films[0], films[2]], BeamSettings())
    with pytest.raises(FilmError, match=r"film array: the search ended without any report"):
        reporter.report(films[1], IMPOSSIBLE)
    with pytest.raises(DecodingError, match="the search ended without any report"):
        reporter.decode_features(reporter.encode(films[:1]), IMPOSSIBLE)


def test_features_before_a_search_without_a_report_give_theirs(reporter: Reporter, films: Films) -> None:
    features = reporter.encode(films[:3])
    stream = reporter.decode_stream(features, [BeamSettings(), IMPOSSIBLE, BeamSettings()])
    assert next(stream) == reporter.report(films[0], BeamSettings())
    with pytest.raises(DecodingError):
        next(stream)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_client_that_waits_for_a_report_before_it_gives_the_next_film_gets_it(
    reporter: Reporter, films: Films, batch_size: int
) -> None:
    answers: Queue[Report | FilmError] = Queue()
    heard = []

    def client() -> Iterator[NDArray[np.uint8]]:
        for film in films[:3]:
            yield film
            heard.append(answers.get(timeout=30))

    for outcome in reporter.report_stream(client(), batch_size=batch_size):
        answers.put(outcome)
    assert heard == reporter.report_batch(films[:3])


def test_films_of_a_list_are_searched_for_at_full_width(reporter: Reporter, films: Films) -> None:
    stats = DecodingStats()
    same_length = BeamSettings(beam_width=2, max_length=6, min_length=6)
    list(reporter.report_stream(films, same_length, batch_size=16, stats=stats))
    assert stats.images == len(films) == 40
    assert stats.steps == 3 * 6  # 16 films, 16 and 8


def test_what_was_done_before_an_error_of_the_source_comes_first(reporter: Reporter, films: Films) -> None:
    def failing() -> Iterator[NDArray[np.uint8]]:
        yield from films[:5]
        raise RuntimeError("the archive is gone")

    streams = {
        RuntimeError: reporter.report_stream(failing(), BeamSettings()),
        SettingsError: reporter.report_stream(films, iter([BeamSettings()] * 5)),
    }
    expected = reporter.report_batch(films[:5], BeamSettings())
    for error, stream in streams.items():
        outcomes = [next(stream) for _ in range(5)]
        assert outcomes == expected
        with pytest.raises(error):
            next(stream)


@pytest.mark.parametrize("one", ["film.png", Path("film.png"), b"film", bytearray(b"film")])
def test_one_film_in_the_place_of_several_is_refused(reporter: Reporter, one: Any) -> None:
    for call in (reporter.report_batch, reporter.report_stream, reporter.encode):
        with pytest.raises(InputError, match=r"images is one film .*; put it in a list, or call `report`"):
            call(one)


@pytest.mark.arm64
def test_disclaimer_always_says_what_every_report_has_to_say(reporter: Reporter) -> None:
    own_words = reporter.manifest.disclaimer
    assert own_words == "Random words of a test."
    assert reporter.disclaimer == f"{DISCLAIMER} {own_words}"


def test_nothing_in_nothing_out(reporter: Reporter) -> None:
    assert reporter.report_batch([]) == []
    assert reporter.encode([]).shape == (0, 6)
    assert reporter.decode_features(np.empty((0, 6), np.float32)) == []
    assert list(reporter.report_stream(iter(()))) == []


def test_batch_of_bad_films_only(reporter: Reporter, tmp_path: Path) -> None:
    outcomes = reporter.report_batch([tmp_path / "a.png", tmp_path / "b.png"])
    assert [type(outcome) for outcome in outcomes] == [FilmError, FilmError]


def test_endless_stream_is_read_only_as_far_as_needed(reporter: Reporter, films: Films) -> None:
    taken = count()

    def endless() -> Iterator[NDArray[np.uint8]]:
        while True:
            yield films[next(taken) % len(films)]

    stream = reporter.report_stream(endless(), batch_size=4)
    assert list(islice(stream, 6)) == reporter.report_batch(films[:6])
    # Given out, waiting for one before them, searched for, and read ahead.
    assert next(taken) <= 6 + 8 * 4 + 4 + 4 + 1
    stream.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", ["close", "error", "drop"])
def test_abandoned_stream_leaves_the_reporter_usable_and_no_threads(
    reporter: Reporter, films: Films, tmp_path: Path, end: str
) -> None:
    before = threading.active_count()

    def failing() -> Iterator[NDArray[np.uint8]]:
        yield from films[:9]
        raise RuntimeError("the archive is gone")

    stream = reporter.report_stream(failing() if end == "error" else films, batch_size=2)
    next(stream)
    if end == "error":
        with pytest.raises(RuntimeError, match="the archive is gone"):
            list(stream)
    elif end == "close":
        stream.close()  # type: ignore[attr-defined]
    del stream
    gc.collect()
    assert threading.active_count() == before
    assert reporter.report(films[0]).tokens == reporter.report_batch(films[:2])[0].tokens  # type: ignore[union-attr]


def test_open_stream_does_not_lock_other_threads_out(reporter: Reporter, films: Films) -> None:
    stream = reporter.report_stream(films, batch_size=3)
    next(stream)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(reporter.report, films[0]).result(timeout=30)
    assert len(list(stream)) == len(films) - 1


@pytest.mark.arm64
def test_threads_get_what_one_thread_gets(reporter: Reporter, films: Films) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(reporter.report, films)) == reporter.report_batch(films)


@pytest.mark.arm64
def test_files_are_read_in_order(reporter: Reporter, films: Films, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(len(films))]
    for path, film in zip(paths, films, strict=True):
        Image.fromarray(film).save(path)
    expected = reporter.report_batch(films)
    assert list(reporter.report_stream(iter(paths), batch_size=7)) == expected
    assert reporter.report_batch([path.read_bytes() for path in paths]) == expected
    picture = Image.open(paths[0])
    assert reporter.report_batch([picture] * 5) == [expected[0]] * 5


def test_word_outside_the_vocabulary_is_refused_before_any_film_is_read(
    reporter: Reporter, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="'effusion', which is not one of the model's 12 words"):
        reporter.report(tmp_path / "absent.png", BeamSettings(banned_words=("effusion",)))


def test_wrong_number_of_settings(reporter: Reporter, films: Films) -> None:
    with pytest.raises(SettingsError, match="1 settings for 2 images"):
        reporter.report_batch(films[:2], [BeamSettings()])
    with pytest.raises(SettingsError, match="fewer settings than images"):
        list(reporter.report_stream(films[:2], iter([BeamSettings()])))


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (np.zeros(6), r"shape \[6\]"),
        (np.zeros((2, 5)), "row 0 have 5 numbers, not 6"),
        (np.full((1, 6), np.nan), "not finite"),
        ([[1.0], [1.0, 2.0]], "one length"),
        ("films", "rows of numbers"),
    ],
)
def test_wrong_features_are_refused(reporter: Reporter, features: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        reporter.decode_features(features)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch_size", [0, -1, True, 2.5])
def test_wrong_batch_size_is_refused(reporter: Reporter, films: Films, batch_size: int) -> None:
    with pytest.raises(InputError, match="batch_size"):
        reporter.report_stream(films, batch_size=batch_size)


def test_closed_reporter_says_so(small_bundle: Path, films: Films) -> None:
    with cxrscribe.load(small_bundle, device="cpu") as reporter:
        stream = reporter.report_stream(films, batch_size=1)
        next(stream)
    for call in (lambda: reporter.report(films[0]), lambda: reporter.encode(films), lambda: list(stream)):
        with pytest.raises(InputError, match="closed"):
            call()


def test_stats_add_up_over_calls(reporter: Reporter, films: Films) -> None:
    stats = DecodingStats()
    reports = [report for _ in range(2) for report in reporter.report_batch(films[:5], stats=stats)]
    assert (stats.films, stats.images) == (10, 10)
    assert stats.words == sum(len(report.tokens) for report in reports if isinstance(report, Report))
    assert stats.rows >= stats.steps > 0
    assert min(stats.read_seconds, stats.encode_seconds, stats.decode_seconds) > 0
    assert set(stats.to_json()) >= {"films", "steps", "decode_seconds"}


@pytest.mark.parametrize("images", [1, 40])
def test_warmup_runs_the_model_and_changes_nothing(reporter: Reporter, films: Films, images: int) -> None:
    before = reporter.report_batch(films[:3])
    reporter.warmup(images, BeamSettings(beam_width=4, n_best=2, min_length=5))
    assert reporter.report_batch(films[:3]) == before
    with pytest.raises(InputError, match="images is 0"):
        reporter.warmup(0)


def test_streams_of_several_threads_get_what_each_gets_alone(reporter: Reporter, films: Films) -> None:
    """Open at once, with beams of their own, and one of them given up half way."""
    each = [BeamSettings(beam_width=1 + number % 4, max_length=10) for number in range(8)]
    alone = [reporter.report_batch(films, settings) for settings in each]

    def stream(number: int) -> list[Report | FilmError]:
        found = []
        for report in reporter.report_stream(iter(films), each[number], batch_size=3 + number):
            found.append(report)
            if number == 5 and len(found) == 7:
                break
        return found

    with ThreadPoolExecutor(8) as pool:
        streams = list(pool.map(stream, range(8)))
    assert streams[5] == alone[5][:7]
    assert streams[:5] + streams[6:] == alone[:5] + alone[6:]


def test_interleaved_streams_of_one_thread(reporter: Reporter, films: Films) -> None:
    wide, narrow = BeamSettings(beam_width=5, max_length=9), BeamSettings(beam_width=1, max_length=4)
    expected = reporter.report_batch(films, wide), reporter.report_batch(films, narrow)
    pairs = list(zip(reporter.report_stream(films, wide), reporter.report_stream(films, narrow), strict=True))
    assert ([one for one, _ in pairs], [other for _, other in pairs]) == expected


def test_stream_of_a_closed_reporter_says_so(small_bundle: Path, films: Films) -> None:
    reporter = cxrscribe.load(small_bundle, device="cpu")
    stream = reporter.report_stream(films, batch_size=2)
    next(stream)
    reporter.close()
    with pytest.raises(InputError, match="closed"):
        list(stream)
