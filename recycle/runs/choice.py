"""Trains without a pipeline file: chooses a pipeline for the footage, writes it to the run's folder, and uses it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from recycle.config import Pipeline, find_pipeline, load_pipeline
from recycle.dataset.survey import Survey, survey
from recycle.domains import DOMAINS
from recycle.errors import ConfigError
from recycle.events import Job
from recycle.run_folder import RunFolder
from recycle.runs.machine import gpu_of, this_machine
from recycle.runs.origin import check, origin_of
from recycle.runs.pipeline import open_pipeline
from recycle.runs.preset import Choice, choose
from recycle.runs.preset_start import start_of
from recycle.runs.wishes import Wishes
from recycle.system.atomic import write_text
from recycle.system.disk import writing
from recycle.training.processes import started_by


class Task(NamedTuple):
    """A pipeline to train, and its run's folder."""

    pipeline: Pipeline
    folder: Path
    """The run's folder."""
    origin: str | None
    """The pipeline file, as named by `recycle.runs.origin.origin_of`; None: the settings come from Python."""
    surveyed: bool = False
    """Whether the footage was just surveyed, and described to the job, to choose the pipeline."""


def choose_pipeline(wishes: Wishes, *, gpu: float | None = None, job: Job | None = None) -> Choice:
    """Choose a pipeline for the footage, the time and this machine; nothing is written.

    With `gpu`, choose for a GPU with this memory, in GiB from 1 to 1024, instead of this machine. The words of the
    choice name files of the footage that a training will skip. Raises ConfigError for invalid wishes; FootageError if
    footage does not exist, cannot be read, is too small, or has too few frames; RecycleError if not even the smallest
    networks fit into memory.
    """
    choice, facts = _choose(wishes, gpu, job or Job())
    skipped = dict.fromkeys((*facts.a.skipped, *facts.b.skipped))
    return replace(choice, words=(*choice.words, *skipped))


def _choose(wishes: Wishes, gpu: float | None, job: Job) -> tuple[Choice, Survey]:
    """The choice, and the survey that it rests on. Raises as `choose_pipeline`."""
    wishes.check()
    if gpu is not None and not 1 <= gpu <= 1024:
        raise ConfigError(f"--gpu must be the memory of a GPU in GiB, from 1 to 1024, got {gpu}")
    job.counting("looking at the machine and at the footage")
    machine = this_machine(wishes.device or "auto", wishes.precision or "auto") if gpu is None else gpu_of(gpu)
    footage = {name: [path.absolute() for path in paths] for name, paths in wishes.footage.items() if paths}
    facts = survey(*(footage[domain] for domain in DOMAINS))
    choice = choose(
        facts,
        machine,
        name=wishes.name,
        footage=footage,
        hours=wishes.hours,
        steps=wishes.steps,
        domains=wishes.domains,
        start=None if wishes.start_from is None else start_of(wishes.start_from),
    )
    return choice, facts


def open_chosen(wishes: Wishes, *, job: Job | None = None, **changes: Mapping[str, Any]) -> Pipeline:
    """Open the pipeline file of the run's folder with `changes`. If there is none, choose a pipeline and write it.

    Raises as `choose_pipeline` and `open_pipeline`; ConfigError also if the folder holds a training of another pipeline
    file, or if several processes, on several machines or of torchrun or srun, would each choose; OutputError if the
    file cannot be written.
    """
    wishes.check()
    job = job or Job()
    where = RunFolder(wishes.folder)
    file = where.chosen
    if not file.exists():
        if where.checkpoint.exists():
            raise ConfigError(
                f"{where.folder} holds a training with another pipeline file; give that file, or another --out"
            )
        nodes = changes.get("train", {}).get("nodes") or 1
        if (by := started_by()) is not None or nodes > 1:
            choosers = f"the {nodes} machines" if by is None else f"the processes of {by}"
            raise ConfigError(
                f"each of {choosers} would choose a pipeline; first run 'recycle train --a … --b … --plan > "
                f"pipeline.toml', then start recycle train pipeline.toml --out {where.folder}"
            )
        choice, _ = _choose(wishes, None, job)  # extraction says what it skips
        with writing(file):
            write_text(file, choice.toml())
        for line in (*choice.head, *choice.words):
            job.say(line)
        job.say(f"wrote {file}; its comments give the reason for each setting")
    return open_pipeline(file, domains=wishes.domains, **changes)


def open_task(pipeline: Pipeline | Path | None, wishes: Wishes, job: Job, **changes: Mapping[str, Any]) -> Task:
    """Open a pipeline, from settings or from a file; None: the chosen one (see `open_chosen`).

    The wishes replace its footage and settings of the group 'train', as `changes` do (see `open_pipeline`). Raises as
    `open_pipeline` and `open_chosen`; ConfigError also if the run's folder belongs to another file.
    """
    changes |= {"footage": wishes.footage, "train": {**wishes.train, **changes.get("train", {})}}
    if pipeline is None:
        check(RunFolder(wishes.folder), origin_of(RunFolder(wishes.folder).chosen))  # before the footage is looked at
        surveyed = not RunFolder(wishes.folder).chosen.exists()
        task, folder = open_chosen(wishes, job=job, **changes), wishes.folder
        origin: str | None = origin_of(RunFolder(folder).chosen)
    else:
        surveyed, task = False, open_pipeline(pipeline, domains=wishes.domains, **changes)
        folder = wishes.out or Path("runs") / task.name
        origin = None if isinstance(pipeline, Pipeline) else origin_of(find_pipeline(pipeline))
    check(RunFolder(folder), origin)
    return Task(task, folder, origin, surveyed)


def describe_plan(wishes: Wishes, *, gpu: float | None = None, job: Job | None = None) -> str:
    """The text of the pipeline file that `open_chosen` would use or write for these wishes; nothing is written.

    With `gpu`, a pipeline is always chosen anew. Raises as `choose_pipeline`; ConfigError also if the file is invalid.
    """
    wishes.check()
    file = RunFolder(wishes.folder).chosen
    if gpu is not None or not file.exists():
        return choose_pipeline(wishes, gpu=gpu, job=job).toml()
    load_pipeline(file)
    return f"# {file} already exists, and training uses it.\n" + file.read_text(encoding="utf-8-sig")
