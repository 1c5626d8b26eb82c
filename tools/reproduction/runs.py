"""Training runs of equal length in time, each kept when it is finished."""

import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from recycle.atomic import write_text
from recycle.config import Pipeline
from recycle.progress import Terminal
from recycle.training.loop import train
from tools.reproduction.footage import TrainingFootage
from tools.reproduction.plan import digest

_ROUNDS, _STEPS = 4, 8
"""Of the warm-up: the methods take turns, so that a slow moment of the machine does not fall on one alone."""


@dataclass(frozen=True)
class Run:
    """One method and seed."""

    method: str
    seed: int
    pipeline: Pipeline
    root: Path

    @property
    def folder(self) -> Path:
        """Named after the settings too: a changed method is trained anew."""
        name = "".join(c if c.isalnum() else "-" for c in self.method)
        return self.root / f"{name}-seed{self.seed}-{digest(self.pipeline)}"

    @property
    def model(self) -> Path:
        """The bundle."""
        return self.folder / "model"


def step_seconds(pipelines: Mapping[str, Pipeline], footage: TrainingFootage, folder: Path) -> dict[str, float]:
    """Seconds of a training step of each method on this machine.

    Measured once and kept in `folder`, so that a run that goes on takes the steps that it began with. Methods that
    come later are measured beside one that was known already, and told in its time.
    """
    file = folder / "step-seconds.json"
    known: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    keys = {method: f"{method} {digest(pipeline)}" for method, pipeline in pipelines.items()}
    if missing := {method for method, key in keys.items() if key not in known}:
        reference = next((method for method in pipelines if method not in missing), None)
        measured = _measure({m: p for m, p in pipelines.items() if m in missing or m == reference}, footage, folder)
        scale = known[keys[reference]] / measured[reference] if reference is not None else 1.0
        known |= {keys[method]: measured[method] * scale for method in missing}
        write_text(file, json.dumps(known, indent=2) + "\n")
    return {method: known[key] for method, key in keys.items()}


def _measure(pipelines: Mapping[str, Pipeline], footage: TrainingFootage, folder: Path) -> dict[str, float]:
    folder.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, list[float]] = {method: [] for method in pipelines}
    for _ in range(_ROUNDS):
        for method, pipeline in pipelines.items():
            stamps: list[float] = []
            short = pipeline.model_copy(update={"train": pipeline.train.model_copy(update={"steps": _STEPS})})

            def stamp(step: int, steps: int, detail: str, stamps: list[float] = stamps) -> None:
                stamps.append(time.perf_counter())

            with tempfile.TemporaryDirectory(dir=folder, prefix=".warm-up-") as place:
                train(short, footage.a, footage.b, Path(place), progress=stamp)
            # The first step warms up; the last one ends with a preview and a checkpoint.
            seconds[method] += [after - before for before, after in pairwise(stamps[:-1])]
    return {method: statistics.median(values) for method, values in seconds.items()}


def train_run(run: Run, footage: TrainingFootage, console: Terminal) -> dict[str, float]:
    """Train, or continue to train, unless that is done; what was taken: `steps`, `seconds`, `resumed_from`.

    `seconds` are those of the last call: all of them if `resumed_from` is 0.
    """
    done = run.folder / "done.json"
    if not done.is_file():
        began = time.perf_counter()
        with console.bar(f"training {run.method}, seed {run.seed}", unit="steps") as progress:
            report = train(run.pipeline, footage.a, footage.b, run.folder, progress=progress, say=console.say)
        facts = {
            "steps": report.step,
            "seconds": time.perf_counter() - began,
            "resumed_from": report.resumed_from,
        }
        write_text(done, json.dumps(facts) + "\n")
    (run.folder / "checkpoint.pt").unlink(missing_ok=True)  # of use to an unfinished run alone, and large
    taken: dict[str, float] = json.loads(done.read_text(encoding="utf-8"))
    return taken
