from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cxrscribe.embedded import demo_bundle
from cxrscribe.errors import InputError, SettingsError
from cxrscribe.settings import BeamSettings
from cxrscribe_train.commands.search import search
from cxrscribe_train.run import Run, keep_settings
from cxrscribe_train.training import train
from cxrscribe_train.tuning.decoding import Grid, Tried, best_of, try_all
from support.square_corpus import tiny_config

IDENTITY = {"model": "m", "films": ["a", "b"]}


@pytest.fixture(scope="module")
def trained(material: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("decoding") / "run"
    config = tiny_config(("fit", "epochs", 3), ("fit", "learning_rate", 0.02), end_to_end=False)
    train(material.corpus, out, config, material.features)
    return out


def tried(width: int, f1: float, bleu: float = 0.1, **others: Any) -> Tried:
    return Tried(
        BeamSettings(beam_width=width, **others),
        {"label_f1_micro": f1, "bleu_4": bleu},
        reports_per_second=9.0,
    )


def run(*arguments: object) -> Result:
    return CliRunner().invoke(search, ["decoding", *(str(argument) for argument in arguments)])


def test_every_combination_is_tried_over_the_defaults() -> None:
    defaults = BeamSettings(beam_width=8, max_length=40, n_best=4, banned_words=("xxxx",))
    found = Grid((1, 2), (0.0, 0.5, 1.0), (0,), (0, 3)).combinations(defaults)
    assert len(set(found)) == len(found) == 12
    assert {(one.max_length, one.n_best, one.banned_words) for one in found} == {(40, 1, ("xxxx",))}
    with pytest.raises(SettingsError, match="min_length"):
        Grid(min_length=(50,)).combinations(defaults)


def test_of_equals_the_better_text_and_then_the_narrower_beam_wins() -> None:
    assert best_of([tried(1, 0.5), tried(3, 0.6)], "label_f1_micro").settings.beam_width == 3
    assert best_of([tried(1, 0.5, 0.1), tried(3, 0.5, 0.2)], "label_f1_micro").settings.beam_width == 3
    assert best_of([tried(5, 0.5), tried(1, 0.5), tried(3, 0.5)], "label_f1_micro").settings.beam_width == 1


def test_what_was_tried_is_not_tried_again(tmp_path: Path) -> None:
    every = [BeamSettings(beam_width=width) for width in (1, 2, 3)]
    asked: list[int] = []

    def attempt(settings: BeamSettings) -> Tried:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(settings.beam_width)
        return tried(settings.beam_width, 0.1 * settings.beam_width)

    with pytest.raises(KeyboardInterrupt):
        list(try_all(tmp_path, IDENTITY, every, attempt))
    path = tmp_path / "decoding.jsonl"
    path.write_text(path.read_text() + '{"settings": {"beam', encoding="utf-8")  # killed while it wrote
    asked.clear()
    found = list(try_all(tmp_path, IDENTITY, every, attempt))
    assert asked == [3]
    assert [one.settings for one in found] == every
    assert [json.loads(line)["figures"] for line in path.read_text().splitlines()[1:]] == [
        dict(one.figures) for one in found
    ]


def test_trials_of_other_films_are_refused(tmp_path: Path) -> None:
    list(try_all(tmp_path, IDENTITY, [BeamSettings()], lambda settings: tried(3, 0.1)))
    with pytest.raises(InputError, match="of another films"):
        list(try_all(tmp_path, IDENTITY | {"films": ["a"]}, [BeamSettings()], lambda settings: tried(3, 0.1)))


@pytest.mark.parametrize("text", ["no json\n", "{}\n{}\n", '{}\n{"settings": 1}\n'])
def test_a_damaged_journal_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "decoding.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is damaged"):
        list(try_all(tmp_path, {}, [BeamSettings()], lambda settings: tried(3, 0.1)))


def test_the_best_settings_become_the_runs_defaults(trained: Path, material: Any, tmp_path: Path) -> None:
    grid = (
        "--beam-width",
        1,
        "--beam-width",
        3,
        "--length-penalty",
        0.5,
        "--min-length",
        2,
        "--no-repeat-ngram",
        0,
    )
    given = ("--corpus", material.corpus, "--features", material.features, "--out", tmp_path / "d")
    before = Run.open(trained).settings
    told = run(trained, *given, *grid)
    assert told.exit_code == 0, told.output
    assert Run.open(trained).settings == before
    kept = run(trained, *given, *grid, "--keep", "--json")
    assert kept.exit_code == 0, kept.output
    best = json.loads(kept.stdout)["best"]["settings"]
    settings = Run.open(trained).settings
    assert settings.to_json() == best
    assert (settings.length_penalty, settings.min_length) == (0.5, 2)
    assert settings.max_length == before.max_length
    assert settings.beam_width in (1, 3)
    record = json.loads((trained / "run.json").read_text())
    assert record["settings_chosen"]["split"] == "val"
    with (tmp_path / "d" / "decoding.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["beam_width"] for row in rows] == ["1", "3"]
    assert (tmp_path / "d" / "decoding.png").read_bytes().startswith(b"\x89PNG")


def test_films_are_encoded_where_there_are_no_features(trained: Path, material: Any, tmp_path: Path) -> None:
    grid = ("--beam-width", 2, "--length-penalty", 0, "--min-length", 0, "--no-repeat-ngram", 0, "--json")
    given = ("--corpus", material.corpus, *grid)
    from_films = run(trained, *given, "--out", tmp_path / "films")
    from_features = run(trained, *given, "--features", material.features, "--out", tmp_path / "features")
    assert from_films.exit_code == 0, from_films.output
    figures = [json.loads(result.stdout)["best"]["figures"] for result in (from_films, from_features)]
    assert figures[0].keys() == figures[1].keys()
    np.testing.assert_allclose([*figures[0].values()], [*figures[1].values()], atol=1e-6)


def test_a_bundle_is_tried_and_never_changed(material: Any, tmp_path: Path) -> None:
    grid = ("--beam-width", 1, "--length-penalty", 0, "--min-length", 0, "--no-repeat-ngram", 0)
    given = (demo_bundle(), "--corpus", material.corpus, "--out", tmp_path / "d", *grid)
    told = run(*given, "--by", "bleu_4")
    assert told.exit_code == 0, told.output
    assert "best by bleu_4: --beam-width 1" in told.stdout
    kept = run(*given, "--keep")
    assert isinstance(kept.exception, InputError)
    assert "bundles are never changed" in str(kept.exception)


def test_settings_are_kept_in_runs_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no run\.json"):
        keep_settings(tmp_path, BeamSettings(), {})
