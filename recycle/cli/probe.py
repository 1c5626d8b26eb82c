"""`recycle probe`: shows stream information and potential problems of videos."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recycle.cli.options import MaxPixels, given
from recycle.cli.output import print_error, show
from recycle.errors import RecycleError
from recycle.safe_text import printable_json

if TYPE_CHECKING:
    from recycle.video.find import Found


def probe(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Videos, folders of videos, or folders of numbered images.")
    ],
    cuts: Annotated[bool, typer.Option(help="Decode all frames, to find cuts and damage.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per video.")] = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Show stream information and potential problems of videos.

    For folders, also list the files that are left out.

    Example: recycle probe holiday.mp4 frames/
    """
    import recycle.inputs  # noqa: F401 (registers every kind of source)
    from recycle.cli.terminal import Terminal
    from recycle.events import Job, ignore
    from recycle.video.describe import describe
    from recycle.video.find import find_footage
    from recycle.video.probe import probe as look

    failed = 0
    with Terminal() if sys.stderr.isatty() else nullcontext(ignore) as observe:
        job = Job(observe)
        for path in inputs:
            try:
                found = find_footage([path]) if path.is_dir() else None
            except RecycleError as error:
                failed += 1
                print_error(str(error))
                continue
            for source in found.sources if found else [path]:
                job.counting(f"looking at {source.name}")
                try:
                    info = look(source, cuts=cuts, **given(max_pixels=max_pixels))
                except RecycleError as error:
                    failed += 1
                    print_error(str(error))
                    continue
                if as_json:
                    sys.stdout.write(printable_json(info.model_dump_json()) + "\n")
                else:
                    show(describe(info), lines=True)
            if found:
                failed += _show_rest(path, found, as_json)
    if failed:
        raise typer.Exit(1)


def _show_rest(folder: Path, found: "Found", as_json: bool) -> int:
    """Print which entries of a folder are left out, and return the number of unreadable files.

    With `as_json` the lines go to standard error, so that standard output holds only JSON.
    """
    from recycle.names import plain
    from recycle.video.find import left_out_lines, mixed_lines, relative_names

    lines = mixed_lines(plain(str(path)) for path in found.mixed)
    for line in lines + left_out_lines(relative_names(found.left_out, folder)):
        show(f"{folder}: {line}", error=as_json)
    for name, reason in relative_names(found.failed, folder).items():
        print_error(f"{folder}/{name}: {reason}")
    return len(found.failed)
