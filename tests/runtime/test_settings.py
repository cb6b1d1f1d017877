from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from cxrscribe.errors import BundleError, CxrscribeError, InputError, SettingsError
from cxrscribe.json_object import JsonObject
from cxrscribe.settings import BeamSettings, settings_of_each, settings_of_stream


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("beam_width", 0, "beam_width is 0"),
        ("beam_width", 2.0, "whole number"),
        ("beam_width", True, "whole number"),
        ("max_length", 0, "max_length is 0"),
        ("max_length", 10**9, "max_length"),
        ("min_length", -1, "min_length is -1"),
        ("min_length", 61, "above max_length 60"),
        ("length_penalty", float("nan"), "finite"),
        ("length_penalty", float("inf"), "finite"),
        ("length_penalty", 11, "from -10"),
        ("length_penalty", "1", "finite"),
        pytest.param("length_penalty", 10**400, "finite", id="huge"),
        ("length_penalty", True, "finite"),
        ("n_best", 4, "beam_width 3"),
        ("n_best", 0, "n_best is 0"),
        ("no_repeat_ngram", -1, "no_repeat_ngram is -1"),
        ("banned_words", "effusion", "tuple of words"),
        ("banned_words", (1,), "banned_words has 1"),
        ("banned_words", ("<end>",), "<end>"),
        ("decoding", "greedy", "decoding is 'greedy'; it has to be one of 'beam', 'sample', 'consensus'"),
        ("decoding", ["beam"], "decoding is"),
        ("temperature", 0, "temperature is 0.0; it has to be from 0.01"),
        ("temperature", float("nan"), "finite"),
        ("top_k", -1, "top_k is -1"),
        ("top_k", 1.5, "whole number"),
        ("samples", 0, "samples is 0"),
        ("samples", 257, "samples is 257"),
        ("seed", -1, "seed is -1"),
        ("seed", 2**63, "seed is"),
    ],
)
def test_wrong_value_is_refused_by_name(field: str, value: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        BeamSettings(**{field: value})


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", 0.7), ("top_k", 20), ("samples", 4), ("seed", 1)]
)
def test_beam_search_refuses_by_name_what_is_for_samples(name: str, value: float) -> None:
    with pytest.raises(
        SettingsError, match=f"{name} is {value}, but decoding is 'beam', which draws nothing"
    ):
        BeamSettings(**{name: value})  # type: ignore[arg-type]
    for decoding in ("sample", "consensus"):
        fields = {"decoding": decoding, "samples": 3, name: value}
        assert getattr(BeamSettings(**fields), name) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"decoding": "sample", "n_best": 2}, "n_best is 2, but of 1 samples"),
        ({"decoding": "sample", "samples": 4, "n_best": 5}, "n_best is 5, but of 4 samples"),
        ({"decoding": "consensus"}, "samples is 1, but a consensus needs 3 or more"),
        ({"decoding": "consensus", "samples": 3, "length_penalty": 0.5}, "length_penalty is 0.5"),
    ],
)
def test_samples_refuse_by_name_what_does_not_go_together(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        BeamSettings(**fields)


def test_more_results_than_the_beam_is_wide_are_no_matter_for_samples() -> None:
    assert BeamSettings(beam_width=1, decoding="sample", samples=4, n_best=4).n_best == 4


def test_error_is_also_a_value_error() -> None:
    with pytest.raises(ValueError, match="beam_width"):
        BeamSettings(beam_width=0)


def test_settings_are_frozen_and_hashable() -> None:
    settings = BeamSettings(banned_words=["a", "b"])  # type: ignore[arg-type]
    assert settings.banned_words == ("a", "b")
    assert hash(settings) == hash(BeamSettings(banned_words=("a", "b")))
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.beam_width = 4  # type: ignore[misc]


def test_numpy_numbers_become_plain_ones() -> None:
    settings = BeamSettings(beam_width=np.int64(4), length_penalty=np.float32(0.5))  # type: ignore[arg-type]
    assert (type(settings.beam_width), type(settings.length_penalty)) == (int, float)


def test_json_gives_the_same_settings_back() -> None:
    settings = BeamSettings(5, 40, 3, 0.7, 2, 3, ("left",))
    assert BeamSettings.from_json(JsonObject(settings.to_json(), "settings")) == settings


@pytest.mark.parametrize("decoding", ["sample", "consensus"])
def test_json_of_samples_gives_the_same_settings_back(decoding: str) -> None:
    settings = BeamSettings(5, 40, 3, 0.0, 2, 3, ("left",), decoding, 0.7, 20, 4, 2**63 - 1)
    assert BeamSettings.from_json(JsonObject(settings.to_json(), "settings")) == settings


def test_json_of_beam_search_has_not_changed() -> None:
    """Runs, bundles and evaluations of earlier versions are known by these bytes."""
    written = json.dumps(BeamSettings(5, 40, 3, 0.7, 2, 3, ("left",)).to_json())
    assert written == (
        '{"beam_width": 5, "max_length": 40, "min_length": 3, "length_penalty": 0.7, "n_best": 2, '
        '"no_repeat_ngram": 3, "banned_words": ["left"]}'
    )


@pytest.mark.parametrize("missing", ["temperature", "top_k", "samples", "seed"])
def test_json_of_samples_has_to_be_whole(missing: str) -> None:
    fields = BeamSettings(decoding="sample").to_json()
    del fields[missing]
    with pytest.raises(InputError, match=f"no field '{missing}'"):
        BeamSettings.from_json(JsonObject(fields, "settings"))


def test_json_with_what_is_for_samples_and_no_decoding_is_refused() -> None:
    fields = BeamSettings().to_json() | {"temperature": 0.7}
    with pytest.raises(InputError, match="unknown field 'temperature'"):
        BeamSettings.from_json(JsonObject(fields, "settings"))


@pytest.mark.parametrize("error", [BundleError, InputError])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"beam_width": "3"}, "beam_width is '3'"),
        ({"beam_width": 0}, "beam_width is 0"),
        ({"beam_size": 3}, "unknown field 'beam_size'"),
        ({"banned_words": "no"}, "banned_words is 'no'"),
        ({"length_penalty": True}, "length_penalty is True"),
    ],
)
def test_wrong_json_names_the_field_in_the_documents_own_error(
    change: dict[str, object], said: str, error: type[CxrscribeError]
) -> None:
    fields = JsonObject(BeamSettings().to_json() | change, "settings", error)
    with pytest.raises(error, match=said):
        BeamSettings.from_json(fields)


def test_one_for_all_or_one_for_each() -> None:
    one, other = BeamSettings(), BeamSettings(beam_width=1)
    assert settings_of_each(one, 3) == [one, one, one]
    assert settings_of_each([one, other], 2) == [one, other]
    with pytest.raises(SettingsError, match="2 settings for 3 images"):
        settings_of_each([one, other], 3)


def test_stream_of_settings_that_runs_out_is_an_error() -> None:
    stream = settings_of_stream(iter([BeamSettings()]))
    next(stream)
    with pytest.raises(SettingsError, match="fewer settings than images"):
        next(stream)
