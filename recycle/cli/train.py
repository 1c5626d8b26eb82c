"""`recycle train`: learns a translation from two sets of footage."""

from recycle.cli.options import (
    AsJson,
    DeviceChange,
    Devices,
    Domains,
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
from recycle.cli.output import watched
from recycle.cli.task import make_way, planned
from recycle.plural import counted


def train(
    pipeline: PipelineFile = None,
    a: FootageA = None,
    b: FootageB = None,
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
    as_json: AsJson = False,
) -> None:
    """Learn the translation between two sets of footage. Run again to continue.

    Without a pipeline file, recycle chooses size, networks, losses and schedule for the footage, this machine and
    --hours (default: 4, or less for little footage). It writes them, with a reason for each, to pipeline.toml in the
    run's folder. You may edit that file: the same command then uses it.

    Example: recycle train --a footage/anna --b footage/ben --domains anna,ben --hours 8

    Example: recycle train signers --a footage/anna --b footage/ben --out runs/anna-ben
    """
    notice = None if plan else make_way()
    from recycle.run_folder import RunFolder
    from recycle.runs.wishes import Wishes

    footage = {"a": a, "b": b, "mask_a": mask_a, "mask_b": mask_b}
    wishes = Wishes(footage, out, hours, steps, device, precision, names(domains), start_from)
    if planned(pipeline, wishes, plan, gpu):
        return
    with watched(as_json, notice) as job:
        from recycle.runs.choice import open_task
        from recycle.runs.outcome import model_lines
        from recycle.runs.pipeline import learn

        machines = {"devices": devices, "nodes": nodes, "sharded": sharded}
        task, folder, origin, surveyed = open_task(pipeline, wishes, job, train=machines)
        where = RunFolder(folder)
        report = learn(task, where, origin=origin, surveyed=surveyed, job=job)
        job.say(f"trained {counted(report.step, 'step')}; the previews are in {where.previews}")
        for line in model_lines(where):
            job.say(line)
