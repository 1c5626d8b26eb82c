"""Searches better settings: trains many short runs, and compares their validation scores.

Optuna proposes the values (Akiba et al. 2019) by the tree-structured Parzen estimator (Bergstra et al. 2011), and ends
trials early whose scores are worse than the median of earlier ones at the same step.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recycle.config import Pipeline
from recycle.config.write import to_toml
from recycle.dataset.shots import Shot
from recycle.errors import ConfigError, FootageError, Interrupted, OutputError, RecycleError
from recycle.events import Event, Job, Review, Step
from recycle.run_folder import RunFolder
from recycle.runs.pipeline import check_pipeline, prepare_footage
from recycle.runs.varied import Choices, Span, Value, check_varied, current, with_values
from recycle.system.atomic import write_text
from recycle.system.disk import writing
from recycle.system.lock import only_one
from recycle.training.loop import train
from recycle.training.validation import Scores

if TYPE_CHECKING:
    import optuna

STUDY = "study.log"
"""Optuna's journal of the trials, in the folder of the search."""
BEST = "best.toml"
"""The pipeline file with the best values."""
FIRST = 5
"""Number of trials before any is ended early, because it takes some to know what is usual."""


@dataclass(frozen=True)
class Trial:
    """A finished trial."""

    number: int
    values: Mapping[str, Value]
    score: float | None
    """Best validation score, lower is better; None if it failed, or was ended early."""
    outcome: str
    """'complete', 'ended early' or 'failed'."""


@dataclass(frozen=True)
class TuneReport:
    """The result of a search."""

    best: Trial
    pipeline: Path
    """Pipeline file with the best values."""
    trials: tuple[Trial, ...]
    """All trials, in order. The first has the pipeline's own values, if these are among the choices."""


class _EndedEarly(Exception):
    """Raised by the observer of a trial that is not promising."""


def search(
    pipeline: Pipeline, folder: Path, *, vary: Mapping[str, Choices], trials: int, job: Job | None = None
) -> TuneReport:
    """Train `trials` runs of the pipeline with different values of the settings `vary`; the same call continues.

    `vary` maps dotted names of settings to a Span or to a list of values. `folder` gets the extracted frames, the run
    of each trial, the journal and BEST. Steps or hours of the pipeline are those of one trial: choose a fraction of the
    intended length. Scores are those on held-out frames (`recycle.training.validation`).

    Raises ConfigError for invalid settings, if optuna is not installed, or if `folder` holds another search;
    FootageError for unusable footage; OutputError if the folder cannot be written or is in use; RecycleError if no
    trial has a score; Interrupted if the job is cancelled.
    """
    job = job or Job()
    check_varied(pipeline, vary)
    check_pipeline(pipeline)
    optuna = _optuna()
    refusal = f"another recycle process is using {folder}; wait for it, stop it, or give another --out folder"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with only_one(RunFolder(folder).lock, refusal):
        study = _open_study(optuna, pipeline, folder, vary)
        _, *shots = prepare_footage(pipeline, RunFolder(folder), job=job)
        state = _Search(pipeline, folder, dict(vary), (shots[0], shots[1]), study, optuna, job)
        while (number := state.next_of(trials)) is not None:
            state.run(number, trials)
        return state.report()


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError("tuning needs optuna; run: pip install 'recycle[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _open_study(optuna: Any, pipeline: Pipeline, folder: Path, vary: Mapping[str, Choices]) -> "optuna.Study":
    """The study in the folder, begun if it is new. Raises ConfigError if it has another pipeline or other settings."""
    about = pipeline.model_dump_json() + json.dumps({name: repr(choices) for name, choices in vary.items()})
    digest = hashlib.sha256(about.encode()).hexdigest()[:16]
    with writing(folder / STUDY):
        backend = optuna.storages.journal.JournalFileBackend(str(folder / STUDY))
        study: optuna.Study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend), study_name="recycle", load_if_exists=True
        )
    if study.user_attrs.setdefault("of", digest) != digest:
        raise ConfigError(f"{folder} holds a search with another pipeline or other --vary; give another --out")
    if not study.trials:
        study.set_user_attr("of", digest)
        own = current(pipeline, vary)
        if own is not None:
            study.enqueue_trial(own)
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=FIRST)
    return study


