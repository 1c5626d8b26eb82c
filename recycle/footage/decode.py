"""Reading of video: every frame of a file, upright, as RGB, with its own timestamp."""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from recycle.errors import FootageError
from recycle.footage.colour import RgbConverter
from recycle.footage.frame import Frame, StreamInfo, repair_timestamps
from recycle.footage.images import ImageFolderReader, natural_key, numbered_images

__all__ = [
    "Frame",
    "StreamInfo",
    "VideoReader",
    "estimate_frames",
    "find_sources",
    "open_container",
    "open_frames",
    "video_stream",
]

av.logging.set_level(None)

VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".dv", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"}
    | {".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)
_MAX_RATE = 480
_MAX_READ_FAILURES = 16


class VideoReader:
    """The first real video stream of one file (never a cover picture), frame by frame.

    Iterating decodes from the start, each time; only the frames within the decoder are held in memory.
    Packets that cannot be decoded are counted in `damaged` and skipped. Frames come upright (rotation and
    mirroring of the display matrix applied), converted to 8-bit RGB from whatever the source has, and all of
    the size of the first: later frames of another size are resized. Interlaced video is not deinterlaced.
    """

    def __init__(self, path: Path, *, square_pixels: bool = False, threads: bool = True) -> None:
        """Open `path`; `square_pixels` widens or narrows frames until pixels are square; the height stays.

        Raises FootageError, in one line, for a file that is missing, empty, no video, or yields no frame.
        """
        self.path = path
        self.damaged = 0
        """Packets that could not be decoded so far, in the latest iteration."""
        self._threads = threads
        self._container: InputContainer | None = None
        with open_container(path) as container:
            stream = video_stream(container, path)
            first = next(self._decode(container, stream), None)
            if first is None:
                raise FootageError(f"{path}: not one frame of its video can be decoded; is the file complete?")
            self._turn = _turn_of(first)
            aspect = stream.sample_aspect_ratio or Fraction(1)
            aspect = aspect if Fraction(1, 10) <= aspect <= 10 else Fraction(1)
            aspect = 1 / aspect if self._turn.transpose else aspect
            width, height = first.width, first.height
            if self._turn.transpose:
                width, height = height, width
            if square_pixels:
                width, aspect = max(1, round(width * aspect)), Fraction(1)
            self._step = frame_step(stream)
            self.info = _info(container, stream, width, height, aspect, first.rotation)

    def __iter__(self) -> Iterator[Frame]:
        self.close()
        self.damaged = 0
        self._container = container = open_container(self.path)
        stream = video_stream(container, self.path)
        time_base = self.info.time_base
        stored = (self.info.width, self.info.height)
        width, height = stored[::-1] if self._turn.transpose else stored
        to_rgb = RgbConverter(threads=self._threads)
        decoded: list[av.VideoFrame] = []

        def stamps() -> Iterator[int | None]:
            for frame in self._decode(container, stream):
                decoded.append(frame)
                yield frame.pts

        try:
            for pts in repair_timestamps(stamps(), step=self._step, second=int(1 / time_base)):
                frame = decoded.pop()
                try:
                    pixels = to_rgb(frame, width=width, height=height)
                except av.FFmpegError as error:
                    name = frame.format.name
                    raise FootageError(f"{self.path}: its pixel format {name} cannot be converted") from error
                yield Frame(self._turn.apply(pixels), pts, time_base)
        finally:
            container.close()

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Decode packet by packet: a damaged one costs its own frames, not the rest of the video."""
        stream.thread_type = "AUTO" if self._threads else "NONE"
        failures = 0
        while failures < _MAX_READ_FAILURES:
            try:
                for packet in container.demux(stream):
                    failures = 0
                    if packet.size == 0:  # the end of the stream, or an empty packet; decoding it would flush
                        continue
                    try:
                        yield from stream.decode(packet)
                    except av.FFmpegError:
                        self.damaged += 1
                break
            except av.FFmpegError:
                self.damaged += 1
                failures += 1
        try:
            yield from stream.decode(None)
        except av.FFmpegError:
            self.damaged += 1

    def close(self) -> None:
        """Close the file if an iteration left it open."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_container(path: Path) -> InputContainer:
    """Open a media file for reading. Raises FootageError, in one line, if it is none."""
    try:
        if path.stat().st_size == 0:
            raise FootageError(f"{path} is empty (0 bytes)")
        # "file:" keeps FFmpeg from taking a colon in the name for a protocol
        container = av.open(f"file:{path}", metadata_errors="replace")
    except av.error.InvalidDataError as error:
        raise FootageError(f"{path} is not a readable video file, or it is cut off at its header") from error
    except (av.FFmpegError, OSError) as error:
        raise FootageError(f"cannot read {path}: {error.strerror or error}") from error
    name = container.format.name
    if name.endswith("_pipe") or name in ("image2", "tty"):
        container.close()
        kind = "text" if name == "tty" else "a single image"
        raise FootageError(f"{path} is {kind}, not a video; give a video or a folder of numbered images")
    return container


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream that VideoReader reads. Raises FootageError if there is none."""
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    for stream in container.streams.video:
        if not stream.disposition & covers and stream.codec_context is not None:
            return stream
    found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise FootageError(f"{path} has no video stream that can be decoded (it holds: {found})")


def frame_rate(stream: VideoStream) -> Fraction | None:
    """Frames per second that the file states; None if it states none, or one that no camera has."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 0 < rate <= _MAX_RATE:
            return rate
    return None


def frame_step(stream: VideoStream) -> int:
    """Time between frames in units of the stream's time base; at 25 per second if the rate is unknown."""
    assert stream.time_base is not None
    return max(1, round(1 / ((frame_rate(stream) or Fraction(25)) * stream.time_base)))


def estimate_frames(path: Path) -> int | None:
    """Frames that a source claims to hold, without decoding; None if unknown, 0 if it cannot be read."""
    if path.is_dir():
        return len(numbered_images(path))
    try:
        with open_container(path) as container:
            stream = video_stream(container, path)
            return _info(container, stream, 0, 0, Fraction(1), 0).frame_count
    except FootageError:
        return 0


def _info(
    container: InputContainer, stream: VideoStream, width: int, height: int, aspect: Fraction, rotation: int
) -> StreamInfo:
    assert stream.time_base is not None
    rate = frame_rate(stream)
    duration: Fraction | None = None
    if stream.duration:
        duration = stream.duration * stream.time_base
    elif container.duration:
        duration = Fraction(container.duration, av.time_base)
    count = stream.frames or (round(duration * rate) if duration and rate else None)
    return StreamInfo(width, height, stream.time_base, rate, aspect, duration, count, rotation)


@dataclass(frozen=True)
class _Turn:
    """A display matrix, reduced to quarter turns and mirrorings."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        pixels = pixels[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(pixels)


def _turn_of(frame: av.VideoFrame) -> _Turn:
    """Read FFmpeg's display matrix: (x', y') = (a x + c y, b x + d y), stored as a b u c d v x y w."""
    try:
        data = bytes(frame.side_data["DISPLAYMATRIX"])  # type: ignore[typeddict-item]
    except KeyError:
        return _Turn()
    a, b, _, c, d, *_ = struct.unpack("=9i", data)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return _Turn(False, a < 0, d < 0)
    return _Turn(True, c < 0, b < 0)


def open_frames(path: Path, *, square_pixels: bool = False) -> VideoReader | ImageFolderReader:
    """Open a video file or a folder of numbered images. Raises FootageError."""
    if path.is_dir():
        return ImageFolderReader(path)
    return VideoReader(path, square_pixels=square_pixels)


def find_sources(inputs: Sequence[Path]) -> list[Path]:
    """List the videos and folders of numbered images among `inputs`, in natural order within each input.

    A file is taken whatever its name. A folder is searched with its subfolders: one that holds videos gives
    these, one that holds numbered images and no video is itself a source; hidden names are passed over.
    Raises FootageError for a path that does not exist or a folder that holds no footage.
    """
    sources: dict[Path, Path] = {}
    for path in inputs:
        if not path.exists():
            raise FootageError(f"there is no file or folder {path}")
        found = [path] if path.is_file() else _search(path)
        if not found:
            raise FootageError(f"{path} holds no video and no numbered images (png, jpg, bmp, webp, tif)")
        for source in found:
            sources.setdefault(source.resolve(), source)
    return list(sources.values())


def _search(folder: Path) -> list[Path]:
    found: list[Path] = []
    for name, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        videos = [f for f in files if Path(f).suffix.lower() in VIDEO_SUFFIXES and not f.startswith(".")]
        if videos:
            found += [Path(name, f) for f in videos]
        elif numbered_images(Path(name)):
            found.append(Path(name))
    return sorted(found, key=lambda path: natural_key(str(path)))
