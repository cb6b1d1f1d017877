"""One file of a model with a context: what is known of a patient goes in beside the film, or is left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cxrscribe
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.patient_text import PatientText
from cxrscribe_export.onefile.file import one_file
from support.one_file import OneFile, Result, read_results
from support.small_bundle import INDICATIONS, SmallBundle

SMALL = SmallBundle(seed=4, words=30, fused=True, patient=4)
TOLD = (*INDICATIONS, None, "fever", "no known word")
FILMS = np.random.default_rng(0).integers(0, 256, (len(TOLD), SMALL.height, SMALL.width), dtype=np.uint8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SMALL.write(tmp_path_factory.mktemp("context") / "bundle")


@pytest.fixture(scope="module")
def file(bundle: Path) -> OneFile:
    return OneFile(one_file(Bundle.open(bundle)))


def of_runtime(bundle: Path, indications: list[str | None] | None) -> list[list[Result]]:
    settings = cxrscribe.BeamSettings(beam_width=3, n_best=3, max_length=12)
    with cxrscribe.load(bundle, device="cpu", cache=False) as reporter:
        reports = reporter.decode_features(reporter.encode(list(FILMS)), settings, indications=indications)
    return [
        [Result(one.tokens, one.finished, one.score) for one in (report, *report.alternatives)]
        for report in reports
    ]


def test_reports_are_those_of_the_runtime(bundle: Path, file: OneFile) -> None:
    with cxrscribe.load(bundle, device="cpu", cache=False) as reporter:
        patient = reporter.encode_indications(TOLD)
    found = read_results(file.run(FILMS, patient))
    assert found == of_runtime(bundle, list(TOLD))
    assert found != read_results(file.run(FILMS))


def test_without_patient_nothing_is_known(bundle: Path, file: OneFile) -> None:
    assert read_results(file.run(FILMS)) == of_runtime(bundle, None)
    zeros = np.zeros((len(FILMS), SMALL.patient), np.float32)
    assert read_results(file.run(FILMS)) == read_results(file.run(FILMS, zeros))


def test_one_row_is_for_all_films_and_for_none(bundle: Path, file: OneFile) -> None:
    row = np.full((1, SMALL.patient), 0.5, np.float32)
    assert read_results(file.run(FILMS, row)) == read_results(file.run(FILMS, row.repeat(len(FILMS), axis=0)))
    assert file.run(FILMS[:0], row)[0].shape[0] == file.run(FILMS[:0])[0].shape[0] == 0


@pytest.mark.parametrize(("films", "rows"), [(1, 3), (6, 2), (3, 6)])
def test_patients_of_other_films_are_refused(file: OneFile, films: int, rows: int) -> None:
    with pytest.raises(Exception, match=r"hape|broadcast|Expand"):  # onnxruntime's errors have no class
        file.run(FILMS[:films], np.zeros((rows, SMALL.patient), np.float32))


def test_the_metadata_says_how_a_text_is_read(bundle: Path, file: OneFile) -> None:
    metadata = file.session.get_modelmeta().custom_metadata_map
    written = json.loads((bundle / "patient_text.json").read_text(encoding="utf-8"))
    assert json.loads(metadata["patient_text"]) == written
    assert PatientText.read(bundle / "patient_text.json").size == SMALL.patient


def test_a_model_without_context_takes_no_patient(fused_bundle: Path) -> None:
    file = OneFile(one_file(Bundle.open(fused_bundle)))
    assert "patient" not in {each.name for each in file.session.get_overridable_initializers()}
    assert "patient_text" not in file.session.get_modelmeta().custom_metadata_map