@dataclass(frozen=True)
class _Search:
    """A search in progress."""

    pipeline: Pipeline
    folder: Path
    vary: Mapping[str, Choices]
    shots: tuple[list[Shot], list[Shot]]
    study: "optuna.Study"
    optuna: Any
    job: Job

    def next_of(self, count: int) -> int | None:
        """Number of the next trial, an interrupted one first; None if `count` trials have ended."""
        states = self.optuna.trial.TrialState
        for trial in self.study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            return int(trial.number)
        ended = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished()]
        return self.study.ask(self._distributions()).number if len(ended) < count else None

    def _distributions(self) -> dict[str, Any]:
        kinds = self.optuna.distributions

        def of(choices: Choices) -> Any:
            if not isinstance(choices, Span):
                return kinds.CategoricalDistribution(tuple(choices))
            kind = kinds.IntDistribution if choices.whole else kinds.FloatDistribution
            return kind(choices.low, choices.high, log=choices.log)

        return {name: of(choices) for name, choices in self.vary.items()}

    def run(self, number: int, count: int) -> None:
        """Train one trial, and record its score."""
        states = self.optuna.trial.TrialState
        stored = self.study.trials[number]
        trial = self.optuna.trial.Trial(self.study, stored._trial_id)
        where = RunFolder(self.folder / "trials" / f"{number:03d}")
        heading = f"trial {number + 1} of {count}: {_listed(stored.params)}"
        self.job.say(heading)
        try:
            train(
                with_values(self.pipeline, stored.params),
                *self.shots,
                where.folder,
                surveyed=True,
                job=self.job.observed_by(_Watch(self.job, trial, set(stored.intermediate_values))),
            )
        except _EndedEarly:
            self.study.tell(number, state=states.PRUNED)
            self.job.say(f"trial {number + 1}: ended early, because it scores worse than most trials at this step")
        except (Interrupted, OutputError, FootageError):
            raise  # the same call continues this trial
        except RecycleError as error:
            self.study.tell(number, state=states.FAIL)
            self.job.say(f"trial {number + 1}: failed: {error}")
        else:
            score = Scores.read(where.validation).best
            if score is None:
                self.study.tell(number, state=states.FAIL)
                self.job.say(f"trial {number + 1}: has no validation score")
            else:
                self.study.tell(number, score[1])
                self.job.say(f"trial {number + 1}: score {score[1]:.3f} at step {score[0]}")
        where.checkpoint.unlink(missing_ok=True)  # the largest file of a run; this one will not continue

    def report(self) -> TuneReport:
        """Write the best pipeline. Raises RecycleError if no trial has a score."""
        names = {"COMPLETE": "complete", "PRUNED": "ended early"}
        trials = tuple(
            Trial(each.number, each.params, each.values and each.values[0], names.get(each.state.name, "failed"))
            for each in self.study.trials
            if each.state.is_finished()
        )
        scored = [trial for trial in trials if trial.score is not None]
        if not scored:
            raise RecycleError(
                f"none of {len(trials)} trials has a score; see the messages above, and give the trials more steps or "
                "narrower --vary"
            )
        best = min(scored, key=lambda trial: math.inf if trial.score is None else trial.score)
        file = self.folder / BEST
        head = (f"The best of {len(trials)} trials: {_listed(best.values)}; validation score {best.score:.3f}.",)
        with writing(file):
            write_text(file, to_toml(with_values(self.pipeline, best.values), head=head))
        return TuneReport(best, file, trials)


@dataclass
class _Watch:
    """Observes a trial: passes its scores to Optuna, and ends it after a review if it is not promising."""

    job: Job
    trial: Any
    known: set[int]
    """Steps whose scores Optuna has; a continued run repeats some."""
    reviewed: bool = False

    def __call__(self, event: Event) -> None:
        self.job.emit(event)
        if isinstance(event, Review):
            if event.step not in self.known:
                self.trial.report(event.score, event.step)
                self.known.add(event.step)
            self.reviewed = True
        elif isinstance(event, Step) and self.reviewed:
            self.reviewed = False
            if event.step < event.steps and self.trial.should_prune():
                raise _EndedEarly


def _listed(values: Mapping[str, Value]) -> str:
    shown = {name: f"{value:.3g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return ", ".join(f"{name} = {value}" for name, value in shown.items())
