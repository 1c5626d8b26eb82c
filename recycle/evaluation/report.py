"""The report: one HTML page with videos in step, scores, loss curves and previews."""

import base64
import mimetypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import jinja2
import numpy as np

from recycle.atomic import write_text
from recycle.errors import FootageError
from recycle.evaluation import charts
from recycle.evaluation.table import score_rows
from recycle.footage.decode import VideoReader

EMBED_LIMIT = 40 * 2**20
"""Bytes of video up to which the page holds the videos themselves; above, it links to the files."""
PREVIEW_LIMIT = 12
_SMALL = 200


@dataclass(frozen=True)
class VideoRow:
    """Videos of equal length to be watched side by side."""

    title: str
    videos: Sequence[tuple[str, Path]]
    """(caption, H.264 mp4): such as source, translated, truth."""


@dataclass(frozen=True)
class _Video:
    caption: str
    src: str
    width: int
    height: int
    rate: float
    crisp: bool
    least_width: int


def write_report(
    path: Path,
    *,
    title: str,
    rows: Sequence[VideoRow],
    metrics: Mapping[str, float],
    curves: Mapping[str, Sequence[tuple[int, float]]],
    previews: Sequence[Path] = (),
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write the page to `path` (atomically): one file that needs no network and no other file.

    metrics: the flat dict of recycle.evaluation.evaluate. curves: tag → (step, value) points, of
    recycle.evaluation.curves.read_scalars. previews: pictures written during training, in order; more than
    PREVIEW_LIMIT are thinned evenly. facts: name → value, shown below the title.

    The page holds its videos and is a third larger than they are. Videos above EMBED_LIMIT bytes in all are
    linked by relative paths instead, and the page says so: it must then be moved together with them.

    Raises FootageError for a video or picture that cannot be read.
    """
    videos = [video for row in rows for _, video in row.videos]
    embed = sum(_size(video) for video in videos) <= EMBED_LIMIT
    shown = [
        (row.title, [_video(caption, video, path if not embed else None) for caption, video in row.videos])
        for row in rows
    ]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files(__package__).joinpath("report.html.jinja").read_text("utf-8"))
    page = template.render(
        title=title,
        facts=facts or {},
        rows=shown,
        embedded=embed,
        scores=score_rows(metrics),
        charts=charts.charts(curves),
        frame=charts,
        previews=[(picture.stem, _data_uri(picture)) for picture in _thin(previews)],
        left_out=max(0, len(previews) - PREVIEW_LIMIT),
    )
    write_text(path, page)


def _video(caption: str, video: Path, linked_from: Path | None) -> _Video:
    with VideoReader(video) as reader:
        info = reader.info
    if linked_from is None:
        src = _data_uri(video)
    else:
        src = quote(Path(os.path.relpath(video.resolve(), linked_from.resolve().parent)).as_posix())
    return _Video(
        caption,
        src,
        info.width,
        info.height,
        rate=float(info.average_rate or 25),
        crisp=info.width <= 2 * _SMALL,
        least_width=2 * info.width if info.width <= _SMALL else min(info.width, 240),
    )


def _data_uri(file: Path) -> str:
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    try:
        return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
    except OSError as error:
        raise FootageError(f"cannot read {file} for the report: {error.strerror}") from error


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise FootageError(f"cannot read {file} for the report: {error.strerror}") from error


def _thin(previews: Sequence[Path]) -> list[Path]:
    count = min(len(previews), PREVIEW_LIMIT)
    return [previews[i] for i in np.linspace(0, len(previews) - 1, count).round().astype(int)]
