"""Reads the frames of a video file: upright RGB with timestamps."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from recycle.errors import FootageError
from recycle.system.cores import cores
from recycle.system.places import is_here
from recycle.video.alpha import alpha_decoder, alpha_plane, first_with_alpha, has_alpha, is_transparent
from recycle.video.animation import plays_of
from recycle.video.captions import Captions
from recycle.video.colour import RgbConverter, is_hdr
from recycle.video.conceal import Decoded, decode
from recycle.video.container import check_size, is_raw, open_container, video_stream
from recycle.video.deinterlace import deinterlace
from recycle.video.frame import ASSUMED_RATE, Beside, Clock, LazyFrame, Pixels
from recycle.video.hardware import decodes_alike
from recycle.video.image_file import image_size
from recycle.video.index import Index, beyond_end, build_index
from recycle.video.lasting import Lasting
from recycle.video.nvdec import decoding
from recycle.video.opening import Placed, opened
from recycle.video.packets import demux
from recycle.video.planes import PlaneFormat, PlaneReader, plane_format
from recycle.video.projection import Projection
from recycle.video.sidedata import lost_kinds, side_data
from recycle.video.source import USUAL, Reading, Source
from recycle.video.stated import frame_rate, frame_step, stream_info
from recycle.video.turn import turn_of

DECODER_BYTES = 1 << 30
"""Maximum number of bytes of the pictures that a decoder's threads process at once."""
_BYTES_PER_PIXEL = 3
"""Bytes per pixel of a decoded picture: 1.5 for 8-bit 4:2:0, 3 for 10-bit 4:2:0, at most 8."""


