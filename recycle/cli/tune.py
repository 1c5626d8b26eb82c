"""`recycle tune`: searches better settings by many short trainings."""

from typing import Annotated

import typer

from recycle.cli.options import (
    AsJson,
    DeviceChange,
    Domains,
    FootageA,
    FootageB,
    Hours,
    PipelineFile,
    PrecisionChange,
    RunPath,
    Steps,
    names,
)
from recycle.cli.output import watched
from recycle.cli.task import make_way


def tune(
    pipeline: PipelineFile = None,
    a: FootageA = None,
    b: FootageB = None,
    domains: Domains = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="Setting to vary (repeatable): NAME=LOW:HIGH, NAME=LOW:HIGH:log, or NAME=VALUE,VALUE,…",
            metavar="NAME=VALUES",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="Number of short trainings.")] = 20,
    out: RunPath = None,
    steps: Steps = None,
    hours: Hours = None,
    device: DeviceChange = None,
    precision: PrecisionChange = None,
    as_json: AsJson = False,
) -> None:
    """Search better settings by many short trainings. Run again to continue.

    Each trial trains --steps or --hours with other values, and is judged by its score on held-out frames. Trials that
    are worse than most end early. The result is best.toml in --out, a pipeline file to train with.

    Example: recycle tune signers --a footage/anna --b footage/ben --steps 1000 --out runs/tuned --vary
    losses.weights.self_similarity=1:20:log --vary train.learning_rate=1e-4:1e-3:log
    """
    notice = make_way()
    with watched(as_json, notice) as job:
        from recycle.api import tune as search
        from recycle.runs.varied import parse_varied

        report = search(
            pipeline,
            vary=parse_varied(vary or ()),
            trials=trials,
            a=a or (),
            b=b or (),
            domains=names(domains),
            out=out,
            hours=hours,
            steps=steps,
            device=device,
            precision=precision,
            job=job,
        )
        first, best = report.trials[0], report.best
        job.say(f"best: trial {best.number + 1} with a score of {best.score:.3f}; wrote {report.pipeline}")
        if first.number != best.number and first.score is not None:
            job.say(f"the first trial, with the values of the pipeline itself if these are allowed: {first.score:.3f}")
