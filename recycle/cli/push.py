"""`recycle push`: uploads a model to the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.options import AsJson
from recycle.cli.output import watched


def push(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a run or of a model bundle.")],
    name: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Name of the model on the Hub.")],
    public: Annotated[
        bool, typer.Option("--public", help="Let everyone see it; needs --licence and --footage.")
    ] = False,
    licence: Annotated[str | None, typer.Option(help="Licence of the model, such as cc-by-4.0.")] = None,
    footage: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What footage it learned from, and who agreed to that.")
    ] = None,
    preview: Annotated[
        bool, typer.Option(help="Include the run's last preview, which shows frames of the footage.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Upload a model to the Hugging Face Hub, with a model card. It is private by default.

    Log in with 'hf auth login' first. Others then translate with --model ORG/NAME.

    Example: recycle push runs/seasons anna/summer-winter --licence cc-by-4.0 --footage "Our own videos of one street."
    """
    with watched(as_json) as job:
        from recycle.api import push as upload

        job.say(f"uploading {model} to {name}")
        page = upload(model, name, public=public, licence=licence, footage=footage, preview=preview, job=job)
        job.say(f"wrote {page}")
