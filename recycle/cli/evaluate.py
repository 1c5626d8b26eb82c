"""`recycle evaluate`: scores a model on unseen clips."""

from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.options import AsJson, Device, Features, Model, Precision, WhichModel, bundle_of
from recycle.cli.output import watched

Palette = Annotated[
    str,
    typer.Option(metavar="street|FILE", help="Colours of the label maps; FILE: a line 'R G B name' for each label."),
]
TrainedA = Annotated[
    list[Path] | None, typer.Option(help="Folder of training frames of domain a, to detect copies of them.")
]
TrainedB = Annotated[list[Path] | None, typer.Option(help="The same for domain b, such as runs/demo/frames/b.")]


def evaluate(
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder for the translated clips and metrics.json.")],
    a: Annotated[list[Path] | None, typer.Option(help="Unseen videos of domain a (repeatable).")] = None,
    b: Annotated[list[Path] | None, typer.Option(help="Unseen videos of domain b (repeatable).")] = None,
    truth_ab: Annotated[
        list[Path] | None, typer.Option(help="True counterparts of --a in domain b, in the same order.")
    ] = None,
    truth_ba: Annotated[
        list[Path] | None, typer.Option(help="True counterparts of --b in domain a, in the same order.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="DOMAIN", help="Domain that holds label maps: a, b or its name.")
    ] = None,
    palette: Palette = "street",
    features: Features = None,
    trained_a: TrainedA = None,
    trained_b: TrainedB = None,
    which: WhichModel = "best",
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: AsJson = False,
) -> None:
    """Score a model on unseen clips.

    True counterparts of the clips, if there are any, add scores against the truth.

    Example: recycle evaluate --model runs/demo --a day.mp4 --truth-ab night.mp4 --out scores
    """
    if palette != "street" and not labels:
        raise typer.BadParameter("--palette needs --labels, the domain that holds the label maps")
    with watched(as_json) as job:
        from recycle.api import evaluate as score
        from recycle.evaluation.table import score_lines
        from recycle.networks.bundle import names_of
        from recycle.run_folder import RunFolder

        bundle = bundle_of(model, which)
        scores = score(
            bundle,
            out,
            a=a or (),
            b=b or (),
            truth_ab=truth_ab or (),
            truth_ba=truth_ba or (),
            trained_a=trained_a or (),
            trained_b=trained_b or (),
            labels=labels,
            palette=palette,
            features=features,
            device=device,
            precision=precision,
            job=job,
        )
        for line in score_lines(scores, names_of(bundle)):
            job.say(line)
        job.say(f"wrote {RunFolder(out).metrics}")
