"""Every file that can be made of a bundle: its inputs and outputs, and the words of the runtime."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import cxrscribe
from cxrscribe import BeamSettings, InputError
from cxrscribe.bundle.bundle import Bundle
from cxrscribe_export.onefile.bundle_graphs import tensors
from cxrscribe_export.onefile.file import one_file
from cxrscribe_export.onefile.variant import CHOICES, Variant
from support.one_file import Film, Result, read_results, results_of, session_on
from support.small_bundle import INDICATIONS, SmallBundle

SETTINGS = BeamSettings(beam_width=4, n_best=4, max_length=10, min_length=1, length_penalty=0.7)
TOLD = (*INDICATIONS, None)
FILMS = [
    np.random.default_rng(number).integers(0, 256, size, np.uint8)
    for number, size in enumerate([(24, 32), (50, 41), (200, 300), (17, 90)])
]


def variants() -> list[Variant]:
    """All that don't contradict themselves."""
    found = []
    for values in itertools.product(*CHOICES.values()):
        try:
            found.append(Variant(*values))
        except InputError:
            continue
    return found


@pytest.fixture(scope="module", params=[0, 4], ids=["film", "film and text"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    small = SmallBundle(seed=4, words=30, hidden=32, fused=True, patient=request.param, settings=SETTINGS)
    return Bundle.open(small.write(tmp_path_factory.mktemp("variants") / "bundle"))


def reads_text(bundle: Bundle) -> bool:
    return bundle.manifest.architecture.patient_size > 0


def of_runtime(bundle: Bundle) -> tuple[list[list[Result]], NDArray[np.float32], NDArray[np.float32] | None]:
    """Results, features and what is known of the patients."""
    texts = TOLD if reads_text(bundle) else None
    with cxrscribe.load(bundle.path, device="cpu", cache=False) as reporter:
        features = reporter.encode(FILMS)
        patient = reporter.encode_indications(texts) if texts else None
        reports = reporter.decode_features(features, SETTINGS, indications=texts)
    return [results_of(report) for report in reports], features, patient


def seen_by(variant: Variant, bundle: Bundle, features: NDArray[np.float32]) -> list[dict[str, Any]]:
    """What the file takes of the films, as often as it has to run."""
    if variant.part == "search":
        return [{"features": features}]
    if variant.input == "film":
        return [{"film": film} for film in FILMS]
    return [{"image": np.stack([bundle.manifest.preprocessing.apply(film) for film in FILMS])}]


def given_to(variant: Variant) -> dict[str, Any]:
    if variant.settings == "defaults":
        return {}
    return {
        "beam_width": np.array(SETTINGS.beam_width),
        "max_length": np.array(SETTINGS.max_length),
        "min_length": np.array(SETTINGS.min_length),
        "length_penalty": np.array(SETTINGS.length_penalty, np.float32),
    }


def run_all(
    session: Any, seen: Sequence[dict[str, Any]], rest: dict[str, Any], patient: NDArray[np.float32] | None
) -> list[NDArray[Any]]:
    outputs = []
    for place, each in enumerate(seen):
        rows = slice(None) if len(seen) == 1 else slice(place, place + 1)
        outputs.append(
            session.run(None, each | rest | ({} if patient is None else {"patient": patient[rows]}))
        )
    return [np.concatenate(each) for each in zip(*outputs, strict=True)]


@pytest.mark.parametrize("variant", variants(), ids=lambda variant: "-".join(variant.to_json().values()))
def test_words_are_those_of_the_runtime(bundle: Bundle, variant: Variant) -> None:
    wanted, features, patient = of_runtime(bundle)
    model = one_file(bundle, variant=variant)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    found = run_all(
        session_on(model),
        seen_by(variant, bundle, features),
        given_to(variant),
        None if variant.part == "encoder" else patient,
    )
    exact = variant.weights == "fp32"
    if variant.part == "encoder":
        np.testing.assert_allclose(
            found[0], features, rtol=1e-6 if exact else 1e-2, atol=1e-6 if exact else 1e-2
        )
    elif exact:
        assert read_results(found) == wanted
    else:
        scores = [[each.score for each in results] for results in read_results(found)]
        np.testing.assert_allclose(scores, [[each.score for each in results] for results in wanted], atol=0.1)
        assert scores != [[each.score for each in results] for results in wanted]


@pytest.mark.parametrize("variant", variants(), ids=lambda variant: "-".join(variant.to_json().values()))
def test_inputs_outputs_and_metadata(bundle: Bundle, variant: Variant) -> None:
    model = one_file(bundle, variant=variant)
    architecture = bundle.manifest.architecture
    first = {
        "image": {"image": "uint8 [N, 24, 32]"},
        "film": {"film": "uint8 [height, width]"},
    }[variant.input]
    features = {"features": f"float32 [N, {architecture.feature_size}]"}
    settings = {
        **dict.fromkeys(("beam_width", "max_length", "min_length"), "int64"),
        "length_penalty": "float32",
        **({"patient": "float32 [patients, 4]"} if reads_text(bundle) else {}),
    }
    reports = {
        "tokens": "int64 [N, beam_width, max_length]",
        "lengths": "int64 [N, beam_width]",
        "scores": "double [N, beam_width]",
        "finished": "bool [N, beam_width]",
    }
    inputs = (features if variant.part == "search" else first) | (
        settings if variant.part != "encoder" else {}
    )
    assert tensors(model.graph.input) == inputs
    assert tensors(model.graph.output) == (features if variant.part == "encoder" else reports)
    required = {each.name for each in session_on(model).get_inputs()}
    assert required == (set(inputs) if variant.settings == "inputs" else set(inputs) - set(settings))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["variant"]) == variant.to_json()
    assert ("patient_text" in metadata) == ("patient" in inputs)
    checksums = json.loads(metadata["bundle_sha256"])
    assert ("encoder.onnx" in checksums) == (variant.part != "search")
    assert ("beam_step.onnx" in checksums) == (variant.part != "encoder")


def test_without_a_choice_it_goes_from_images_to_words() -> None:
    assert Variant() == Variant("whole", "image", "defaults", "fp32")
    assert len(variants()) == 16


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"part": "decoder"}, "part is 'decoder'; it has to be one of whole, encoder, search"),
        ({"input": None}, "input is None"),
        ({"weights": "int8"}, "one of fp32, fp16"),
        ({"part": "search", "input": "film"}, "takes features and no film"),
        ({"part": "encoder", "settings": "inputs"}, "has no settings"),
    ],
    ids=str,
)
def test_what_contradicts_itself_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Variant(**fields)


def test_a_film_gets_the_words_of_its_picture(bundle: Bundle) -> None:
    whole = session_on(one_file(bundle))
    of_films = session_on(one_file(bundle, variant=Variant(input="film")))
    film: Film
    for film in FILMS:
        fitted = bundle.manifest.preprocessing.apply(film)
        for own, other in zip(
            of_films.run(None, {"film": film}), whole.run(None, {"image": fitted[None]}), strict=True
        ):
            np.testing.assert_array_equal(own, other)


def test_parts_beside_each_other_are_the_whole(bundle: Bundle) -> None:
    encoder, search, whole = (
        session_on(one_file(bundle, variant=Variant(part))) for part in ("encoder", "search", "whole")
    )
    images = np.stack([bundle.manifest.preprocessing.apply(film) for film in FILMS])
    (features,) = encoder.run(None, {"image": images})
    for own, other in zip(
        search.run(None, {"features": features}), whole.run(None, {"image": images}), strict=True
    ):
        np.testing.assert_array_equal(own, other)
    assert encoder.run(None, {"image": images[:0]})[0].shape == (0, features.shape[1])
    assert search.run(None, {"features": features[:0]})[1].shape == (0, SETTINGS.beam_width)
