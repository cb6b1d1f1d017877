"""A reporter that is told of a patient by the film itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cxrscribe
from cxrscribe import Isolation, Report, Study
from cxrscribe.engine import Engine
from cxrscribe.errors import FilmError, InputError, SettingsError
from cxrscribe.json_object import JsonObject
from cxrscribe.reporter import Reporter

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
pytest.importorskip("pydicom", reason="needs the extra dicom")

from support.archive_films import small_film
from support.dicom_file import dicom, written
from support.small_bundle import SmallBundle

REASON = "ReasonForTheRequestedProcedure"
SOURCE = f"dicom:{REASON}"
GREY = np.random.default_rng(0).integers(0, 4000, (64, 64)).astype(np.uint16)


def film(text: str | None) -> bytes:
    told = {} if text is None else {REASON: text}
    return written(dicom(GREY, bits=12, SpecificCharacterSet="ISO_IR 192", **told))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = SmallBundle(seed=4, words=30, patient=4, fused=True)
    return small.write(tmp_path_factory.mktemp("context") / "bundle")


@pytest.fixture(scope="module")
def plain(bundle: Path) -> Iterator[Reporter]:
    with cxrscribe.load(bundle, device="cpu") as opened:
        yield opened


@pytest.fixture(scope="module")
def asking(bundle: Path) -> Iterator[Reporter]:
    with cxrscribe.load(bundle, device="cpu", indication_from_dicom=REASON) as opened:
        yield opened


def test_a_films_text_is_read_as_one_that_is_given(plain: Reporter, asking: Reporter) -> None:
    given = plain.report(film("Cough, fever"), indication="Cough, fever")
    found = asking.report(film("Cough, fever"))
    assert found == given
    assert found != plain.report(film("Cough, fever"))
    assert (given.indication_from, found.indication_from) == ("given", SOURCE)
    assert found.to_json()["indication_from"] == SOURCE
    assert "Cough" not in str(found)


def test_a_text_that_is_given_counts_in_place_of_the_films(plain: Reporter, asking: Reporter) -> None:
    assert asking.report(film("Cough"), indication="Chest pain") == plain.report(
        film("Cough"), indication="Chest pain"
    )
    nothing = asking.report(film("Cough"), indication="")
    assert nothing == plain.report(film("Cough"))
    assert nothing.indication_from is None
    assert "indication_from" not in nothing.to_json()


def test_films_without_a_text_and_films_that_are_no_dicom_have_none(
    plain: Reporter, asking: Reporter
) -> None:
    films = [film(None), small_film(0), film("Chest pain"), b"no film", GREY.astype(np.uint8)]
    found = asking.report_batch(films)
    assert found[:2] == plain.report_batch(films[:2])
    assert isinstance(found[3], FilmError)
    assert [each.indication_from if isinstance(each, Report) else "" for each in found] == [
        *(None, None, SOURCE, "", None)
    ]
    assert list(asking.report_stream(iter(films[:3]), batch_size=1)) == found[:3]


def test_neighbours_texts_stay_their_own(plain: Reporter, asking: Reporter) -> None:
    texts = ["Cough", None, "Chest pain", "Preoperative for hip surgery"] * 4
    films = [film(text) for text in texts]
    assert asking.report_batch(films) == plain.report_batch(films, indications=texts)
    mixed = ["Cough" if place % 3 == 0 else None for place in range(len(films))]
    expected = [one if one is not None else text for one, text in zip(mixed, texts, strict=True)]
    assert asking.report_batch(films, indications=mixed) == plain.report_batch(films, indications=expected)


def test_a_study_has_the_first_text_of_its_films(plain: Reporter, asking: Reporter) -> None:
    films = [b"no film", film(None), film("Cough"), film("Chest pain")]
    found = asking.report(Study(films))
    assert found == plain.report(Study(films, "Cough"))
    assert found != plain.report(Study(films, "Chest pain"))
    assert (found.indication_from, found.left_out[0].place) == (SOURCE, 0)
    assert asking.report(Study(films[::-1])) == plain.report(Study(films, "Chest pain"))
    given = asking.report(Study(films, "Fever"))
    assert (given, given.indication_from) == (plain.report(Study(films, "Fever")), "given")
    assert asking.report(Study(films), indication="Fever") == given
    nothing = asking.report(Study([film(None), small_film(0)]))
    assert nothing.indication_from is None
    studies = [Study(films), film("Fever"), Study(films[1:2]), Study(films[3:])]
    assert asking.report_batch(studies) == plain.report_batch(
        studies, indications=["Cough", "Fever", None, "Chest pain"]
    )


def test_texts_come_from_other_processes_too(bundle: Path, asking: Reporter) -> None:
    with cxrscribe.load(
        bundle, device="cpu", indication_from_dicom=REASON, isolation=Isolation("all")
    ) as isolated:
        found = isolated.report(film("Chest pain"))
    assert found == asking.report(film("Chest pain"))
    assert found.indication_from == SOURCE


def test_a_model_that_reads_none_refuses_before_it_is_loaded(fused_bundle: Path) -> None:
    with pytest.raises(SettingsError, match=f"read from {REASON}, but this bundle's model reads none"):
        cxrscribe.load(fused_bundle, device="cpu", indication_from_dicom=REASON)
    with pytest.raises(InputError, match="no attribute of DICOM"):
        cxrscribe.load(fused_bundle, device="cpu", indication_from_dicom="Nonsense")


def test_an_engine_loads_such_a_reporter_elsewhere(asking: Reporter, plain: Reporter) -> None:
    engine = Engine.of(asking)
    assert engine.indication_from_dicom == REASON
    assert Engine.from_json(JsonObject(engine.to_json(), "an engine")) == engine
    assert replace(engine, indication_from_dicom=None) == Engine.of(plain)
    with engine.load() as loaded:
        assert loaded.report(film("Cough")) == asking.report(film("Cough"))
