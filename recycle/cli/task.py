"""The first steps of the commands that train."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recycle.cli.output import watched
from recycle.safe_text import shown

if TYPE_CHECKING:
    from recycle.runs.wishes import Wishes

_BUSY = (
    "other programs keep this machine busy, so the threads of this training sleep while they wait; if those programs "
    "end soon, press Ctrl-C, set OMP_WAIT_POLICY=active and run the same command again"
)


def make_way() -> str | None:
    """Choose how OpenMP threads wait, before torch is imported. Returns a notice if they sleep while they wait."""
    from recycle.system.waiting import choose_waiting

    return _BUSY if choose_waiting() else None


def planned(pipeline: Path | None, wishes: "Wishes", plan: bool, gpu: float | None) -> bool:
    """With `plan`, print the pipeline that would be chosen; returns `plan`.

    Raises BadParameter for `gpu` without `plan`, and for `plan` with a pipeline file.
    """
    if gpu is not None and not plan:
        raise typer.BadParameter("--gpu needs --plan; training always uses the devices of this machine")
    if not plan:
        return False
    if pipeline is not None:
        raise typer.BadParameter(
            f"--plan prints what would be chosen without a pipeline file; leave out --plan or {pipeline}"
        )
    with watched(as_json=False) as job:
        from recycle.runs.choice import describe_plan

        text = describe_plan(wishes, gpu=gpu, job=job)
    typer.echo(shown(text, lines=True), nl=False)  # unwrapped: a file to copy
    return True
