"""The pipeline that a command works on: of a file, or chosen for the footage."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recycle.cli.output import show

if TYPE_CHECKING:
    from recycle.config import Pipeline
    from recycle.events import Job
    from recycle.runs.choice import Wishes


def planned(pipeline: Path | None, wishes: "Wishes", plan: bool, gpu: float | None) -> bool:
    """Print what would be chosen, where that is asked for."""
    from recycle.runs.choice import describe_plan

    if gpu is not None and not plan:
        raise typer.BadParameter("--gpu is for --plan: training uses the device that is here")
    if not plan:
        return False
    if pipeline is not None:
        raise typer.BadParameter(f"--plan is for a choice from footage alone; the plan of {pipeline} is that file")
    show(describe_plan(wishes, gpu=gpu).rstrip("\n"), lines=True)
    return True


def open_task(
    pipeline: Path | None, wishes: "Wishes", job: "Job", **changes: dict[str, Any]
) -> "tuple[Pipeline, Path]":
    """The pipeline of a file, or the chosen one, with the command line's changes; and the run's folder."""
    from recycle.runs.choice import open_chosen
    from recycle.runs.pipeline import open_pipeline

    if pipeline is None:
        return open_chosen(wishes, job=job, **changes), wishes.folder
    task = open_pipeline(pipeline, **changes)
    return task, wishes.out or Path("runs") / task.name
