"""Studies among the films that a reporter is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats, Isolation, Report, Reporter, Study
from cxrscribe.errors import FilmError, InputError, Reason, SettingsError
from cxrscribe.study import Image as Reported
from cxrscribe.study import pooled

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")

from support.small_bundle import SmallBundle

FILMS = [np.random.default_rng(place).integers(0, 256, (30, 30)).astype(np.uint8) for place in range(7)]
BAD = b"no film"


@pytest.fixture(scope="module", params=["fused step", "fused step, strict"])
def reporter(request: pytest.FixtureRequest, fused_bundle: Path) -> Iterator[Reporter]:
    with cxrscribe.load(fused_bundle, device="cpu", strict="strict" in request.param) as opened:
        yield opened


@pytest.fixture(scope="module")
def told_reporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reporter]:
    small = SmallBundle(seed=4, words=30, patient=4, fused=True)
    bundle = small.write(tmp_path_factory.mktemp("studies") / "bundle")
    with cxrscribe.load(bundle, device="cpu") as opened:
        yield opened


def report_of(item: Report | FilmError) -> Report:
    assert isinstance(item, Report)
    return item


def test_a_study_is_reported_by_the_mean_of_its_films(reporter: Reporter) -> None:
    report = reporter.report(Study(FILMS[:3]))
    features = pooled(reporter.encode(FILMS[:3]))
    assert reporter.decode_features(features[np.newaxis]) == [report]
    assert reporter.encode([FILMS[3], Study(FILMS[:3])])[1].tobytes() == features.tobytes()
    assert report.display == "as stored; as stored; as stored"
    assert report.left_out == ()
    assert "left_out" not in report.to_json()


def test_a_study_of_one_film_is_that_film(reporter: Reporter) -> None:
    found = reporter.report_batch([FILMS[0], Study(FILMS[:1]), Study([FILMS[0], FILMS[0]])])
    assert found[0] == found[1] == found[2]
    assert report_of(found[0]).display == report_of(found[1]).display == "as stored"
    (error, of_study) = reporter.report_batch([BAD, Study([BAD])])
    assert isinstance(error, FilmError)
    assert str(error) == str(of_study)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_neither_order_nor_neighbours_nor_batches_change_a_bit(
    reporter: Reporter, data: st.DataObject
) -> None:
    places = st.lists(st.integers(0, len(FILMS) - 1), min_size=1, max_size=5)
    studies = data.draw(st.lists(places, min_size=1, max_size=6))
    size = data.draw(st.integers(1, 9))
    shuffled = [data.draw(st.permutations(study)) for study in studies]
    alone = [reporter.report(Study([FILMS[place] for place in study])) for study in studies]
    images: list[Reported] = [Study([FILMS[place] for place in study]) for study in shuffled]
    assert list(reporter.report_stream(images, batch_size=size)) == alone
    assert list(reporter.report_stream(iter(images), batch_size=size)) == alone
    assert reporter.report_batch(images) == alone


def test_films_of_several_studies_share_the_calls_of_the_encoder(
    reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    encode = reporter._encode

    def counted(films: list[np.ndarray], stats: DecodingStats) -> np.ndarray:
        sizes.append(len(films))
        return encode(films, stats)

    monkeypatch.setattr(reporter, "_encode", counted)
    stats = DecodingStats()
    reporter.report_batch([Study(FILMS[:3]), Study(FILMS[3:5]), *FILMS[:3]], stats=stats)
    assert sizes[0] == 8
    assert (stats.films, stats.images) == (8, 5)


def test_a_film_that_cannot_be_read_is_left_out_and_named(reporter: Reporter, tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    stats = DecodingStats()
    (found,) = reporter.report_batch([Study([FILMS[0], missing, FILMS[1], BAD])], stats=stats)
    report = report_of(found)
    assert report == reporter.report(Study(FILMS[:2]))
    assert [film.place for film in report.left_out] == [1, 3]
    assert "missing.png: file does not exist" in str(report.left_out[0].error)
    assert report.left_out[1].error.reason == Reason.NOT_A_RADIOGRAPH
    assert report.to_json()["left_out"] == [film.to_json() for film in report.left_out]
    assert (stats.films, stats.film_errors) == (4, 2)


def test_a_study_without_any_film_is_an_error_that_names_all(reporter: Reporter, tmp_path: Path) -> None:
    studies = [Study([tmp_path / "a.png", tmp_path / "b.png"]), Study([BAD, tmp_path / "c.png"]), FILMS[0]]
    missing, mixed, report = reporter.report_batch(studies)
    assert isinstance(missing, FilmError)
    assert missing.reason == Reason.MISSING
    assert "study of 2 films, none of which can be read" in str(missing)
    assert "a.png: file does not exist" in str(missing)
    assert "b.png: file does not exist" in str(missing)
    assert isinstance(mixed, FilmError)
    assert mixed.reason == Reason.UNREADABLE
    assert report == reporter.report(FILMS[0])
    with pytest.raises(FilmError, match="none of which"):
        reporter.report(studies[0])


def test_no_film_is_left_out_for_what_the_machine_is_short_of(
    reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reporter._read

    def short_of_processes(film: object) -> object:
        if film is FILMS[1]:
            raise FilmError("film array: can't be decoded: no process", Reason.OUT_OF_RESOURCES)
        return read(film)  # type: ignore[arg-type]

    monkeypatch.setattr(reporter, "_read", short_of_processes)
    (error,) = reporter.report_batch([Study(FILMS[:2])])
    assert isinstance(error, FilmError)
    assert error.reason == Reason.OUT_OF_RESOURCES
    assert "no process" in str(error)


def test_encoding_leaves_no_film_out(reporter: Reporter) -> None:
    with pytest.raises(FilmError):
        reporter.encode([Study([FILMS[0], BAD])])


def test_a_search_without_any_report_names_the_study(reporter: Reporter) -> None:
    forbidding = BeamSettings(max_length=3, min_length=3, banned_words=reporter.vocabulary.words[4:])
    (error,) = reporter.report_batch([Study(FILMS[:2])], forbidding)
    assert isinstance(error, FilmError)
    assert error.reason == Reason.SEARCH_FAILED
    assert "study of 2 films, film array first" in str(error)


def test_whoever_gives_one_study_and_waits_for_its_report_gets_it(reporter: Reporter) -> None:
    waiting: Queue[Reported | None] = Queue()
    waiting.put(Study(FILMS[:3]))
    stream = reporter.report_stream(iter(waiting.get, None), batch_size=2)
    first = next(stream)
    waiting.put(Study(FILMS[3:]))
    second = next(stream)
    waiting.put(None)
    assert list(stream) == []
    assert [first, second] == [reporter.report(Study(FILMS[:3])), reporter.report(Study(FILMS[3:]))]


def test_what_the_source_raises_comes_after_the_studies_before(reporter: Reporter) -> None:
    def source() -> Iterator[Reported]:
        yield Study(FILMS[:3])
        raise OSError("gone")

    stream = reporter.report_stream(source())
    assert next(stream) == reporter.report(Study(FILMS[:3]))
    with pytest.raises(OSError, match="gone"):
        next(stream)


def test_one_study_is_no_list_of_images(reporter: Reporter) -> None:
    study = Study(FILMS[:2])
    for call in (reporter.report_batch, reporter.report_stream, reporter.encode):
        with pytest.raises(InputError, match="images is one study"):
            call(study)  # type: ignore[operator]


def test_a_study_brings_its_indication(told_reporter: Reporter) -> None:
    study, told = Study(FILMS[:2]), Study(FILMS[:2], "Chest pain.")
    report = told_reporter.report(told)
    assert report == told_reporter.report(study, indication="Chest pain.")
    assert report.log_prob != told_reporter.report(study).log_prob
    assert told_reporter.report_batch([study, told], indications=None)[1] == report
    assert list(told_reporter.report_stream(iter([study, told])))[1] == report


def test_no_patient_has_two_indications(told_reporter: Reporter) -> None:
    told = Study(FILMS[:2], "Miller coughs")
    with pytest.raises(SettingsError, match="a study has an indication") as twice:
        told_reporter.report(told, indication="Chest pain.")
    with pytest.raises(SettingsError, match="a study has an indication"):
        told_reporter.report_batch([FILMS[0], told], indications=[None, None])
    stream = told_reporter.report_stream(iter([FILMS[0], told]), indications=[None, None])
    assert isinstance(next(stream), Report)
    with pytest.raises(SettingsError, match="a study has an indication"):
        next(stream)
    assert "Miller" not in str(twice.value)


def test_a_model_that_sees_the_film_alone_refuses_a_study_with_indication(reporter: Reporter) -> None:
    with pytest.raises(SettingsError, match="sees the film alone"):
        reporter.report_batch([FILMS[0], Study(FILMS[:1], "Cough.")])


def test_settings_are_one_a_study(reporter: Reporter) -> None:
    each = [BeamSettings(beam_width=1), BeamSettings(beam_width=4)]
    studies = [Study(FILMS[:2]), Study(FILMS[2:4])]
    found = reporter.report_batch(studies, each)
    assert found == [reporter.report(study, own) for study, own in zip(studies, each, strict=True)]
    with pytest.raises(SettingsError, match="2 settings for 1 images"):
        reporter.report_batch(studies[:1], each)


def test_every_film_of_a_study_is_read_as_a_film_is(fused_bundle: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.png"
    Image.fromarray(FILMS[0]).save(film)
    with cxrscribe.load(fused_bundle, device="cpu", isolation=Isolation("all")) as isolated:
        report = isolated.report(Study([film, film]))
        assert report == isolated.report(FILMS[0])
