"""`recycle compare`: compares training runs on one page."""

from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.options import AsJson
from recycle.cli.output import watched


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of training runs, finished or not.")],
    out: Annotated[Path, typer.Option(help="HTML page to write.")] = Path("compare.html"),
    a: Annotated[list[Path] | None, typer.Option(help="Video of domain a to show (repeatable).")] = None,
    b: Annotated[list[Path] | None, typer.Option(help="Video of domain b to show (repeatable).")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a file even if this command did not write it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare runs on one page, and name the best.

    The page shows the settings that differ, translations of the same clips, scores and curves.
    Without --a and --b, the page shows the test clips that all runs share. If there are none, it shows the held-out
    frames that all runs share.

    Example: recycle compare runs/recycle runs/cycle --out compare.html
    """
    with watched(as_json) as job:
        from recycle.runs.compare import compare as compare_runs

        ranking = compare_runs(runs, out, a=a or (), b=b or (), overwrite=overwrite, job=job)
        for line in (*ranking.lines, ranking.headline):
            job.say(line)
        job.say(f"wrote {out}   <- open this in a browser")