class VideoReader(Source):
    """Reads the first video stream of a file that is not a cover picture, frame by frame.

    Every reading decodes the file again; only the frames in the decoder are held in memory. Frames are upright
    (rotation and mirroring of the display matrix are applied), deinterlaced and converted to RGB. Frames lost to damage
    are concealed (`recycle.video.conceal`). All frames have the size of the first; others are resized to it.
    """

    kind = "video file"

    def __init__(self, path: Path, reading: Reading = USUAL) -> None:
        """Open `path`. A video whose alpha channel is wanted is decoded on the CPU.

        Raises FootageError, in one line, if the file is missing or empty, is not a video, has no decodable frame, or
        has pictures of more than `reading.max_pixels`.
        """
        super().__init__(path, reading)
        self._container: InputContainer | None = None
        with self.watched():
            self._look()

    def _look(self) -> None:
        """Determine all properties that need only the header and the first frame."""
        path, reading = self.path, self.reading
        with open_container(path, max_pixels=reading.max_pixels) as container:
            stream = video_stream(container, path)
            known = (stream.width, stream.height) if stream.width else image_size(path) if is_here(path) else None
            check_size(path, *(known or (0, 0)), reading.max_pixels)
            self._step = frame_step(stream)
            self._lasting = Lasting(container, stream, path, step=self._step)
            first = self._first(container, stream)
            self._see_alpha(stream, first.frame)
            on_gpu = reading.hardware and not self.gives_alpha and is_here(path)
            self.hardware = on_gpu and decodes_alike(path, first.frame)
            self._see_picture(first.frame)
            self._see_file(container, stream)
            self._see_size(container, stream, first)
            if self.raw:
                self._space_evenly(first)

    @classmethod
    def takes(cls, path: Path) -> bool:
        """Always True; the constructor raises FootageError if `path` is not a video."""
        return True

    def companion(self) -> Path:
        """The file itself."""
        return self.path

    @property
    def planes(self) -> PlaneFormat | None:
        """None if frames have more than 8 bits or alpha is wanted, too; see `recycle.video.planes.plane_format`."""
        return None if self.reading.depth != 8 or self.gives_alpha else self._plane_format()

    def _first(self, container: InputContainer, stream: VideoStream) -> Decoded:
        first = next(self._decode(container, stream), None)
        if first is None:
            raise FootageError(
                f"{self.path}: no frame can be decoded; check that the file is complete, and that its frames have at "
                f"most {self.reading.max_pixels:,} pixels (--max-pixels)"
            )
        return first

    def _see_alpha(self, stream: VideoStream, frame: av.VideoFrame) -> None:
        decoder = alpha_decoder(stream)
        coded = None if decoder is None else self._first_with_alpha(decoder)
        self.alpha = has_alpha(frame.format.name) or coded is not None
        self.transparent = is_transparent(coded or frame)
        self.may_be_transparent = coded is not None

    def _see_picture(self, frame: av.VideoFrame) -> None:
        self.interlaced = frame.interlaced_frame
        self.grey = frame.format.name.startswith(("gray", "ya", "mono"))
        self.bits = max(component.bits for component in frame.format.components)
        self.projection = Projection.of(frame)
        self.hdr = is_hdr(frame)
        self.lost = lost_kinds(frame, hdr=self.hdr)
        self.captions = Type.A53_CC in side_data(frame)
        self._turn = turn_of(frame)
        self._plane_format = plane_format(frame, self._turn)

    def _see_file(self, container: InputContainer, stream: VideoStream) -> None:
        self.raw = is_raw(container)
        self.plays = plays_of(self.path) if container.format.name in ("gif", "apng") and is_here(self.path) else None
        self.rate_assumed = self.raw and self.reading.fps is None and frame_rate(stream) is None
        self.ignores_fps = self.reading.fps is not None and not self.raw
        self.missing = beyond_end(container, stream)

    def _see_size(self, container: InputContainer, stream: VideoStream, first: Decoded) -> None:
        frame = first.frame
        aspect = stream.sample_aspect_ratio or Fraction(1)
        aspect = aspect if Fraction(1, 10) <= aspect <= 10 else Fraction(1)
        aspect = 1 / aspect if self._turn.transpose else aspect
        width, height = frame.width, frame.height
        if self._turn.transpose:
            width, height = height, width
        if self.reading.square_pixels:
            width, aspect = max(1, round(width * aspect)), Fraction(1)
        check_size(self.path, width, height, self.reading.max_pixels)
        self.info = stream_info(self.path, container, stream, width, height, aspect, frame.rotation, first=first.pts)

    def _space_evenly(self, first: Decoded) -> None:
        """Space the frames of a raw stream evenly, two units of the time base each."""
        self._origin, self._unit = first.pts, Fraction(self._step, 2)
        self._step = 2
        rate = self.reading.fps or self.info.average_rate or ASSUMED_RATE
        self.info = replace(self.info, time_base=1 / (2 * rate), average_rate=rate, start=Fraction(0))

    def index(self, *, until: int | None = None) -> Index | None:
        """See `recycle.video.index.build_index`. Raises FootageError if the file cannot be opened."""
        with open_container(self.path) as container:
            return build_index(container, video_stream(container, self.path), until=until)

    def read(
        self, *, start: int | None = None, end: int | None = None, entry: int | None = None
    ) -> Generator[LazyFrame]:
        """See `Source.read`. Frames are converted to RGB only on request; decoding alone is several times as fast.

        Decoding begins at the key frame `entry` (see `Index.entry`), or at the first frame if `entry` is None. With
        `entry`, damage before `start` is not counted. Raises av.FFmpegError if the file has become unreachable.
        """
        self.close()
        self.damaged = self.concealed = self.repaired = self.deinterlaced = 0
        self.lasting = None
        self._container = container = self._open_at(entry)
        stream = video_stream(container, self.path)
        time_base = self.info.time_base
        to_rgb = RgbConverter(depth=self.reading.depth, threads=self.reading.threads)
        to_planes = cache(partial(self._plane_reader, to_rgb))
        clock = Clock(int(1 / time_base))
        frames = deinterlace(self._decode(container, stream), time_base)
        placed = ((clock(self._stamp_of(each), step=self._step), each) for each in frames)

        def lasting(decoded: Decoded, pts: int) -> int:
            own = pts if decoded.pts is None else decoded.pts
            sound = not self.damaged and not clock.shift
            return self._step if self.raw else self._lasting.after(own, trust_end=sound)

        latest: tuple[Placed, Decoded] | None = None
        scaler, captions = VideoReformatter(), Captions()
        try:
            for place, decoded in opened(placed, start, time_base, lasting):
                if place is None:
                    if entry is not None:
                        self.damaged = 0
                    continue
                if end is not None and place.pts >= end:
                    self.lasting = None if latest is None else min(place.pts, end) - latest[0].pts
                    return
                latest = place, decoded
                stamp = self._stamp_of(decoded)
                self.repaired += place.own != stamp and not (self.raw and stamp is None)
                self.concealed += decoded.concealed
                self.deinterlaced += decoded.interlaced
                convert = partial(self._pixels, to_rgb, decoded.frame)
                beside = partial(self._beside, scaler, captions, decoded)
                planes = partial(self._handed_over, to_planes, decoded.frame)
                yield LazyFrame(convert, place.pts, time_base, decoded.concealed, beside, planes)
            if latest is not None:
                shown, own = latest[0]
                left = lasting(latest[1], own) - (shown - own)
                self.lasting = left if end is None else min(left, end - shown)
        finally:
            container.close()

    def _stamp_of(self, decoded: Decoded) -> int | None:
        """Timestamp of a frame; that of a raw stream is in half frames since the first one.

        Some frames of a raw stream last one and a half.
        """
        if not self.raw or decoded.pts is None:
            return decoded.pts
        return None if self._origin is None else round((decoded.pts - self._origin) / self._unit)

    def _pixels(self, to_rgb: RgbConverter, frame: av.VideoFrame, size: tuple[int, int] | None, rough: bool) -> Pixels:
        """Upright pixels of a frame, for LazyFrame."""
        upright = size or (self.info.width, self.info.height)
        width, height = upright[::-1] if self._turn.transpose else upright
        with self._converting(frame):
            pixels = to_rgb(frame, width=width, height=height, shrink=size is not None, rough=rough)
        return self._turn.apply(pixels)

    def _plane_reader(self, to_rgb: RgbConverter) -> PlaneReader:
        form = self.planes
        assert form is not None, "planes are requested only from sources that have them"
        return PlaneReader(form, to_rgb)

    def _handed_over(self, to_planes: Callable[[], PlaneReader], frame: av.VideoFrame) -> Pixels:
        """Planes of a frame, for LazyFrame."""
        with self._converting(frame):
            return to_planes()(frame)

    @contextmanager
    def _converting(self, frame: av.VideoFrame) -> Iterator[None]:
        try:
            yield
        except av.FFmpegError as error:
            raise FootageError(f"{self.path}: its pixel format {frame.format.name} cannot be converted") from error

    def _beside(self, scaler: VideoReformatter, captions: Captions, decoded: Decoded) -> Beside:
        """Alpha and captions of a frame, for LazyFrame."""
        text = captions.of(decoded)
        self.captions_later |= text is not None and not self.captions
        if not self.gives_alpha:
            self.transparent_later |= not self.transparent and is_transparent(decoded.frame)
            return Beside(captions=text)
        width, height = self.info.width, self.info.height
        width, height = (height, width) if self._turn.transpose else (width, height)
        alpha = alpha_plane(scaler, decoded.frame, width=width, height=height, depth=self.reading.depth)
        return Beside(self._turn.apply(alpha[..., None])[..., 0], text)

    def _first_with_alpha(self, decoder: VideoCodecContext) -> av.VideoFrame | None:
        """The first frame with its alpha; None if it has no alpha."""
        with open_container(self.path) as container:
            stream = video_stream(container, self.path)
            packet = next((packet for packet in demux(container, stream) if packet.size), None)
            return None if packet is None else first_with_alpha(decoder, packet)

    def _open(self) -> InputContainer:
        """Open the file; on the CPU if the GPU, which decoded the first frame, has no room for another decoder now."""
        if self.hardware:
            try:
                with decoding(only=False) as gpu:
                    return open_container(self.path, hardware=gpu, max_pixels=self.reading.max_pixels)
            except FootageError:  # a file that cannot be read fails again below
                self.hardware = False
        return open_container(self.path, max_pixels=self.reading.max_pixels)

    def _open_at(self, entry: int | None) -> InputContainer:
        """Open the file at the key frame `entry` or an earlier one; at the start if it is None or cannot be reached."""
        container = self._open()
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
        return self._open()

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[Decoded]:
        stream.thread_type = "AUTO" if self.reading.threads else "NONE"
        bytes_each = max(1, _BYTES_PER_PIXEL * stream.width * stream.height)
        if self.reading.threads and DECODER_BYTES // bytes_each < cores():
            stream.codec_context.thread_count = max(1, DECODER_BYTES // bytes_each)

        def damage() -> None:
            self.damaged += 1

        step = frame_step(stream)
        decoder = alpha_decoder(stream) if self.gives_alpha else None

        def packets() -> "Iterator[Packet[VideoStream]]":
            return self._lasting.note(demux(container, stream))

        return decode(packets, decoder or stream, step=step, damage=damage, max_pixels=self.reading.max_pixels)

    def close(self) -> None:
        """Close the file if an iteration did not finish."""
        if self._container is not None:
            self._container.close()
            self._container = None
