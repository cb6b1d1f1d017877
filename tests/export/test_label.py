"""Figures come from an evaluation of this very model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cxrscribe.bundle.evidence import Provenance
from cxrscribe.errors import InputError
from cxrscribe.settings import BeamSettings
from cxrscribe_export.label import Label, read_evaluation

WEIGHTS = {"encoder.safetensors": "e" * 64, "decoder.safetensors": "d" * 64}


def column(scale: float) -> dict[str, Any]:
    return {
        "bleu_4": 0.2 * scale,
        "bleu_4_interval": [0.1, 0.3],
        "label_f1_micro": 0.9 * scale,
        "label_f1_micro_interval": [0.8, 0.95],
        "label_f1_nodule": 0.5,
        "label_f1_mass": None,
        "place_precision_micro": 0.7 * scale,
        "place_f1_micro": 0.8 * scale,
    }


def evaluation() -> dict[str, Any]:
    return {
        "model": column(1),
        "constant": column(0.5),
        "most_frequent": column(0.4),
        "shuffled": column(0.3),
        "evaluated": {
            "kind": "run",
            "name": "run",
            "sha256": "d" * 64,
            "encoder_sha256": "e" * 64,
            "decoder_sha256": "d" * 64,
        },
        "corpus": "phantoms",
        "split": "test",
        "counts": {"films": 500, "studies": 500},
    }


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(content))
    return path


def test_the_models_figures_stand_beside_the_baselines(tmp_path: Path) -> None:
    found = read_evaluation(written(tmp_path, evaluation()), WEIGHTS)
    assert (found.corpus, found.split, found.reports) == ("phantoms", "test", 500)
    assert found.figures == {
        "bleu_4": 0.2,
        "label_f1_micro": 0.9,
        "label_f1_nodule": 0.5,
        "place_precision_micro": 0.7,
        "place_f1_micro": 0.8,
        "constant.bleu_4": 0.1,
        "constant.label_f1_micro": 0.45,
        "constant.place_f1_micro": 0.4,
        "most_frequent.bleu_4": pytest.approx(0.08),
        "most_frequent.label_f1_micro": pytest.approx(0.36),
        "most_frequent.place_f1_micro": pytest.approx(0.32),
        "shuffled.bleu_4": pytest.approx(0.06),
        "shuffled.label_f1_micro": pytest.approx(0.27),
        "shuffled.place_f1_micro": pytest.approx(0.24),
    }


def test_a_bundle_of_the_same_weights_will_do(tmp_path: Path) -> None:
    content = evaluation()
    content["evaluated"] |= {"kind": "bundle", "sha256": "0" * 64}
    assert read_evaluation(written(tmp_path, content), WEIGHTS).reports == 500


def test_reports_of_studies_are_counted_as_such(tmp_path: Path) -> None:
    content = evaluation() | {"by": "study", "counts": {"films": 500, "studies": 210}}
    assert read_evaluation(written(tmp_path, content), WEIGHTS).reports == 210
    assert read_evaluation(written(tmp_path, content | {"by": "image"}), WEIGHTS).reports == 500


@pytest.mark.parametrize("kind", ["run", "bundle"])
@pytest.mark.parametrize("network", ["encoder", "decoder"])
@pytest.mark.parametrize("other", ["1" * 64, None], ids=["different", "unknown"])
def test_figures_of_another_model_are_refused(
    tmp_path: Path, kind: str, network: str, other: str | None
) -> None:
    content = evaluation()
    content["evaluated"] |= {"kind": kind, f"{network}_sha256": other}
    with pytest.raises(InputError, match=rf"another model \({network}\.safetensors"):
        read_evaluation(written(tmp_path, content), WEIGHTS)


def test_figures_that_name_no_decoder_are_refused(tmp_path: Path) -> None:
    content = evaluation()
    del content["evaluated"]["decoder_sha256"]
    with pytest.raises(InputError, match=r"decoder_sha256.*cxrscribe evaluate"):
        read_evaluation(written(tmp_path, content), WEIGHTS)


@pytest.mark.parametrize("missing", ["model", "constant", "evaluated", "corpus", "counts"])
def test_a_file_that_is_no_evaluation_is_refused(tmp_path: Path, missing: str) -> None:
    content = evaluation()
    del content[missing]
    with pytest.raises(InputError, match=f"{missing}.*cxrscribe evaluate"):
        read_evaluation(written(tmp_path, content), WEIGHTS)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text("bleu_4 = 1.0")
    with pytest.raises(InputError, match="not valid JSON"):
        read_evaluation(path, WEIGHTS)


@pytest.mark.parametrize("decoding", ["sample", "consensus"])
def test_a_bundles_defaults_are_those_of_beam_search(decoding: str) -> None:
    settings = BeamSettings(decoding=decoding, samples=16)
    with pytest.raises(InputError, match=f"decoding is '{decoding}', but a bundle's defaults"):
        Label(settings, Provenance("", {}), None, "", "")
