"""Whatever a caller gives: an error of ours that says so, and nothing else from far inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cxrscribe
from cxrscribe import Isolation, Reporter, Vocabulary
from cxrscribe.archive import begin_run, open_run, score_shards
from cxrscribe.archive.comparison import verify_sample
from cxrscribe.archive.export import compact, export
from cxrscribe.archive.rows.row import RowChoice
from cxrscribe.errors import CxrscribeError, DeviceError, FilmError, InputError, SettingsError
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import SPECIAL_TOKENS

FILM = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)


class Nasty:
    """Says nothing of itself."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class BytesPath:
    """A path that isn't one."""

    def __fspath__(self) -> bytes:
        return b"film.png"


def kind(value: object) -> str:
    """What a test is called: some of the values can't be shown."""
    return type(value).__name__


NO_NUMBERS = [
    None,
    True,
    False,
    "3",
    b"3",
    2.0,
    float("nan"),
    [3],
    np.array([3]),
    np.True_,
    3j,
    Nasty(),
    object,
]
OUT_OF_RANGE = [0, -1, 10**30, 10**5000, np.int64(-5), np.uint64(2**63)]
NO_FLAGS = [None, "False", 0, 1, [], Nasty(), np.array([True])]
NO_PATHS = [None, 5, b"bundle", [], "a\0b", BytesPath(), Nasty(), 1.5]
NO_FILMS = [
    None,
    5,
    1.5,
    FILM,
    Image.fromarray(FILM),
    "film.png",
    b"film",
    Path("film.png"),
    Nasty(),
    True,
    object,
]
NO_SETTINGS = [5, "fast", {"beam_width": 3}, BeamSettings, Nasty(), [None], [5], ["a"], [{}], {1: 2}, b"x"]


@pytest.fixture(scope="module")
def reporter() -> Iterator[Reporter]:
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu") as reporter:
        yield reporter


@pytest.mark.parametrize("name", ["beam_width", "max_length", "min_length", "n_best", "no_repeat_ngram"])
def test_settings_take_whole_numbers_within_their_range(name: str) -> None:
    for value in [*(each for each in NO_NUMBERS if each is not None), None, -1, 10**30, 10**5000]:
        with pytest.raises(SettingsError):
            BeamSettings(**{name: value})
    kept = getattr(BeamSettings(**{name: np.int64(1)}), name)
    assert (kept, type(kept)) == (1, int)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, np.True_, "1", float("nan"), float("inf"), 11, 10**400, [1.0], 1j, Nasty()),
        *(np.float32("nan"), np.float16("inf"), np.float32(11), np.array([0.7])),
        *(np.array(np.nan, np.float32), np.array(True), np.str_("1")),
        *(np.array("1"), np.array(None), np.complex64(1)),
    ],
    ids=kind,
)
def test_settings_take_finite_numbers(value: Any) -> None:
    with pytest.raises(SettingsError):
        BeamSettings(length_penalty=value)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("written", [0.7, -1.0, 0.0, 2.5, 1e-3])
def test_a_setting_of_any_precision_means_what_was_written(kind: Any, written: float) -> None:
    for given in (kind(written), np.array(written, kind)):
        kept = BeamSettings(length_penalty=given).length_penalty
        assert (kept, type(kept)) == (written, float)
        assert BeamSettings(length_penalty=given) == BeamSettings(length_penalty=written)


@pytest.mark.parametrize("value", [None, 5, "word", [1], [None], Nasty(), [b"word"], True], ids=kind)
def test_settings_take_words(value: Any) -> None:
    with pytest.raises(SettingsError):
        BeamSettings(banned_words=value)


@pytest.mark.parametrize("name", ["cpu_seconds", "wall_seconds", "memory_bytes"])
def test_isolation_takes_numbers_within_their_range(name: str) -> None:
    for value in (None, True, "1", 0, -1, float("nan"), float("inf"), 10**400, [1.0], 1j, Nasty()):
        with pytest.raises(InputError, match=name):
            Isolation(**{name: value})
    assert type(getattr(Isolation(**{name: np.float32(4e8 if name == "memory_bytes" else 4)}), name)) in (
        int,
        float,
    )


