"""All tasks by name: `labels`, and those of tools/tasks.toml on the street or on real footage."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycle.config import Pipeline
from recycle.events import Job
from tools.reproduction.judge import Judge
from tools.reproduction.labels import LabelsTask
from tools.reproduction.plan import (
    PLAN,
    TASKS,
    Overlay,
    RealSettings,
    StreetSettings,
    TaskPlan,
    chosen,
    digest,
    load_plan,
    load_tasks,
    merged,
    pipeline_of,
)
from tools.reproduction.real import real_films, real_footage
from tools.reproduction.sheets import write_sheet
from tools.reproduction.street import street_films, street_footage
from tools.reproduction.task import Films, Scores, Task, TrainingFootage, Translate
from tools.reproduction.truth import score_truth
from tools.reproduction.ways import STABILISED

LABELS = "labels"
USUAL = ("default", "published", "previous")


def open_task(name: str, size: str, *, plan: Path | None, footage: Path) -> Task:
    """A task at one of its plan's sizes; `footage` is the folder of real footage. Raises ConfigError."""
    if name == LABELS:
        return LabelsTask(load_plan(plan or PLAN), size)
    tasks = load_tasks(plan or TASKS)
    known: dict[str, StreetSettings | RealSettings | None] = {LABELS: None, **tasks.tasks}
    settings = chosen(known, [name], "task")[name]
    if isinstance(settings, StreetSettings):
        return StreetTask(name, tasks, settings, size)
    assert isinstance(settings, RealSettings)
    return RealTask(name, tasks, settings, size, footage)


class _Kind(ABC):
    """The common parts of the tasks of tools/tasks.toml."""

    usual = USUAL

    def __init__(self, name: str, plan: TaskPlan, settings: StreetSettings | RealSettings, size: str) -> None:
        self.name = name
        budget = chosen(plan.sizes, [size], "size")[size]
        self.size = budget.model_copy(update={"pipeline": merged(budget.pipeline, settings.pipeline)})
        default = merged(plan.methods["default"], settings.default)
        self.methods = plan.methods | {"default": default}
        rows = settings.ablation or tuple(plan.ablation)
        changes = chosen(plan.ablation, rows, "objective of the ablation")
        overlays = {row: merged(default, change) for row, change in changes.items()}
        idle = {row for row, overlay in overlays.items() if changes[row] and overlay == default}
        self.ablation = {row: overlay for row, overlay in overlays.items() if row not in idle}
        unlike = {"seconds": 0.0, "seeds": 0, "pipeline": {}}  # settings on which the footage does not depend
        plain = settings.model_copy(update={"pipeline": {}, "ablation": ()})
        self.key = digest(plain, budget.model_copy(update=unlike))

    def pipeline(self, overlay: Overlay, *, name: str, **train: Any) -> Pipeline:
        """The pipeline of a method, with these settings of `train`. Raises ConfigError."""
        return pipeline_of(self.size, overlay, name=name, **train)

    def bench(self, training: TrainingFootage, folder: Path, device: str, job: Job) -> "FilmBench":
        """The unseen films, with the features of their own frames."""
        job.say("analysing the unseen films")
        films = self._films(training)
        return FilmBench(films, self.key, Judge.of(films, device))

    @abstractmethod
    def _films(self, training: TrainingFootage) -> Films: ...


class StreetTask(_Kind):
    """See the protocol `Task`."""

    def __init__(self, name: str, plan: TaskPlan, settings: StreetSettings, size: str) -> None:
        super().__init__(name, plan, settings, size)
        self._settings = settings

    def training(self, folder: Path, job: Job) -> TrainingFootage:
        """Draw both streets."""
        return street_footage(self._settings, self.size, folder, job)

    def _films(self, training: TrainingFootage) -> Films:
        return street_films(self._settings, self.size)


class RealTask(_Kind):
    """See the protocol `Task`."""

    def __init__(self, name: str, plan: TaskPlan, settings: RealSettings, size: str, root: Path) -> None:
        super().__init__(name, plan, settings, size)
        self._settings, self._root = settings, root

    def training(self, folder: Path, job: Job) -> TrainingFootage:
        """Extract the footage."""
        return real_footage(self.name, self._settings, self.size, self._root, folder, job)

    def _films(self, training: TrainingFootage) -> Films:
        return real_films(training, self.size)


@dataclass(frozen=True)
class FilmBench:
    """See the protocol `Bench`."""

    films: Films
    key: str
    judge: Judge
    second: str = STABILISED

    def score(self, translate: Translate) -> Scores:
        """Scores against the true frames; empty for real footage."""
        return score_truth(translate, self.films)

    def write_sheet(self, path: Path, translate: Translate) -> None:
        """See sheets.write_sheet."""
        write_sheet(path, translate, self.films)

    def yardsticks(self) -> dict[str, Scores]:
        """The scores of the untranslated input."""
        return {"input": self.score(lambda frames, to: frames)}
