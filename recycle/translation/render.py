"""From a video file to a video file: decode, transform, encode; everything else comes along unchanged."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from recycle.atomic import atomic_path
from recycle.config import TranslateSettings
from recycle.errors import FootageError, OutputError
from recycle.footage.decode import open_container, open_frames, video_stream
from recycle.footage.encode import VideoEncoder, mp4_options, output_errors
from recycle.footage.frame import Frame, StreamInfo
from recycle.progress import Progress, silent
from recycle.translation.overlap import ahead
from recycle.translation.streams import CONTAINERS, OtherStreams

Transform = Callable[[Iterator[Frame], StreamInfo], Iterator[NDArray[np.uint8]]]
"""One picture out for each frame in, in order, of the same size: uint8 RGB (H, W, 3). Runs in a thread."""

_UNKNOWN_RATE = Fraction(25)


@dataclass(frozen=True)
class RenderReport:
    """What became of one video."""

    source: Path
    output: Path
    frames: int
    """Frames written: as many as could be decoded."""
    damaged: int
    """Packets of the source's video that could not be decoded."""
    seconds: float
    """Time taken, by the wall clock."""
    notices: tuple[str, ...]
    """What a user should know of the output, one line each; empty if nothing was lost."""


def render(
    source: Path,
    output: Path,
    transform: Transform,
    *,
    settings: TranslateSettings,
    overwrite: bool = False,
    progress: Progress = silent,
) -> RenderReport:
    """Write `source` (a video, or a folder of numbered images) to `output` with its frames transformed.

    Every frame keeps its timestamp, the picture its size and pixel aspect; all other streams, metadata and
    chapters are carried over (see `OtherStreams`). The output appears when it is complete, or not at all; its
    folder is made. Decoding, `transform` and encoding run at the same time, each at most
    `settings.batch_size` frames ahead of the next, so that memory does not grow with the length.

    Raises FootageError for a source that cannot be read, OutputError for an output that exists (without
    `overwrite`), is the source, has an unknown suffix or cannot be written, and whatever `transform` raises.
    """
    started = time.monotonic()
    with output_errors(output):
        check_output(source, output, overwrite=overwrite)
    with open_frames(source) as reader:
        stamps: deque[int] = deque()
        decoded = ahead(_readable(reader, source), settings.batch_size)
        done = ahead(transform(_stamped(decoded, stamps), reader.info), settings.batch_size)
        with closing(decoded), closing(done), output_errors(output), atomic_path(output) as temporary:
            frames, notices = _write(temporary, source, reader.info, done, stamps, settings, progress)
        if reader.damaged:
            notices.append(f"{reader.damaged} damaged packets of the video were skipped")
        seconds = time.monotonic() - started
        return RenderReport(source, output, frames, reader.damaged, seconds, tuple(notices))


def check_output(source: Path, output: Path, *, overwrite: bool) -> None:
    """Raise OutputError, in one line, if `output` must not be written for `source`."""
    if output.suffix.lower() not in CONTAINERS:
        raise OutputError(f"cannot write {output}: its suffix must be one of {' '.join(CONTAINERS)}")
    if output.is_dir():
        raise OutputError(f"cannot write {output}: it is a folder; give the name of a file")
    if output.exists():
        if source.exists() and output.samefile(source):
            raise OutputError(f"{output} is the input itself; give another name for the output")
        if not overwrite:
            raise OutputError(f"{output} exists; give --overwrite to replace it")
    if not output.parent.is_dir() and output.parent.exists():
        raise OutputError(f"cannot write {output}: {output.parent} is not a folder")


def _write(
    path: Path,
    source: Path,
    info: StreamInfo,
    pictures: Iterator[NDArray[np.uint8]],
    stamps: deque[int],
    settings: TranslateSettings,
    progress: Progress,
) -> tuple[int, list[str]]:
    """Encode `pictures`, whose timestamps wait in `stamps`, and copy the rest; the count and the notices."""
    first = next(pictures, None)
    if first is None:
        raise FootageError(f"{source}: not one frame of its video can be decoded")
    first_pts = stamps[0]
    shift = max(-first_pts, 0)
    count = 0
    options = {} if path.suffix.lower() == ".mkv" else mp4_options(info.time_base)
    with av.open(f"file:{path}", "w", format=CONTAINERS[path.suffix.lower()], container_options=options) as container:
        encoder = VideoEncoder(
            container,
            width=info.width,
            height=info.height,
            rate=info.average_rate or _UNKNOWN_RATE,
            time_base=info.time_base,
            sample_aspect_ratio=info.sample_aspect_ratio,
            crf=settings.crf,
            preset=settings.preset,
        )
        with OtherStreams(source, container, encoder.stream, shift=shift * info.time_base) as others:
            for count, pixels in enumerate(chain([first], pictures), start=1):
                pts = stamps.popleft()
                others.copy_until(pts * info.time_base)
                encoder.write(pixels, pts + shift)
                progress(count, info.frame_count)
            if stamps:
                raise RuntimeError(f"the transform gave {count} pictures for {count + len(stamps)} frames")
            encoder.close()
            others.finish()
    return count, [*_notices(path, info, first_pts * info.time_base), *others.notices]


def _notices(path: Path, info: StreamInfo, start: Fraction) -> Iterator[str]:
    """What the finished file says of itself that is not as in the source, whose first frame is at `start`."""
    with open_container(path) as container:
        video = video_stream(container, path)
        if (video.width, video.height) != (info.width, info.height):
            yield (
                f"{info.width}×{info.height} became {video.width}×{video.height}, its last column or row "
                "repeated: H.264 for all players has even sizes only"
            )
        unit = video.time_base
        if unit is None or video.start_time is None:
            return
        if (info.time_base / unit).denominator != 1:
            yield f"times are rounded to {float(unit):g} s, this container's unit; .mp4 keeps them exactly"
        late = video.start_time * unit - start
        if abs(late) >= unit:
            yield f"all times are {float(late):.3f} s later, for this container cannot hold times before 0"


def _readable(frames: Iterable[Frame], source: Path) -> Iterator[Frame]:
    try:
        yield from frames
    except av.FFmpegError as error:
        raise FootageError(f"cannot read {source}: {error.strerror or error}") from error


def _stamped(frames: Iterable[Frame], stamps: deque[int]) -> Iterator[Frame]:
    for frame in frames:
        stamps.append(frame.pts)
        yield frame