@pytest.mark.parametrize("value", [None, 5, "some", [], Nasty(), True, b"all"], ids=kind)
def test_isolation_takes_its_kinds(value: Any) -> None:
    with pytest.raises(InputError, match="isolation is"):
        Isolation(value)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("bundle", NO_PATHS),
        ("device", [None, 5, [], {}, Nasty(), "gpu\x1b[2J", b"cpu"]),
        ("precision", [5, [], b"fp32", Nasty(), True, "\x1b"]),
        ("threads", [*(each for each in NO_NUMBERS if each is not None), *OUT_OF_RANGE, 1025]),
        ("spinning", NO_FLAGS),
        ("strict", NO_FLAGS),
        ("verify", NO_FLAGS),
        ("cache", [None, 5, "", b"x", [], "a\0b", Nasty()]),
        ("isolation", ["all", 5, True, Nasty(), {}]),
        ("modalities", [None, 5, [5], [None], ["C" * 17], b"CR", Nasty(), True, ["\x1b[2J"] * 100 + [""]]),
    ],
)
def test_load_takes_what_it_says(name: str, values: list[Any]) -> None:
    for value in values:
        arguments = {"bundle": cxrscribe.demo_bundle(), name: value}
        with pytest.raises(CxrscribeError) as found:
            cxrscribe.load(**arguments)
        assert len(str(found.value)) < 600


def test_threads_may_be_a_number_of_numpys() -> None:
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu", threads=np.int32(1)) as reporter:  # type: ignore[arg-type]
        assert (reporter.threads, type(reporter.threads)) == (1, int)
    with pytest.raises(DeviceError, match="from 1 to 1024"):
        cxrscribe.load(cxrscribe.demo_bundle(), threads=10**9)


@pytest.mark.parametrize("value", [*NO_NUMBERS, *OUT_OF_RANGE, 4097], ids=kind)
def test_batch_sizes_are_bounded(reporter: Reporter, value: Any) -> None:
    features = np.zeros((1, reporter.manifest.architecture.feature_size), np.float32)
    for call in (
        lambda: reporter.report_stream([FILM], batch_size=value),
        lambda: reporter.decode_stream(features, batch_size=value),
        lambda: reporter.warmup(value),
    ):
        with pytest.raises(InputError, match="from 1 to 4096"):
            call()


def test_batch_size_may_be_a_number_of_numpys(reporter: Reporter) -> None:
    (report,) = reporter.report_stream([FILM], batch_size=np.uint8(2))  # type: ignore[arg-type]
    assert isinstance(report, cxrscribe.Report)


@pytest.mark.parametrize("value", NO_FILMS, ids=kind)
def test_films_are_several(reporter: Reporter, value: Any) -> None:
    for call in (reporter.report_batch, reporter.report_stream, reporter.encode):
        with pytest.raises(InputError, match="images is"):
            call(value)
    with pytest.raises(InputError, match="whose number isn't known"):
        reporter.report_batch(iter([FILM]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "film",
    [
        None,
        5,
        1.5,
        True,
        [FILM],
        {},
        Nasty(),
        object,
        BytesPath(),
        "a\0b",
        "",
        b"",
        np.array(5),
        np.array(["a"]),
        1j,
    ],
    ids=kind,
)
def test_what_is_no_film_costs_that_film_only(reporter: Reporter, film: Any) -> None:
    with pytest.raises(FilmError):
        reporter.report(film)
    refused, report = reporter.report_batch([film, FILM])
    assert isinstance(refused, FilmError)
    assert isinstance(report, cxrscribe.Report)


@pytest.mark.parametrize("value", NO_SETTINGS, ids=kind)
def test_settings_are_beam_settings(reporter: Reporter, value: Any) -> None:
    features = reporter.encode([FILM])
    calls: list[Callable[[], object]] = [
        lambda: reporter.report(FILM, value),
        lambda: reporter.report_batch([FILM], value),
        lambda: list(reporter.report_stream([FILM], value)),
        lambda: reporter.decode_features(features, value),
        lambda: list(reporter.decode_stream(features, value)),
        lambda: reporter.warmup(1, value),
    ]
    for call in calls:
        with pytest.raises(SettingsError):
            call()


@pytest.mark.parametrize("value", [5, {}, "stats", Nasty(), True, cxrscribe.DecodingStats], ids=kind)
def test_stats_are_decoding_stats(reporter: Reporter, value: Any) -> None:
    features = reporter.encode([FILM])
    calls: list[Callable[[], object]] = [
        lambda: reporter.report(FILM, stats=value),
        lambda: reporter.report_batch([FILM], stats=value),
        lambda: reporter.report_stream([FILM], stats=value),
        lambda: reporter.encode([FILM], stats=value),
        lambda: reporter.decode_features(features, stats=value),
        lambda: reporter.decode_stream(features, stats=value),
    ]
    for call in calls:
        with pytest.raises(InputError, match="stats is"):
            call()


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "abc",
        ["abc"],
        [["1", "2"]],
        [[1j]],
        [[10**400]],
        [[1e300]],
        [[None]],
        [[1], [1, 2]],
        {},
        Nasty(),
        [[True]],
    ],
    ids=kind,
)
def test_features_are_rows_of_numbers(reporter: Reporter, value: Any) -> None:
    with pytest.raises(InputError):
        reporter.decode_features(value)
    with pytest.raises(InputError):
        list(reporter.decode_stream(value if value not in ({},) else [{}]))


