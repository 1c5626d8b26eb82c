"""Trains without a pipeline file: chooses a pipeline for the footage, writes it to the run's folder, and uses it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from recycle.config import (
    Pipeline,
    Precision,
    TrainSettings,
    find_pipeline,
    load_pipeline,
    parse_pipeline,
    parse_settings,
)
from recycle.dataset.survey import survey
from recycle.domains import DOMAINS
from recycle.errors import ConfigError
from recycle.events import Job
from recycle.run_folder import RunFolder
from recycle.runs.machine import gpu_of, this_machine
from recycle.runs.origin import check, origin_of
from recycle.runs.pipeline import open_pipeline
from recycle.runs.preset import Choice, choose
from recycle.safe_text import printable
from recycle.system.atomic import write_text
from recycle.system.disk import writing
from recycle.training.processes import started_by


@dataclass(frozen=True)
class Wishes:
    """The options that the user gives instead of a pipeline file."""

    footage: Mapping[str, Sequence[Path] | None]
    """Paths of footage; the keys are 'a', 'b', 'test_a' and 'test_b'."""
    out: Path | None = None
    """The run's folder; None: a folder in runs/, named after the footage."""
    hours: float | None = None
    """Length of the training in hours; at most one of `hours` and `steps` is given."""
    steps: int | None = None
    """Length of the training in steps."""
    device: str | None = None
    """Device, as in `TrainSettings`; None: that of the file, or 'auto'."""
    precision: Precision | None = None
    """Precision, as in `TrainSettings`; None: that of the file, or 'auto'."""
    domains: Sequence[str] | None = None
    """Names of the domains; None: those in the pipeline file, or a and b."""

    @property
    def name(self) -> str:
        """Name of the task, from the first paths of both domains: 'orange-skull' for footage/orange and skull.mp4.

        If both paths have the same name, the names of their folders are used.
        """
        first = [Path((self.footage.get(domain) or [Path()])[0]) for domain in DOMAINS]
        names = [_own_name(path) for path in first]
        if names[0] == names[1]:  # such as camel/frames and cows/frames
            names = [_own_name(path.absolute().parent) for path in first]
        return "-".join(names)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.out or Path("runs") / self.name

    def check(self) -> None:
        """Raise ConfigError if footage is missing, `hours` and `steps` are both given, or a value is invalid."""
        lacking = [f"--{domain}" for domain in DOMAINS if not self.footage.get(domain)]
        if lacking:
            raise ConfigError(
                f"without a pipeline file both --a and --b are needed ({' and '.join(lacking)} not given), such as: "
                "recycle train --a videos/summer --b videos/winter"
            )
        if self.hours is not None and self.steps is not None:
            raise ConfigError("give either a number of steps or of hours, not both")
        if self.domains is not None:
            parse_pipeline({"domains": self.domains}, where="the command line")
        given = {"hours": self.hours, "steps": self.steps}
        parse_settings(TrainSettings, {name: value for name, value in given.items() if value is not None})


class Task(NamedTuple):
    """A pipeline to train, and its run's folder."""

    pipeline: Pipeline
    folder: Path
    """The run's folder."""
    origin: str | None
    """The pipeline file, as named by `recycle.runs.origin.origin_of`; None: the settings come from Python."""
    surveyed: bool = False
    """Whether the footage was just surveyed, and described to the job, to choose the pipeline."""


def choose_pipeline(wishes: Wishes, *, gpu: float | None = None) -> Choice:
    """Choose a pipeline for the footage, the time and this machine; nothing is written.

    With `gpu`, choose for a GPU with this memory, in GiB from 1 to 1024, instead of this machine. Raises ConfigError
    for invalid wishes; FootageError if footage does not exist, cannot be read, is too small, or has too few frames;
    RecycleError if not even the smallest networks fit into memory.
    """
    wishes.check()
    if gpu is not None and not 1 <= gpu <= 1024:
        raise ConfigError(f"--gpu is the memory of a GPU in GiB, from 1 to 1024, got {gpu}")
    machine = this_machine(wishes.device or "auto", wishes.precision or "auto") if gpu is None else gpu_of(gpu)
    footage = {name: [path.absolute() for path in paths] for name, paths in wishes.footage.items() if paths}
    return choose(
        survey(*(footage[domain] for domain in DOMAINS)),
        machine,
        name=wishes.name,
        footage=footage,
        hours=wishes.hours,
        steps=wishes.steps,
        domains=wishes.domains,
    )


def open_chosen(wishes: Wishes, *, job: Job | None = None, **changes: Mapping[str, Any]) -> Pipeline:
    """Open the pipeline file of the run's folder with `changes`. If there is none, choose a pipeline and write it.

    Raises as `choose_pipeline` and `open_pipeline`; ConfigError also if the folder holds a training of another pipeline
    file, or if torchrun or srun started several processes, each of which would choose; OutputError if the file cannot
    be written.
    """
    wishes.check()
    job = job or Job()
    where = RunFolder(wishes.folder)
    file = where.chosen
    if not file.exists():
        again = f"recycle train {file} --a … --b … --out {where.folder}"
        if where.checkpoint.exists():
            raise ConfigError(
                f"{where.folder} holds a training of another pipeline file; name that file, or give another --out"
            )
        if (by := started_by()) is not None:
            raise ConfigError(
                f"{by} started several processes, and one alone should choose: let 'recycle train --a … --b … --plan > "
                f"{file}' write the file first, then start {again}"
            )
        choice = choose_pipeline(wishes)
        with writing(file):
            write_text(file, choice.toml())
        for line in (*choice.head, *choice.words):
            job.say(line)
        job.say(f"wrote {file}, with the reasons")
    return open_pipeline(file, domains=wishes.domains, **changes)


def open_task(pipeline: Pipeline | Path | None, wishes: Wishes, job: Job, **changes: Mapping[str, Any]) -> Task:
    """Open a pipeline with `changes`, from settings or from a file; None: the chosen one (see `open_chosen`).

    Raises as `open_pipeline` and `open_chosen`; ConfigError also if the run's folder belongs to another file.
    """
    if pipeline is None:
        surveyed = not RunFolder(wishes.folder).chosen.exists()
        task, folder = open_chosen(wishes, job=job, **changes), wishes.folder
        origin: str | None = origin_of(RunFolder(folder).chosen)
    else:
        surveyed, task = False, open_pipeline(pipeline, domains=wishes.domains, **changes)
        folder = wishes.out or Path("runs") / task.name
        origin = None if isinstance(pipeline, Pipeline) else origin_of(find_pipeline(pipeline))
    check(RunFolder(folder), origin)
    return Task(task, folder, origin, surveyed)


def describe_plan(wishes: Wishes, *, gpu: float | None = None) -> str:
    """The text of the pipeline file that `open_chosen` would use or write for these wishes; nothing is written.

    With `gpu`, a pipeline is always chosen anew. Raises as `choose_pipeline`; ConfigError also if the file is invalid.
    """
    wishes.check()
    file = RunFolder(wishes.folder).chosen
    if gpu is not None or not file.exists():
        return choose_pipeline(wishes, gpu=gpu).toml()
    load_pipeline(file)
    return f"# {file}: this file is there already, and training goes on with it.\n" + file.read_text(
        encoding="utf-8-sig"
    )


def _own_name(path: Path) -> str:
    """The name of a path, in a form that suits a part of a folder's name; at most 48 characters."""
    if path.name in ("", ".."):
        path = path.resolve()
    name = path.name if path.is_dir() else path.stem
    return re.sub(r"[/\\]", "_", printable(name)).strip()[:48] or "footage"
