"""The report: one HTML page with videos in step, scores, loss curves and previews."""

import base64
import mimetypes
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import jinja2
import numpy as np

from recycle.atomic import write_text
from recycle.errors import FootageError
from recycle.evaluation import charts
from recycle.evaluation.findings import findings
from recycle.evaluation.playable import plays_in_browsers, write_playable
from recycle.evaluation.table import score_rows
from recycle.footage.decode import VideoReader
from recycle.footage.encode import output_errors

EMBED_LIMIT = 40 * 2**20
"""Bytes of video up to which the page holds the videos themselves; above, it links to the files."""
PREVIEW_LIMIT = 12
_SMALL = 200


@dataclass(frozen=True)
class VideoRow:
    """Videos of equal length to be watched side by side."""

    title: str
    videos: Sequence[tuple[str, Path]]
    """(caption, video or folder of numbered images): such as source, translated, truth."""


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
    neighbours: Mapping[str, Path] | None = None,
    previews: Sequence[Path] = (),
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write the page to `path` (atomically): one file that needs no network and no other file.

    metrics: the flat dict of recycle.evaluation.evaluate. curves: tag → (step, value) points, of
    recycle.evaluation.curves.read_scalars. neighbours: by direction, the picture of
    recycle.evaluation.neighbours.write_neighbours. previews: pictures written during training, in order; more than
    PREVIEW_LIMIT are thinned evenly. facts: name → value, shown below the title.

    The page holds its videos and is a third larger than they are. Videos above EMBED_LIMIT bytes in all are
    linked by relative paths instead, and the page says so: it must then be moved together with them. Videos
    that browsers do not play are shown as H.264 copies, which lie in `<name of the page>-videos` if linked.

    Raises FootageError for a video or picture that cannot be read, OutputError where nothing can be written.
    """
    copies = path.with_name(f"{path.stem}-videos")
    files = _playable([video for row in rows for _, video in row.videos], copies)
    embed = sum(file.stat().st_size for file in files.values()) <= EMBED_LIMIT
    link_from = None if embed else path
    shown = [(row.title, [_video(caption, files[video], link_from) for caption, video in row.videos]) for row in rows]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files(__package__).joinpath("report.html.jinja").read_text("utf-8")
    page = environment.from_string(source).render(
        title=title,
        facts=facts or {},
        rows=shown,
        embedded=embed,
        scores=score_rows(metrics),
        findings=findings(metrics),
        neighbours=[(name, _data_uri(picture)) for name, picture in (neighbours or {}).items()],
        charts=charts.charts(curves),
        frame=charts,
        previews=[(picture.stem, _data_uri(picture)) for picture in _thin(previews)],
        left_out=max(0, len(previews) - PREVIEW_LIMIT),
    )
    with output_errors(path):
        write_text(path, page)
        if embed and copies.is_dir():
            shutil.rmtree(copies)


def _playable(videos: Sequence[Path], copies: Path) -> dict[Path, Path]:
    """For each video, itself or a copy in the folder `copies` that browsers play."""
    files: dict[Path, Path] = {}
    for video in videos:
        if video not in files and not plays_in_browsers(video):
            files[video] = copies / f"{len(files):02}-{video.stem}.mp4"
            write_playable(video, files[video])
        files.setdefault(video, video)
    return files


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


def _thin(previews: Sequence[Path]) -> list[Path]:
    count = min(len(previews), PREVIEW_LIMIT)
    return [previews[i] for i in np.linspace(0, len(previews) - 1, count).round().astype(int)]