@pytest.mark.parametrize(
    "value",
    [None, 5, "words", b"words", [*SPECIAL_TOKENS, 5], [*SPECIAL_TOKENS, []], [], Nasty()],
    ids=kind,
)
def test_vocabulary_holds_words(value: Any) -> None:
    with pytest.raises(InputError):
        Vocabulary(value)


def test_vocabulary_refuses_ids_and_words_that_are_none(reporter: Reporter) -> None:
    for ids in ([-1], [10**9], ["a"], [None], [1.5], "12", 5, None, [True]):
        with pytest.raises(InputError):
            reporter.vocabulary.text(ids)  # type: ignore[arg-type]
    for words in ("word", 5, None, b"x"):
        with pytest.raises(InputError):
            reporter.vocabulary.encode(words)  # type: ignore[arg-type]
    for text in (None, 5, "", "{", "[" * 100_000, '"x"', "[5]"):
        with pytest.raises(InputError):
            Vocabulary.from_json(text)  # type: ignore[arg-type]


def test_archives_take_what_they_say(reporter: Reporter, tmp_path: Path) -> None:
    Image.fromarray(FILM).save(tmp_path / "a.png")
    path, sources, settings = tmp_path / "run", [str(tmp_path / "a.png")], reporter.settings
    wrong: dict[str, list[Any]] = {
        "path": NO_PATHS,
        "sources": ["films", None, 5, [5], [None], [b"a"], [["a"]], Path("a"), Nasty()],
        "reporter": [None, 5, "reporter", Nasty()],
        "settings": [None, 5, "fast", {}, Nasty()],
        "shard_films": [*(each for each in NO_NUMBERS if each is not None), *OUT_OF_RANGE, 100_001],
        "format_name": [5, "xml", [], Nasty(), b"jsonl"],
        "choice": [5, {}, "hash", Nasty()],
        "key_file": [5, b"x", [], Nasty(), "none", "a\0b"],
        "accept_runtime": NO_FLAGS,
    }
    for name, values in wrong.items():
        for value in values:
            arguments = {
                "path": path,
                "sources": sources,
                "reporter": reporter,
                "settings": settings,
                name: value,
            }
            with pytest.raises(CxrscribeError):
                begin_run(**arguments)
    run = begin_run(path, sources, reporter, settings, choice=RowChoice())
    for value in NO_PATHS:
        for call in (open_run, lambda each: export(run, each), lambda each: compact(run, each)):
            with pytest.raises(InputError):
                call(value)
    for value in [*NO_NUMBERS, -1, 10**30]:
        with pytest.raises(InputError):
            run.generation(value)
        with pytest.raises(InputError):
            list(score_shards(run, [value], reporter))
    for name, values in {
        "generation": [None, "0", -1, 5, True],
        "batch_size": [*NO_NUMBERS, *OUT_OF_RANGE],
        "score_duplicates": NO_FLAGS,
        "breaker": [5, "x", Nasty()],
        "engine": [5, "x", Nasty()],
        "stats": [5, "x", Nasty()],
    }.items():
        for value in values:
            with pytest.raises(InputError):
                list(score_shards(run, [0], reporter, **{name: value}))
    for shards in (None, 5, "0", b"0", Nasty()):
        with pytest.raises(InputError):
            score_shards(run, shards, reporter)  # type: ignore[arg-type]
    (receipt,) = score_shards(run, [np.int64(0)], reporter)
    assert receipt.films == 1
    for value in [*NO_NUMBERS, *OUT_OF_RANGE[:2]]:
        with pytest.raises(InputError):
            verify_sample(run, reporter, value)
        with pytest.raises(InputError):
            compact(run, tmp_path / "compact", value)
