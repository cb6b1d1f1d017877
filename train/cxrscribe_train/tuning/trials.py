"""Short trainings, one a trial, in search of the settings with the lowest validation loss.

Optuna chooses the settings and ends trials that fall behind (Akiba et al., Optuna: A Next-generation
Hyperparameter Optimization Framework, KDD 2019, arXiv:1907.10902). What it draws for a trial follows from the
seed and the trials finished before, and a trial that was cut goes on from its checkpoint: a search that was
killed and called again makes the trials of one that wasn't.

    OUT/search.log       Optuna's journal: every trial, each line written when it happens
    OUT/trials/NNN/      the run folder of a trial; only that of the best keeps its weights
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cxrscribe.bundle.files import sha256_of
from cxrscribe.errors import CxrscribeError, InputError
from cxrscribe_train.fitting.checkpoint import EpochRecord, has_checkpoint
from cxrscribe_train.fitting.config import Override, TrainingConfig, build_config
from cxrscribe_train.run import CHECKPOINT_FOLDER
from cxrscribe_train.training import Progress, train
from cxrscribe_train.tuning.space import Dimension

if TYPE_CHECKING:
    import optuna

_JOURNAL: Final = "search.log"
_TRIALS_FOLDER: Final = "trials"
_STUDY: Final = "validation loss"
_PLAN: Final = "plan"
_FOLDER: Final = "folder"
_EPOCHS: Final = "epochs"
_SECONDS: Final = "seconds"
_DIVERGED: Final = "diverged"
# Before these the model of the space knows nothing, and there is no median to fall behind.
_DRAWN_FIRST: Final = 8
_UNPRUNED_TRIALS: Final = 4
_UNPRUNED_EPOCHS: Final = 2


@dataclass(frozen=True)
class SearchPlan:
    """What is searched: a corpus, the settings that all trials share, and what each may choose.

    `trials` and `minutes` are the budget: trials in all calls together, and minutes of this call; one of
    them may be None. Every trial has the seed of the shared settings, and `seed` is that of the choices.
    """

    corpus: Path
    features: Path | None
    out: Path
    shared: tuple[Override, ...]
    end_to_end: bool
    space: tuple[Dimension, ...]
    trials: int | None
    minutes: float | None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials is None and self.minutes is None:
            raise InputError("a search without end; give --trials, --minutes or both")
        chosen = {(dimension.section, dimension.name) for dimension in self.space}
        for override in self.shared:
            if (override.section, override.name) in chosen:
                raise InputError(
                    f"{override.section}.{override.name} is given, and is to be chosen too; leave it out of "
                    "the config or out of the space"
                )
        config = build_config(list(self.shared), end_to_end=self.end_to_end)
        if config.self_critical.is_on or any(section == "self_critical" for section, _ in chosen):
            raise InputError(
                "a search compares validation losses, which say nothing of self-critical epochs; leave "
                "[self_critical] out, and train the winner with --self-critical"
            )

    def config(self, chosen: list[Override]) -> TrainingConfig:
        """The config of a trial."""
        return build_config([*self.shared, *chosen], end_to_end=self.end_to_end)

    def identity(self) -> dict[str, object]:
        """What makes trials comparable, as JSON: a search goes on only with the same."""
        shared = build_config(list(self.shared), end_to_end=self.end_to_end)
        return {
            "corpus": sha256_of(self.corpus / "reports.csv"),
            "features": None if self.features is None else sha256_of(self.features),
            "shared settings": hashlib.sha256(shared.to_toml().encode()).hexdigest(),
            "space": [dimension.to_json() for dimension in self.space],
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Trial:
    """A trial that has ended. `state` is `finished`, `pruned` (it fell behind) or `diverged` (no number)."""

    number: int
    state: str
    val_loss: float | None
    """Of the best epoch so far, in nats a token; None where no epoch was finished."""
    epochs: int
    seconds: float
    settings: Mapping[str, int | float | str]
    folder: Path


@dataclass(frozen=True)
class SearchResult:
    """All trials that have ended, in their order, and whether the budget is used up."""

    trials: tuple[Trial, ...]
    complete: bool

    @property
    def best(self) -> Trial | None:
        """The finished trial with the lowest validation loss, the first of equals."""
        finished = [trial for trial in self.trials if trial.state == "finished"]
        return min(finished, key=lambda trial: trial.val_loss or 0.0, default=None)


def search(
    plan: SearchPlan,
    stop: Callable[[], bool] = lambda: False,
    ended: Callable[[SearchResult], None] = lambda result: None,
    epoch: Callable[[int, EpochRecord], None] = lambda number, record: None,
) -> SearchResult:
    """Run trials until the budget is used up; what an earlier call did in `plan.out` counts.

    Args:
        plan: what is searched.
        stop: asked after each film that is prepared and each step; the present trial then goes on in the
            next call.
        ended: told after each trial.
        epoch: told after each epoch of a trial, with the trial's number.

    Raises:
        InputError: the corpus, features or settings can't be used, or the folder holds another search.
    """
    study = _open_study(plan)
    _take_up_what_was_cut(study)
    result = _result(study, plan)
    _drop_all_but_the_best(result)
    deadline = None if plan.minutes is None else time.monotonic() + 60.0 * plan.minutes

    def over() -> bool:
        return stop() or (deadline is not None and time.monotonic() >= deadline)

    while not result.complete and not over():
        study.sampler = _sampler(plan.seed, len(result.trials))
        if not _run_trial(study, plan, over, epoch):
            break
        result = _result(study, plan)
        _drop_all_but_the_best(result)
        ended(result)
    return result


def _open_study(plan: SearchPlan) -> optuna.Study:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(plan.out / _JOURNAL)))
        study = optuna.create_study(
            storage=storage,
            study_name=_STUDY,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=_UNPRUNED_TRIALS, n_warmup_steps=_UNPRUNED_EPOCHS
            ),
        )
    except OSError as error:
        raise InputError(f"can't write {plan.out}: {error}; choose another folder") from None
    except (ValueError, KeyError) as error:
        raise InputError(f"{plan.out / _JOURNAL} is damaged ({error}); give another --out") from None
    identity = json.loads(json.dumps(plan.identity()))
    begun = study.user_attrs.get(_PLAN)
    if begun is None:
        study.set_user_attr(_PLAN, identity)
        return study
    for name, value in identity.items():
        if begun.get(name) != value:
            raise InputError(
                f"the search in {plan.out} was begun with another {name}; give the one it was begun with, or "
                "another --out"
            )
    return study


def _take_up_what_was_cut(study: optuna.Study) -> None:
    """Trials that are still running were cut: the same settings come again, in the same folder."""
    from optuna.trial import TrialState

    for cut in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _FOLDER in cut.user_attrs:  # else nothing was done, and the same will be drawn again
            study.enqueue_trial(cut.params, user_attrs={_FOLDER: _folder_name(cut)})
        study.tell(cut.number, state=TrialState.FAIL)


def _sampler(seed: int, finished: int) -> optuna.samplers.BaseSampler:
    """Tree-structured Parzen estimators, anew for each trial: a resumed search draws what it would have."""
    import optuna

    drawn = int(np.random.SeedSequence((seed, finished)).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=drawn, n_startup_trials=_DRAWN_FIRST)


def _run_trial(
    study: optuna.Study,
    plan: SearchPlan,
    over: Callable[[], bool],
    on_epoch: Callable[[int, EpochRecord], None],
) -> bool:
    """Run one trial; False when it was stopped before its end."""
    from optuna.trial import TrialState

    number = len(_ended(study)) + 1
    trial = study.ask()
    config = plan.config([dimension.suggest(trial) for dimension in plan.space])
    folder = plan.out / _TRIALS_FOLDER / trial.user_attrs.get(_FOLDER, f"{number:03d}")
    trial.set_user_attr(_FOLDER, folder.name)
    resume = has_checkpoint(folder / CHECKPOINT_FOLDER)
    records = _logged(folder) if resume else []
    for record in records:
        trial.report(record.val_loss, record.epoch)
    behind = bool(records) and trial.should_prune()

    def close_epoch(record: EpochRecord, _best: bool) -> None:
        nonlocal behind
        records.append(record)
        trial.report(record.val_loss, record.epoch)
        on_epoch(number, record)
        behind = trial.should_prune()

    state, diverged = TrialState.COMPLETE, False
    try:
        result = train(
            plan.corpus,
            folder,
            config,
            plan.features,
            resume=resume,
            stop=lambda: behind or over(),
            progress=Progress(epoch=close_epoch),
        )
        if behind and not result.finished:
            state = TrialState.PRUNED
        elif not result.finished:
            return False
    except InputError:
        raise
    except CxrscribeError:  # a loss that is no number: these settings are no good
        state, diverged = TrialState.PRUNED, True
    trial.set_user_attr(_EPOCHS, len(records))
    trial.set_user_attr(_SECONDS, round(sum(record.seconds for record in records), 3))
    trial.set_user_attr(_DIVERGED, diverged)
    best = min((record.val_loss for record in records), default=None)
    study.tell(trial, best if state == TrialState.COMPLETE else None, state=state)
    return True


def _logged(folder: Path) -> list[EpochRecord]:
    """The epochs that a cut trial had finished, as its checkpoint has them."""
    place = json.loads((folder / CHECKPOINT_FOLDER / "state.json").read_text(encoding="utf-8"))
    return [EpochRecord(**record) for record in place["state"]["history"]]


def _ended(study: optuna.Study) -> list[Any]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _result(study: optuna.Study, plan: SearchPlan) -> SearchResult:
    trials = tuple(_trial(number, ended, plan) for number, ended in enumerate(_ended(study), start=1))
    return SearchResult(trials, complete=plan.trials is not None and len(trials) >= plan.trials)


def _trial(number: int, ended: Any, plan: SearchPlan) -> Trial:
    about = ended.user_attrs
    state = "diverged" if about[_DIVERGED] else "finished" if ended.state.name == "COMPLETE" else "pruned"
    return Trial(
        number=number,
        state=state,
        val_loss=min(ended.intermediate_values.values(), default=None),
        epochs=about[_EPOCHS],
        seconds=about[_SECONDS],
        settings={dimension.name: ended.params[dimension.name] for dimension in plan.space},
        folder=plan.out / _TRIALS_FOLDER / _folder_name(ended),
    )


def _folder_name(trial: Any) -> str:
    return str(trial.user_attrs[_FOLDER])


def _drop_all_but_the_best(result: SearchResult) -> None:
    """A trial's weights are as large as a model: of those that are not the best, config and log stay."""
    best = result.best
    for trial in result.trials:
        if trial is best:
            continue
        shutil.rmtree(trial.folder / CHECKPOINT_FOLDER, ignore_errors=True)
        for weights in trial.folder.glob("*.safetensors"):
            weights.unlink(missing_ok=True)
