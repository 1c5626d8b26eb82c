"""`recycle distill`: trains a small model to imitate a large one."""

from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.options import AsJson, DeviceChange, Hours, PrecisionChange, RunPath, Steps
from recycle.cli.output import watched
from recycle.cli.task import make_way
from recycle.plural import counted


def distill(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="Run or model to imitate: a folder, or org/name on the Hugging Face Hub."),
    ],
    a: Annotated[list[Path], typer.Option(help="Footage of domain a (repeatable).")],
    b: Annotated[list[Path], typer.Option(help="Footage of domain b (repeatable).")],
    out: RunPath = None,
    width: Annotated[int, typer.Option(help="Number of channels of the small generators.")] = 16,
    blocks: Annotated[int, typer.Option(help="Number of residual blocks of the small generators.")] = 6,
    steps: Steps = None,
    hours: Hours = None,
    device: DeviceChange = None,
    precision: PrecisionChange = None,
    as_json: AsJson = False,
) -> None:
    """Train a small, fast model to imitate a large one. Run again to continue.

    A ResNet of width 16 translates a frame in about a quarter of the time of one of width 64. The footage may differ
    from that of the large model. Without --steps and --hours, it takes 5000 steps.

    Example: recycle distill runs/signers --a footage/anna --b footage/ben --out runs/signers-fast
    """
    notice = make_way()
    with watched(as_json, notice) as job:
        from recycle.run_folder import RunFolder
        from recycle.runs.outcome import model_lines
        from recycle.runs.pipeline import distillation, learn
        from recycle.system.hub import find_model

        task = distillation(
            find_model(model),
            width=width,
            blocks=blocks,
            footage={"a": [path.absolute() for path in a], "b": [path.absolute() for path in b]},
            train={"steps": steps, "hours": hours, "device": device, "precision": precision},
        )
        where = RunFolder(out or Path("runs") / task.name)
        report = learn(task, where, job=job)
        job.say(f"trained {counted(report.step, 'step')}")
        for line in model_lines(where):
            job.say(line)
