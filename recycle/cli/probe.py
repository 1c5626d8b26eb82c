"""`recycle probe`: show what videos hold."""

from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.options import MaxPixels, given
from recycle.cli.output import print_error, show
from recycle.errors import RecycleError
from recycle.safe_text import printable_json


def probe(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Video files.")],
    cuts: Annotated[bool, typer.Option(help="Decode the whole file to find its cuts.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file.")] = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Tell what videos hold, and what of it needs care.

    Example: recycle probe holiday.mp4
    """
    from recycle.video.describe import describe
    from recycle.video.probe import probe as look

    failed = 0
    for file in files:
        try:
            info = look(file, cuts=cuts, **given(max_pixels=max_pixels))
        except RecycleError as error:
            failed += 1
            print_error(str(error))
            continue
        if as_json:
            typer.echo(printable_json(info.model_dump_json()))
        else:
            show(describe(info), lines=True)
    if failed:
        raise typer.Exit(1)
