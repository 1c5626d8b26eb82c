"""Reading of video: every frame of a file, upright, as RGB, with its own timestamp."""

import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from recycle.errors import FootageError
from recycle.footage.alpha import (
    alpha_decoder,
    alpha_plane,
    first_with_alpha,
    has_alpha,
    is_transparent,
)
from recycle.footage.captions import Captions
from recycle.footage.colour import RgbConverter, is_hdr
from recycle.footage.conceal import Decoded, decode
from recycle.footage.deinterlace import deinterlace
from recycle.footage.frame import Beside, Clock, Frame, LazyFrame, Pixels, StreamInfo
from recycle.footage.hardware import accelerator, decodes_alike
from recycle.footage.images import ImageFolderReader, natural_key, numbered_images
from recycle.footage.index import Index, beyond_end, build_index
from recycle.footage.lasting import Lasting
from recycle.footage.packets import demux
from recycle.footage.projection import Projection
from recycle.footage.sidedata import lost_kinds, side_data
from recycle.places import is_here

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


class VideoReader:
    """The first real video stream of one file (never a cover picture), frame by frame.

    Iterating decodes from the start, each time; only the frames within the decoder are held in memory. Frames
    that are lost to damage are concealed (`recycle.footage.conceal`). Frames come upright (rotation and
    mirroring of the display matrix applied), deinterlaced, converted to RGB from whatever the source has, and
    all of the size of the first: later frames of another size are resized.
    """

    def __init__(
        self,
        path: Path,
        *,
        square_pixels: bool = False,
        depth: Literal[8, 16] = 8,
        threads: bool = True,
        hardware: bool = False,
        alpha: bool = False,
    ) -> None:
        """Open `path`; `square_pixels` widens or narrows frames until pixels are square; the height stays.

        `depth` 8 gives uint8, 16 uint16 over its whole range. `threads` decodes with several, which is quicker unless
        all cores are busy. `hardware` decodes on the GPU if the first frame
        shows that this gives the same. `alpha` gives the alpha channel of a source that has one beside its frames,
        which the processor then decodes. Raises FootageError, in one line, for a file
        that is missing, empty, no video, or yields no frame.
        """
        self.path = path
        self.damaged = 0
        """Packets that could not be read or decoded so far, in the latest iteration."""
        self.concealed = 0
        """Frames so far that stand for one that is lost."""
        self.repaired = 0
        """Timestamps so far that were missing, not later than the one before, or hours after it."""
        self.transparent_later = self.captions_later = False
        """Whether frames so far turned out transparent, or with captions, after a first one that was not."""
        self.lasting: int | None = None
        """How long the last frame is shown, in units of the time base; known when an iteration has ended."""
        self._depth = depth
        self._threads = threads
        self._give_alpha = False  # while the first frame is looked at
        self._container: InputContainer | None = None
        with open_container(path) as container:
            stream = video_stream(container, path)
            self._step = frame_step(stream)
            self._lasting = Lasting(container, stream, path, step=self._step)
            first = next(self._decode(container, stream), None)
            if first is None:
                raise FootageError(f"{path}: not one frame of its video can be decoded; is the file complete?")
            frame = first.frame
            decoder = alpha_decoder(stream)
            coded = None if decoder is None else self._first_with_alpha(decoder)
            self.alpha = has_alpha(frame.format.name) or coded is not None
            """Whether the source has an alpha channel; without `alpha`, frames show the colours that lie beneath."""
            self._give_alpha = alpha and self.alpha
            self.transparent = is_transparent(coded or frame)
            """Whether the first frame has transparent pixels."""
            self.may_be_transparent = coded is not None
            """Whether frames have alpha that the usual decoder does not show."""
            self.hardware = hardware and not self._give_alpha and is_here(path) and decodes_alike(path, frame)
            """Whether the GPU decodes."""
            self.interlaced = frame.interlaced_frame
            """Whether the source is interlaced; its frames are deinterlaced."""
            self.bits = max(component.bits for component in frame.format.components)
            """Bits per sample of the source."""
            self.missing = beyond_end(container, stream)
            """Frames that the file's index names behind its end: it is cut off."""
            self.projection = Projection.of(frame)
            """Spherical mapping and stereo mode of the picture."""
            self.hdr = is_hdr(frame)
            """Whether the source has a high dynamic range; its frames are tone-mapped."""
            self.lost = lost_kinds(frame, hdr=self.hdr)
            """Data beside the pixels of the first frame that frames do not carry, in words."""
            self.captions = Type.A53_CC in side_data(frame)
            """Whether the first frame carries closed captions."""
            self._turn = _turn_of(frame)
            aspect = stream.sample_aspect_ratio or Fraction(1)
            aspect = aspect if Fraction(1, 10) <= aspect <= 10 else Fraction(1)
            aspect = 1 / aspect if self._turn.transpose else aspect
            width, height = frame.width, frame.height
            if self._turn.transpose:
                width, height = height, width
            if square_pixels:
                width, aspect = max(1, round(width * aspect)), Fraction(1)
            self.info = _info(container, stream, width, height, aspect, frame.rotation)

    def __iter__(self) -> Iterator[Frame]:
        with closing(self.read()) as frames:
            for frame in frames:
                yield frame.develop()

    def index(self, *, until: int | None = None) -> Index | None:
        """See `recycle.footage.index.build_index`. Raises FootageError if the file cannot be opened."""
        with open_container(self.path) as container:
            return build_index(container, video_stream(container, self.path), until=until)

    def read(
        self,
        wanted: Callable[[int], bool] = lambda pts: True,
        *,
        start: int | None = None,
        end: int | None = None,
        entry: int | None = None,
    ) -> Generator[LazyFrame]:
        """The frames from timestamp `start` to before `end` that are `wanted`; it is asked for each, in order.

        What is not wanted, or whose pixels are not asked for, is decoded and not converted, which is several times as
        fast. Decoding begins at the key frame `entry` (see `Index.entry`), and what is damaged before `start` is then
        not counted; None: at the first frame. Raises av.FFmpegError if the file cannot be reached any more.
        """
        self.close()
        self.damaged = self.concealed = self.repaired = 0
        self.lasting = None
        self._container = container = self._open_at(entry)
        stream = video_stream(container, self.path)
        time_base = self.info.time_base
        to_rgb = RgbConverter(depth=self._depth, threads=self._threads)
        clock = Clock(int(1 / time_base))
        frames = self._decode(container, stream)
        latest: tuple[int, int | None] | None = None
        scaler, captions = VideoReformatter(), Captions()
        try:
            for decoded in deinterlace(frames, time_base) if self.interlaced else frames:
                pts = clock(decoded.pts, step=self._step)
                if start is not None and pts < start:
                    if entry is not None:
                        self.damaged = 0
                    continue
                if end is not None and pts >= end:
                    self.lasting = None if latest is None else min(pts, end) - latest[0]
                    return
                latest = pts, decoded.pts
                self.repaired += pts != decoded.pts
                self.concealed += decoded.concealed
                if not wanted(pts):
                    continue
                convert = partial(self._pixels, to_rgb, decoded.frame)
                beside = partial(self._beside, scaler, captions, decoded)
                yield LazyFrame(convert, pts, time_base, decoded.concealed, beside)
            if latest is not None:
                sound = not self.damaged and not clock.shift
                lasting = self._lasting.after(latest[0] if latest[1] is None else latest[1], trust_end=sound)
                self.lasting = lasting if end is None else min(lasting, end - latest[0])
        finally:
            container.close()

    def _pixels(self, to_rgb: RgbConverter, frame: av.VideoFrame, size: tuple[int, int] | None, rough: bool) -> Pixels:
        """Of an upright picture, for LazyFrame."""
        upright = size or (self.info.width, self.info.height)
        width, height = upright[::-1] if self._turn.transpose else upright
        try:
            pixels = to_rgb(frame, width=width, height=height, shrink=size is not None, rough=rough)
        except av.FFmpegError as error:
            raise FootageError(f"{self.path}: its pixel format {frame.format.name} cannot be converted") from error
        return self._turn.apply(pixels)

    def _beside(self, scaler: VideoReformatter, captions: Captions, decoded: Decoded) -> Beside:
        """For LazyFrame."""
        text = captions.of(decoded)
        self.captions_later |= text is not None and not self.captions
        if not self._give_alpha:
            self.transparent_later |= not self.transparent and is_transparent(decoded.frame)
            return Beside(captions=text)
        width, height = self.info.width, self.info.height
        width, height = (height, width) if self._turn.transpose else (width, height)
        alpha = alpha_plane(scaler, decoded.frame, width=width, height=height, depth=self._depth)
        return Beside(self._turn.apply(alpha[..., None])[..., 0], text)

    def _first_with_alpha(self, decoder: VideoCodecContext) -> av.VideoFrame | None:
        """The first frame as a decoder that shows alpha gives it; None if it has none."""
        with open_container(self.path) as container:
            stream = video_stream(container, self.path)
            packet = next((packet for packet in demux(container, stream) if packet.size), None)
            return None if packet is None else first_with_alpha(decoder, packet)

    def _open_at(self, entry: int | None) -> InputContainer:
        """The file, open at the key frame `entry`, or at an earlier one; None: at its beginning."""
        container = open_container(self.path, hardware=self.hardware)
        if entry is None:
            return container
        stream = video_stream(container, self.path)
        try:
            container.seek(entry, stream=stream)
            landed = next(packet for packet in demux(container, stream) if packet.size)
            right = landed.is_keyframe and landed.pts is not None and landed.pts <= entry
            container.seek(entry, stream=stream)
        except (av.FFmpegError, StopIteration):
            right = False
        if right:
            return container
        container.close()
        return open_container(self.path, hardware=self.hardware)

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[Decoded]:
        stream.thread_type = "AUTO" if self._threads else "NONE"

        def damage() -> None:
            self.damaged += 1

        decoder = alpha_decoder(stream) if self._give_alpha else None
        return decode(
            lambda: self._lasting.note(demux(container, stream)), decoder or stream, step=self._step, damage=damage
        )

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


