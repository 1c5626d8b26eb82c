"""What a training without a pipeline file would do, on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recycle.cli.output import show

if TYPE_CHECKING:
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
