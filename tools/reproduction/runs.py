"""Training runs of equal duration, and their scores; finished ones are kept."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch

from recycle.config import Pipeline
from recycle.errors import Interrupted, OutputError
from recycle.events import Event, Job, Step
from recycle.run_folder import RunFolder
from recycle.system.atomic import write_text
from recycle.system.cores import cores
from recycle.system.workers import run_all
from recycle.training.checkpoint import previous_of
from recycle.training.loop import train
from recycle.translation.translator import Translator
from tools.reproduction.plan import digest
from tools.reproduction.task import Bench, Scores, TrainingFootage
from tools.reproduction.ways import PLAIN, translated_by, ways_of

_ROUNDS, _STEPS = 2, 12
"""Rounds and steps of the warm-up; the methods take turns, so that a slow moment of the machine affects all of them."""
_KILLED = "a process was killed (out of memory?); run the command again, with fewer --jobs"


@dataclass(frozen=True)
class Run:
    """One method with one seed."""

    method: str
    seed: int
    pipeline: Pipeline
    root: Path

    @property
    def folder(self) -> Path:
        """Folder, named by a digest of the settings, so that a changed method is trained again."""
        name = "".join(c if c.isalnum() else "-" for c in self.method)
        return self.root / f"{name}-seed{self.seed}-{digest(self.pipeline)}"

    @property
    def model(self) -> Path:
        """The bundle."""
        return RunFolder(self.folder).model

    @property
    def done(self) -> Path:
        """File that exists when the run is trained, with its steps and seconds."""
        return self.folder / "done.json"

    @property
    def sheet(self) -> Path:
        """Contact sheet of translated unseen frames."""
        return self.folder / "sheet.png"

    def scores(self, key: str, way: str = PLAIN) -> Path:
        """File of the scores against true frames on the bench with that key."""
        return self.folder / f"scores-{key}{way and f'-{way}'}.json"

    def judged(self, key: str, way: str = PLAIN) -> Path:
        """File of the scores without true frames."""
        return self.folder / f"judged-{key}{way and f'-{way}'}.json"


class Outcome(NamedTuple):
    """A run with its training and its scores."""

    run: Run
    way: str
    """A key of `ways.WAYS`."""
    taken: dict[str, Any]
    """`steps`, `seconds`, `resumed_from`, `notices`."""
    scores: Scores
    """Scores against true frames."""
    judged: Scores
    """Scores without true frames."""


def step_seconds(
    pipelines: Mapping[str, Pipeline], footage: TrainingFootage, folder: Path, *, jobs: int = 1
) -> dict[str, float]:
    """Seconds of a training step of each method on this machine, while `jobs` processes train.

    Measured once and stored in `folder`, so that a continued run keeps its number of steps. Methods that are added
    later are measured together with a known one, and converted to its time.
    """
    file = folder / "step-seconds.json"
    known: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    keys = {method: f"{method} {digest(pipeline)} jobs={jobs}" for method, pipeline in pipelines.items()}
    if missing := {method for method, key in keys.items() if key not in known}:
        reference = next((method for method in pipelines if method not in missing), None)
        measured = _measure(
            {m: p for m, p in pipelines.items() if m in missing or m == reference}, footage, folder, jobs
        )
        scale = known[keys[reference]] / measured[reference] if reference is not None else 1.0
        known |= {keys[method]: measured[method] * scale for method in missing}
        write_text(file, json.dumps(known, indent=2) + "\n")
    return {method: known[key] for method, key in keys.items()}


def _measure(pipelines: Mapping[str, Pipeline], footage: TrainingFootage, folder: Path, jobs: int) -> dict[str, float]:
    """Medians while `jobs` processes run, as in training."""
    folder.mkdir(parents=True, exist_ok=True)
    warm_up = _WarmUp(pipelines, footage, folder, threads(jobs))
    found = run_all(_warm_up, [warm_up] * jobs, workers=jobs, crashed=None, report=lambda units: None)
    if None in found:
        raise OutputError(_KILLED)
    return {method: statistics.median(t for times in found if times for t in times[method]) for method in pipelines}


@dataclass(frozen=True)
class _WarmUp:
    pipelines: Mapping[str, Pipeline]
    footage: TrainingFootage
    folder: Path
    threads: int | None


def _warm_up(task: _WarmUp, count: Callable[[int], None]) -> dict[str, list[float]] | None:
    """Seconds of single steps of each method."""
    _use(task.threads)
    seconds: dict[str, list[float]] = {method: [] for method in task.pipelines}
    for _ in range(_ROUNDS):
        for method, pipeline in task.pipelines.items():
            stamps: list[float] = []

            def stamp(event: Event, stamps: list[float] = stamps) -> None:
                if isinstance(event, Step):
                    stamps.append(time.perf_counter())
                if len(stamps) == _STEPS:
                    raise _Enough

            with tempfile.TemporaryDirectory(dir=task.folder, prefix=".warm-up-") as place, suppress(_Enough):
                train(pipeline, task.footage.a, task.footage.b, Path(place), surveyed=True, job=Job(stamp))
            seconds[method] += [after - before for before, after in pairwise(stamps)]  # the first step warms up
    return seconds


class _Enough(Exception):
    """Raised when the warm-up has enough steps."""


def finish(
    runs: Sequence[Run],
    footage: TrainingFootage,
    bench: Bench,
    *,
    twice: bool,
    jobs: int,
    device: str,
    job: Job,
) -> list[Outcome]:
    """Train and score unfinished runs, `jobs` at once, each in a separate process; returns all outcomes.

    `twice`: also score the runs in the bench's second way. Raises RecycleError; Interrupted if it was stopped by Ctrl-C
    or the job, after which it can be continued.
    """
    second = bench.second if twice else None
    wanted = [(run, way) for run in runs for way in ways_of(run.pipeline, second)]
    unscored = [run for run, way in wanted if not all(file.is_file() for file in _files(run, bench, way))]
    missing = list({run.folder: run for run in unscored}.values())
    tasks = [_Task(run, footage, bench, second, device, threads(jobs)) for run in missing]
    total = sum(run.pipeline.train.steps for run in missing if not run.done.is_file())
    count = job.counting("training", total=total, unit="steps")
    if not all(
        run_all(_train_and_score, tasks, workers=min(jobs, len(tasks)), crashed=False, report=count.add, job=job)
    ):
        raise OutputError(_KILLED)
    return [
        Outcome(run, way, *(json.loads(f.read_text(encoding="utf-8")) for f in (run.done, *_files(run, bench, way))))
        for run, way in wanted
    ]


def _files(run: Run, bench: Bench, way: str) -> tuple[Path, Path]:
    return run.scores(bench.key, way), run.judged(bench.key, way)


@dataclass(frozen=True)
class _Task:
    run: Run
    footage: TrainingFootage
    bench: Bench
    second: str | None
    device: str
    threads: int | None


def _train_and_score(task: _Task, count: Callable[[int], None]) -> bool:
    _use(task.threads)
    run, bench = task.run, task.bench
    _train(run, task.footage, count)
    translator = Translator.from_pretrained(run.model, device=task.device)
    for way in ways_of(run.pipeline, task.second):
        translate = translated_by(translator, way)
        if way == PLAIN:
            bench.write_sheet(run.sheet, translate)
        truth, judged = _files(run, bench, way)
        for file, score in ((truth, bench.score), (judged, bench.judge.__call__)):
            if not file.is_file():
                write_text(file, json.dumps(score(translate), indent=2) + "\n")
    return True


def _train(run: Run, footage: TrainingFootage, count: Callable[[int], None]) -> None:
    """Train or continue, unless finished; `run.done` then records steps and seconds.

    Its `seconds` are those of the last call, which are all of them if `resumed_from` is 0.
    """
    if run.done.is_file():
        return
    began, before = time.perf_counter(), 0

    def observe(event: Event) -> None:
        nonlocal before
        if isinstance(event, Step):
            steps, before = event.step - before, event.step
            try:
                count(steps)
            except Interrupted:
                job.cancel()  # the run saves first

    job = Job(observe)
    report = train(run.pipeline, footage.a, footage.b, run.folder, surveyed=True, job=job)
    facts = {
        "steps": report.step,
        "seconds": time.perf_counter() - began,
        "resumed_from": report.resumed_from,
        "notices": report.notices,
    }
    write_text(run.done, json.dumps(facts) + "\n")
    latest = RunFolder(run.folder).checkpoint
    for file in (latest, previous_of(latest)):  # large, and only needed by an unfinished run
        file.unlink(missing_ok=True)


def threads(jobs: int) -> int | None:
    """Threads of each of `jobs` processes; None: PyTorch's default."""
    return max(1, cores() // jobs) if jobs > 1 else None


def _use(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
