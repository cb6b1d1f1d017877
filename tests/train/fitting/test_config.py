from __future__ import annotations

from pathlib import Path

import pytest

from cxrscribe.errors import InputError
from cxrscribe_train.fitting.config import (
    Override,
    TrainingConfig,
    build_config,
    options,
    read_overrides,
    read_written,
)


def test_a_config_survives_its_toml(tmp_path: Path) -> None:
    config = build_config(
        [
            Override("network", "backbone_options", {"scale": 0.25}),
            Override("fit", "learning_rate", 0.002),
            Override("augmentation", "rotation", 3),
        ],
        end_to_end=True,
    )
    (tmp_path / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    end_to_end, overrides = read_overrides(tmp_path / "config.toml")
    assert build_config(overrides, end_to_end=bool(end_to_end)) == config
    assert config.augmentation.rotation == 3.0


END_TO_END_ONLY = (
    Override("fit", "weights", "imagenet"),
    Override("fit", "finding_loss", 2.0),
    Override("fit", "word_loss", 0.0),
    Override("fit", "calibration_films", 64),
    *(Override("augmentation", name, 0.03) for name in ("shift", "scale", "crop", "brightness", "contrast")),
    Override("augmentation", "rotation", 3.0),
)


@pytest.mark.parametrize("override", END_TO_END_ONLY, ids=str)
def test_what_changes_nothing_on_features_is_refused_there(override: Override) -> None:
    with pytest.raises(InputError, match=rf"{override.section}\.{override.name} is .*--end-to-end"):
        build_config([override], end_to_end=False)
    build_config([override], end_to_end=True)


def test_the_toml_of_a_training_on_features_holds_what_it_uses(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    config = build_config([Override("fit", "memory_loss", 0.1)], end_to_end=False)
    path.write_text(config.to_toml(), encoding="utf-8")
    end_to_end, overrides = read_overrides(path)
    assert build_config(overrides, end_to_end=bool(end_to_end)) == config
    written = {(override.section, override.name) for override in overrides}
    assert not written & {(override.section, override.name) for override in END_TO_END_ONLY}
    assert {("network", "backbone"), ("fit", "memory_loss"), ("fit", "seed")} <= written


def test_a_run_of_before_goes_on_with_the_words_that_it_was_begun_with(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    new = build_config([], end_to_end=False)
    path.write_text(new.to_toml(), encoding="utf-8")
    assert new.text.cleaning == 2
    assert read_written(path) == new
    old = build_config([Override("text", "cleaning", 1)], end_to_end=False)
    assert (
        "cleaning" not in old.to_toml()
    )  # as an earlier version wrote it, so that its checkpoints still fit
    path.write_text(old.to_toml(), encoding="utf-8")
    assert read_written(path) == old


@pytest.mark.parametrize("version", [0, 3])
def test_only_known_rules_of_cleaning(version: int) -> None:
    with pytest.raises(InputError, match=rf"text\.cleaning is {version}; give 1 or 2"):
        build_config([Override("text", "cleaning", version)], end_to_end=False)


def test_the_later_override_wins_and_the_rest_stays_default() -> None:
    config = build_config([Override("fit", "epochs", 3), Override("fit", "epochs", 7)], end_to_end=False)
    assert config.fit.epochs == 7
    assert config.network == TrainingConfig().network


def test_setting_names_are_unique_over_sections_and_explained() -> None:
    names = [setting.name for _, setting in options()]
    assert len(names) == len(set(names))
    assert all(setting.metadata["help"].endswith(".") for _, setting in options())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fit]\nepoch = 3", "'epoch'"),
        ("[fitting]\nepochs = 3", "'fitting'"),
        ("epochs = 3", "'epochs'"),
        ("end_to_end = 1", "end_to_end"),
        ("[fit]\nepochs = 'many'", "int"),
        ("[fit]\nepochs = true", "int"),
        ("[fit]\nepochs = 0", "epochs is 0"),
        ("[fit]\nbatch_size = 9\nprocesses = 2", "multiple of processes"),
        ("[network]\nbackbone_options = 3", "table"),
        ("[network]\ndropout = 1.0", "dropout"),
        ("[network", "TOML"),
    ],
)
def test_a_wrong_config_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        build_config(read_overrides(path)[1], end_to_end=False)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml"):
        read_overrides(tmp_path / "nowhere.toml")


def shown(default: object) -> object:
    return "none" if default == "" else default


def test_the_docs_name_every_setting_with_its_default() -> None:
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    missing = [
        setting.name
        for _, setting in options()
        if f"| `{setting.name}` | `--{setting.name.replace('_', '-')}` | {shown(setting.default)} |"
        not in page
    ]
    assert missing == []
