"""`recycle street`: renders the procedural street."""

from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.options import AsJson
from recycle.cli.output import watched
from recycle.errors import OutputError
from recycle.vocabulary import Appearance


def street(
    out: Annotated[Path, typer.Argument(metavar="VIDEO", help="Video file to write, such as street.mp4.")],
    look: Annotated[Appearance, typer.Option(help="Appearance of the scenes.")] = "day",
    seed: Annotated[int, typer.Option(help="Seed of the street; another seed gives another street.")] = 0,
    seconds: Annotated[float, typer.Option(help="Length of the video in seconds.")] = 10,
    width: Annotated[int, typer.Option(help="Width of the frames in pixels.")] = 640,
    height: Annotated[int, typer.Option(help="Height of the frames in pixels.")] = 384,
    fps: Annotated[int, typer.Option(help="Frames per second.")] = 24,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Render a video of a procedural street, to train or test with.

    The same street can be shown by day, at sunset, in rain, in snow, by night, by a thermal camera, and as label maps.

    Example: recycle street night.mp4 --look night --seed 7
    """
    from recycle.config import EncodeSettings, FilmSettings, parse_settings
    from recycle.street.film import Street
    from recycle.video.codecs import CONTAINERS, takes_codec

    suffixes = [suffix for suffix, name in CONTAINERS.items() if takes_codec(name, EncodeSettings())]
    if out.suffix.lower() not in suffixes:
        raise OutputError(f"cannot write {out}: its suffix must be one of {' '.join(suffixes)}")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists; give --overwrite to replace it")
    chosen = {"look": look, "seed": seed, "seconds": seconds, "width": width, "height": height, "fps": fps}
    checked = parse_settings(FilmSettings, chosen)
    film = Street(checked.seed, checked.width, checked.height, checked.fps, checked.seconds)
    with watched(as_json) as job:
        film.write(out, look, job=job)
        job.say(f"wrote {out}")
