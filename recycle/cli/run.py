"""`recycle run` and `recycle demo`: run a whole pipeline, and the included demonstration."""

from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.options import (
    AsJson,
    DeviceChange,
    Devices,
    Domains,
    Features,
    FootageA,
    FootageB,
    Hours,
    MaskA,
    MaskB,
    Nodes,
    PipelineFile,
    Plan,
    PlanGpu,
    PrecisionChange,
    RunPath,
    Sharded,
    StartFrom,
    Steps,
    names,
)
from recycle.cli.output import command_line, watched
from recycle.cli.task import make_way, planned


def run(
    pipeline: PipelineFile = None,
    a: FootageA = None,
    b: FootageB = None,
    test_a: Annotated[list[Path] | None, typer.Option(help="Unseen videos of domain a to translate and score.")] = None,
    test_b: Annotated[list[Path] | None, typer.Option(help="Unseen videos of domain b to translate and score.")] = None,
    domains: Domains = None,
    mask_a: MaskA = None,
    mask_b: MaskB = None,
    out: RunPath = None,
    steps: Steps = None,
    hours: Hours = None,
    start_from: StartFrom = None,
    plan: Plan = False,
    gpu: PlanGpu = None,
    device: DeviceChange = None,
    devices: Devices = None,
    nodes: Nodes = None,
    sharded: Sharded = None,
    precision: PrecisionChange = None,
    features: Features = None,
    as_json: AsJson = False,
) -> None:
    """Extract, train, translate, score, and write a report. Run again to continue.

    Without a pipeline file, recycle chooses a pipeline for the footage, as 'recycle train' does.

    Example: recycle run --a summer --b winter --test-a walk.mp4 --domains summer,winter

    Example: recycle run my-task.toml --out runs/my-task
    """
    notice = None if plan else make_way()
    from recycle.runs.wishes import Wishes

    footage = {"a": a, "b": b, "mask_a": mask_a, "mask_b": mask_b, "test_a": test_a, "test_b": test_b}
    wishes = Wishes(footage, out, hours, steps, device, precision, names(domains), start_from)
    if planned(pipeline, wishes, plan, gpu):
        return
    with watched(as_json, notice) as job:
        from recycle.runs.choice import open_task
        from recycle.runs.outcome import model_lines
        from recycle.runs.pipeline import run as run_pipeline

        task, folder, origin, surveyed = open_task(
            pipeline,
            wishes,
            job,
            train={"devices": devices, "nodes": nodes, "sharded": sharded},
            translate={"device": device, "precision": precision},
            evaluate={"features": features, "device": device},
        )
        where = run_pipeline(task, folder, origin=origin, surveyed=surveyed, command=command_line(), job=job)
        for line in model_lines(where):
            job.say(line)
        job.say(f"translated  {where.translated}")
        job.say(f"scores      {where.metrics}")
        job.say(f"report      {where.report}   <- open this in a browser")


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/demo"),
    device: DeviceChange = None,
    as_json: AsJson = False,
) -> None:
    """Learn day ↔ night from a procedural street, as an example.

    The command films the street, trains, translates an unseen clip both ways, scores it, and writes a report. Run again
    to continue.

    Example: recycle demo
    """
    run(Path("demo"), out=out, device=device, as_json=as_json)
