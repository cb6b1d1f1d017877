from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cxrscribe.errors import InputError
from cxrscribe_train.commands.search import search as search_command
from cxrscribe_train.commands.train import train as train_command
from cxrscribe_train.fitting.config import Override
from cxrscribe_train.run import Run, read_config
from cxrscribe_train.tuning.results import write_results
from cxrscribe_train.tuning.space import Dimension
from cxrscribe_train.tuning.trials import SearchPlan, SearchResult, search

SHARED = (
    Override("fit", "batch_size", 4),
    Override("fit", "warmup_steps", 2),
    Override("fit", "epochs", 4),
    Override("network", "embedding_size", 8),
)
SPACE = (
    Dimension("network", "layers", choices=(1, 2)),
    Dimension("network", "hidden_size", low=8, high=24),
    Dimension("fit", "learning_rate", low=1e-3, high=3e-2, log=True),
)


SMALL = Override("network", "hidden_size", 8)


@pytest.fixture
def plan(material: Any, tmp_path: Path) -> SearchPlan:
    return plan_in(material, tmp_path / "search")


def plan_in(material: Any, out: Path) -> SearchPlan:
    return SearchPlan(
        corpus=material.corpus,
        features=material.features,
        out=out,
        shared=SHARED,
        end_to_end=False,
        space=SPACE,
        trials=4,
        minutes=None,
    )


