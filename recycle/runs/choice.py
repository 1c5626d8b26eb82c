"""Training without a pipeline file: one is chosen for the footage, written into the run's folder, and gone on with."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycle.config import Pipeline, Precision, TrainSettings, load_pipeline, parse_pipeline, parse_settings
from recycle.dataset.survey import survey
from recycle.domains import DOMAINS
from recycle.errors import ConfigError
from recycle.events import Job
from recycle.run_folder import RunFolder
from recycle.runs.machine import gpu_of, this_machine
from recycle.runs.pipeline import open_pipeline
from recycle.runs.preset import Choice, choose
from recycle.safe_text import printable
from recycle.system.atomic import write_text
from recycle.system.disk import writing
from recycle.training.processes import started_by


@dataclass(frozen=True)
class Wishes:
    """What a command line says instead of a pipeline file."""

    footage: Mapping[str, Sequence[Path] | None]
    """Paths by 'a', 'b', 'test_a' and 'test_b'."""
    out: Path | None = None
    """The run's folder; None: runs/ and the names of the footage."""
    hours: float | None = None
    steps: int | None = None
    device: str | None = None
    precision: Precision | None = None
    domains: Sequence[str] | None = None
    """What the domains are called; None: as in the file, or a and b."""

    @property
    def name(self) -> str:
        """Of the task: 'orange-skull' for footage/orange and skull.mp4."""
        first = [Path((self.footage.get(domain) or [Path()])[0]) for domain in DOMAINS]
        names = [_own_name(path) for path in first]
        if names[0] == names[1]:  # as of camel/frames and cows/frames
            names = [_own_name(path.absolute().parent) for path in first]
        return "-".join(names)

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.out or Path("runs") / self.name

    def check(self) -> None:
        """Raise ConfigError where footage is not named, time is given twice or out of range, or names do not fit."""
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


def choose_pipeline(wishes: Wishes, *, gpu: float | None = None) -> Choice:
    """A pipeline for this footage, this machine and this time; nothing is written.

    gpu: GiB of the memory of a GPU to choose for instead of this machine. Raises ConfigError for wishes that cannot be
    met, FootageError for footage that is absent, unreadable, too small or too little.
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
    """The pipeline file of the run's folder, chosen and written there if there is none, as `open_pipeline`.

    Raises ConfigError also where the folder holds a training of another pipeline file, and where several processes that
    were started from outside would each choose; OutputError where the file cannot be written.
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
        for line in choice.head:  # training says what the footage is like
            job.say(line)
        job.say(f"wrote {file}, with the reasons")
    return open_pipeline(file, domains=wishes.domains, **changes)


def open_task(
    pipeline: Pipeline | Path | None, wishes: Wishes, job: Job, **changes: Mapping[str, Any]
) -> tuple[Pipeline, Path]:
    """The pipeline that was given, or that of a file, or else the chosen one, with changes; and the run's folder.

    Raises as `open_pipeline` and `open_chosen`.
    """
    if pipeline is None:
        return open_chosen(wishes, job=job, **changes), wishes.folder
    task = open_pipeline(pipeline, domains=wishes.domains, **changes)
    return task, wishes.out or Path("runs") / task.name


def describe_plan(wishes: Wishes, *, gpu: float | None = None) -> str:
    """The pipeline file that the same call of `open_chosen` would go on with, or write; nothing is written."""
    wishes.check()
    file = RunFolder(wishes.folder).chosen
    if gpu is not None or not file.exists():
        return choose_pipeline(wishes, gpu=gpu).toml()
    load_pipeline(file)
    return f"# {file}: this file is there already, and training goes on with it.\n" + file.read_text(
        encoding="utf-8-sig"
    )


def _own_name(path: Path) -> str:
    """A path's name as a part of a folder's name."""
    if path.name in ("", ".."):
        path = path.resolve()
    name = path.name if path.is_dir() else path.stem
    return re.sub(r"[/\\]", "_", printable(name)).strip()[:48] or "footage"
