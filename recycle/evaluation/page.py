"""Writes self-contained pages: HTML files with embedded videos, styles and scripts."""

import base64
import mimetypes
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

import jinja2

from recycle.errors import FootageError
from recycle.evaluation import charts
from recycle.evaluation.playable import plays_in_browsers, write_playable
from recycle.inputs import open_source
from recycle.safe_text import printable
from recycle.system.atomic import write_text
from recycle.video.encode import output_errors
from recycle.video.frame import ASSUMED_RATE

EMBED_LIMIT = 40 * 2**20
"""Maximum total size in bytes of embedded videos; larger videos are linked."""
_SMALL = 200
_WIDTH = 1184
"""Width in pixels of a row of videos."""
_HEAD = 4096  # bytes at the start of a page that contain its generator tag


@dataclass(frozen=True)
class VideoRow:
    """Videos of equal length, shown side by side and synchronised."""

    title: str
    videos: Sequence[tuple[str, Path | None]]
    """Pairs of a caption, such as source, translated or truth, and a video or folder of numbered images. None leaves
    the place empty; the first is never None."""


@dataclass(frozen=True)
class _Video:
    caption: str
    src: str
    """Data URI or relative URL; empty if there is no video."""
    width: int
    height: int
    rate: float
    crisp: bool
    least_width: int


def write_page(path: Path, template: str, *, rows: Sequence[VideoRow], **context: object) -> bool:
    """Render `template`, a file of this package, with `rows` and `context`, and write the page to `path` atomically.

    Returns whether the videos are embedded, so that the page needs no network and no other file. If they have more than
    EMBED_LIMIT bytes in total, they are linked by relative paths instead, and the page says so. Videos that browsers
    cannot play are shown as H.264 copies; linked copies are in `videos_folder(path)`.

    Raises FootageError if a video cannot be read, OutputError if a file cannot be written.
    """
    copies = videos_folder(path)
    files = _playable([video for row in rows for _, video in row.videos if video is not None], copies)
    embed = sum(file.stat().st_size for file in files.values()) <= EMBED_LIMIT
    shown = [(row.title, _row(row, files, None if embed else path)) for row in rows]
    page = (
        environment()
        .get_template(template)
        .render(rows=shown, embedded=embed, frame=charts, generator=_generator(template), **context)
    )
    with output_errors(path):
        write_text(path, page)
        if embed:
            _remove_copies(copies)
    return embed


def charts_html(drawn: Sequence[charts.Chart]) -> str:
    """The charts as HTML with SVG. The colours of the lines are the variables and classes of page.html.jinja."""
    return environment().get_template("charts.html.jinja").render(charts=drawn, frame=charts)


@lru_cache
def environment(*further: jinja2.BaseLoader) -> jinja2.Environment:
    """The environment of the templates in this folder, and of those of `further` loaders."""
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([*further, jinja2.PackageLoader(__package__, ".")]),
        autoescape=True,
        finalize=lambda value: printable(value, lines=True) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def is_page(path: Path, template: str) -> bool:
    """Whether write_page wrote the file `path` with `template`; False if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return f'content="{_generator(template)}"'.encode() in file.read(_HEAD)
    except OSError:
        return False


def videos_folder(path: Path) -> Path:
    """The folder of the copies of videos that the page at `path` links to."""
    return path.with_name(f"{path.stem}-videos")


def data_uri(file: Path) -> str:
    """Encode a file as a data URI. Raises FootageError if it cannot be read."""
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    try:
        return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
    except OSError as error:
        raise FootageError(f"cannot read {file} for the report: {error.strerror}") from error


def _generator(template: str) -> str:
    return f"recycle {template.partition('.')[0]}"


def _playable(videos: Sequence[Path], copies: Path) -> dict[Path, Path]:
    """Map each video to itself if browsers can play it, else to a playable copy written to the folder `copies`."""
    files: dict[Path, Path] = {}
    for video in videos:
        if video not in files and not plays_in_browsers(video):
            files[video] = copies / f"{len(files):02}-{video.stem}.mp4"
            write_playable(video, files[video])
        files.setdefault(video, video)
    return files


def _remove_copies(folder: Path) -> None:
    """Remove the files that _playable wrote, and the folder if it is then empty."""
    for file in folder.glob("*.mp4"):
        if re.match(r"\d\d+-", file.name):
            file.unlink()
    with suppress(OSError):
        folder.rmdir()


def _row(row: VideoRow, files: dict[Path, Path], link_from: Path | None) -> list[_Video]:
    """The videos of a row; the more there are, the smaller they are shown, so that all are visible."""
    fitting = max(_WIDTH // len(row.videos) - 14, 140)
    shown: list[_Video] = []
    for caption, video in row.videos:
        if video is not None:
            shown.append(_video(caption, files[video], link_from))
        else:
            first = shown[0]
            shown.append(_Video(caption, "", first.width, first.height, 0, False, first.least_width))
    return [replace(video, least_width=min(video.least_width, fitting)) for video in shown]


def _video(caption: str, video: Path, linked_from: Path | None) -> _Video:
    with open_source(video) as reader:
        info = reader.info
    if linked_from is None:
        src = data_uri(video)
    else:
        src = quote(Path(os.path.relpath(video.resolve(), linked_from.resolve().parent)).as_posix())
    return _Video(
        caption,
        src,
        info.width,
        info.height,
        rate=float(info.average_rate or ASSUMED_RATE),
        crisp=info.width <= 2 * _SMALL,
        least_width=2 * info.width if info.width <= _SMALL else min(info.width, 240),
    )