@pytest.fixture(scope="module")
def straight(material: Any, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A search that nobody interrupted."""
    return search(plan_in(material, tmp_path_factory.mktemp("straight")))


def outcome(result: SearchResult) -> list[tuple[Any, ...]]:
    return [(trial.state, trial.val_loss, trial.epochs, dict(trial.settings)) for trial in result.trials]


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(10**6))
    return lambda: next(asked) >= steps


class KilledError(Exception):
    """Stands for a kill."""


def kill_after(epochs: int) -> Callable[[int, Any], None]:
    closed = iter(range(1, 10**6))

    def close(_number: int, _record: Any) -> None:
        if next(closed) == epochs:
            raise KilledError

    return close


def test_the_best_trial_is_the_one_with_the_lowest_loss(plan: SearchPlan) -> None:
    result = search(plan)
    assert result.complete
    assert [trial.number for trial in result.trials] == [1, 2, 3, 4]
    best = result.best
    assert best is not None
    finished = [trial for trial in result.trials if trial.state == "finished"]
    assert best.val_loss == min(trial.val_loss for trial in finished)
    assert len({tuple(trial.settings.items()) for trial in result.trials}) == 4
    run = Run.open(best.folder)
    assert run.best.val_loss == best.val_loss
    assert {name: getattr(run.config.network, name) for name in ("layers", "hidden_size")} == {
        name: best.settings[name] for name in ("layers", "hidden_size")
    }


def test_only_the_best_keeps_its_weights(plan: SearchPlan) -> None:
    result = search(plan)
    kept = [trial for trial in result.trials if (trial.folder / "decoder.safetensors").exists()]
    assert kept == [result.best]
    for trial in result.trials:
        assert read_config(trial.folder).network.layers == trial.settings["layers"]
        assert (trial.folder / "checkpoint").exists() == (trial is result.best)


def test_trials_that_fall_behind_are_ended(plan: SearchPlan) -> None:
    rates = Dimension("fit", "learning_rate", choices=(0.03, 0.003, 1e-7))
    result = search(replace(plan, space=(rates,), trials=9, shared=(*SHARED, SMALL)))
    pruned = [trial for trial in result.trials if trial.state == "pruned"]
    assert pruned
    assert result.best is not None
    assert all(trial.epochs < 4 for trial in pruned)
    assert all(trial.val_loss > result.best.val_loss for trial in pruned)


@pytest.mark.parametrize("steps", [1, 8, 20])
def test_a_search_that_was_interrupted_equals_a_straight_one(
    plan: SearchPlan, straight: SearchResult, steps: int
) -> None:
    assert not search(plan, stop=stop_after(steps)).complete
    assert outcome(search(plan)) == outcome(straight)


@pytest.mark.parametrize("epochs", [1, 6, 8])
def test_a_search_that_was_killed_loses_no_finished_trial(
    plan: SearchPlan, straight: SearchResult, epochs: int
) -> None:
    with pytest.raises(KilledError):
        search(plan, epoch=kill_after(epochs))
    told: list[int] = []
    assert outcome(search(plan, epoch=lambda number, record: told.append(number))) == outcome(straight)
    epochs_until = {
        trial.number: sum(other.epochs for other in straight.trials[: trial.number])
        for trial in straight.trials
    }
    done = {number for number, until in epochs_until.items() if until < epochs}
    assert not done & set(told)


def test_a_search_goes_on_with_a_larger_budget(plan: SearchPlan, straight: SearchResult) -> None:
    search(replace(plan, trials=2))
    assert search(replace(plan, trials=2)).complete
    assert outcome(search(plan)) == outcome(straight)


@pytest.mark.slow
def test_what_is_chosen_after_others_is_the_same_in_a_resumed_search(
    plan: SearchPlan, tmp_path: Path
) -> None:
    whole = search(replace(plan, trials=11))
    resumed = replace(plan, out=tmp_path / "resumed")
    search(replace(resumed, trials=9))
    assert outcome(search(replace(resumed, trials=11))) == outcome(whole)


def test_a_loss_that_is_no_number_ends_the_trial_and_not_the_search(plan: SearchPlan) -> None:
    rates = Dimension("fit", "learning_rate", choices=(1e30, 1e-2))
    result = search(replace(plan, space=(rates,), trials=5, shared=(*SHARED, SMALL)))
    states = {trial.settings["learning_rate"]: trial.state for trial in result.trials}
    assert states == {1e30: "diverged", 1e-2: "finished"}
    assert result.best is not None
    assert result.best.settings == {"learning_rate": 1e-2}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 1}, "seed"),
        ({"space": SPACE[:2]}, "space"),
        ({"shared": SHARED[:2]}, "shared settings"),
    ],
)
def test_another_search_in_the_same_folder_is_refused(plan: SearchPlan, change: Any, name: str) -> None:
    search(replace(plan, trials=1))
    with pytest.raises(InputError, match=f"begun with another {name}"):
        search(replace(plan, **change))


def test_a_setting_can_not_be_given_and_chosen(plan: SearchPlan) -> None:
    with pytest.raises(InputError, match=r"network\.layers is given, and is to be chosen too"):
        replace(plan, shared=(*SHARED, Override("network", "layers", 1)))
    with pytest.raises(InputError, match="without end"):
        replace(plan, trials=None)


def test_epochs_that_a_validation_loss_does_not_judge_are_refused(plan: SearchPlan) -> None:
    epochs = Override("self_critical", "self_critical_epochs", 2)
    with pytest.raises(InputError, match="say nothing of self-critical epochs"):
        replace(plan, shared=(*SHARED, epochs))
    chosen = Dimension("self_critical", "self_critical_epochs", low=1, high=3)
    with pytest.raises(InputError, match="say nothing of self-critical epochs"):
        replace(plan, space=(*SPACE, chosen))


def test_the_files_hold_every_trial_and_the_winner(plan: SearchPlan) -> None:
    result = search(plan)
    assert result.best is not None
    write_results(result, SPACE, plan.out)
    with (plan.out / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows] == [trial.val_loss for trial in result.trials]
    assert [row["fit.learning_rate"] for row in rows] == [
        str(trial.settings["learning_rate"]) for trial in result.trials
    ]
    assert (plan.out / "trials.png").read_bytes().startswith(b"\x89PNG")
    assert (plan.out / "best.toml").read_text() == (result.best.folder / "config.toml").read_text()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(search_command, [str(argument) for argument in arguments])


def test_the_command_tunes_and_train_takes_the_winner(material: Any, tmp_path: Path) -> None:
    config, space, out = tmp_path / "shared.toml", tmp_path / "space.toml", tmp_path / "search"
    config.write_text("[fit]\nepochs = 2\nbatch_size = 4\nwarmup_steps = 2\n", encoding="utf-8")
    space.write_text(
        "[network]\nlayers = [1, 2]\nhidden_size = [8, 16]\nembedding_size = [8]\n", encoding="utf-8"
    )
    given = ("--corpus", material.corpus, "--features", material.features, "--config", config)
    tuned = run("training", *given, "--out", out, "--space", space, "--trials", 2)
    assert tuned.exit_code == 0, tuned.output
    assert "trial 2 " in tuned.stderr
    assert f"--config {out / 'best.toml'} --out RUN" in tuned.stdout
    given = ("--corpus", material.corpus, "--features", material.features, "--config", out / "best.toml")
    trained = CliRunner().invoke(train_command, [str(each) for each in (*given, "--out", tmp_path / "run")])
    assert trained.exit_code == 0, trained.output
    again = run(
        "training", *given[:4], "--config", config, "--out", out, "--space", space, "--trials", 2, "--json"
    )
    assert again.exit_code == 0, again.output
    assert f'"val_loss": {Run.open(tmp_path / "run").best.val_loss!r}' in again.stdout


def test_minutes_in_which_no_trial_ends_are_too_few(material: Any, tmp_path: Path) -> None:
    given = ("--corpus", material.corpus, "--features", material.features, "--out", tmp_path / "search")
    result = run("training", *given, "--minutes", 1e-9)
    assert isinstance(result.exception, InputError)
    assert "no trial of 0 has finished" in str(result.exception)


def test_the_command_asks_for_features_or_films(material: Any, tmp_path: Path) -> None:
    given = ("training", "--corpus", material.corpus, "--out", tmp_path / "search", "--trials", 1)
    assert "--features FILE.h5" in str(run(*given).exception)
    both = run(*given, "--features", material.features, "--end-to-end")
    assert "exclude each other" in str(both.exception)