def open_container(path: Path, *, hardware: bool = False) -> InputContainer:
    """Open a media file for reading; `hardware`: its video is decoded on the GPU.

    Raises FootageError, in one line, if it is none.
    """
    try:
        if path.stat().st_size == 0:
            raise FootageError(f"{path} is empty (0 bytes)")
        # "file:" keeps FFmpeg from taking a colon in the name for a protocol
        file: Any = f"file:{path}" if is_here(path) else path.open("rb")
        container: InputContainer = av.open(
            file, "r", metadata_errors="replace", hwaccel=accelerator() if hardware else None
        )
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
    start = (stream.start_time or 0) * stream.time_base
    return StreamInfo(width, height, stream.time_base, rate, aspect, start, duration, count, rotation)


@dataclass(frozen=True)
class _Turn:
    """A display matrix, reduced to quarter turns and mirrorings."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, pixels: Pixels) -> Pixels:
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        pixels = pixels[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(pixels)


def _turn_of(frame: av.VideoFrame) -> _Turn:
    """Read FFmpeg's display matrix: (x', y') = (a x + c y, b x + d y), stored as a b u c d v x y w."""
    data = side_data(frame).get(Type.DISPLAYMATRIX)
    if data is None:  # PyAV gives no matrix beside data that it does not know, but still its angle
        quarter = round(frame.rotation / 90) % 4
        return (_Turn(), _Turn(True, False, True), _Turn(False, True, True), _Turn(True, True, False))[quarter]
    a, b, _, c, d, *_ = struct.unpack("=9i", data)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return _Turn(False, a < 0, d < 0)
    return _Turn(True, c < 0, b < 0)


def open_frames(
    path: Path,
    *,
    square_pixels: bool = False,
    depth: Literal[8, 16] = 8,
    threads: bool = True,
    hardware: bool = False,
    alpha: bool = False,
) -> VideoReader | ImageFolderReader:
    """Open a video file or a folder of numbered images; arguments as of VideoReader. Raises FootageError."""
    if path.is_dir():
        return ImageFolderReader(path, depth=depth, alpha=alpha)
    return VideoReader(path, square_pixels=square_pixels, depth=depth, threads=threads, hardware=hardware, alpha=alpha)


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
    left = [folder]
    while left:
        here = left.pop()
        names = [path for path in here.iterdir() if not path.name.startswith(".")]
        left += [path for path in names if path.is_dir() and not path.is_symlink()]
        videos = [path for path in names if path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()]
        if videos:
            found += videos
        elif numbered_images(here):
            found.append(here)
    return sorted(found, key=lambda path: natural_key(str(path)))
