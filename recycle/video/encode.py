"""Encodes RGB frames to a widely playable video stream."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

from recycle.config import EncodeSettings
from recycle.errors import OutputError
from recycle.system.atomic import atomic_path
from recycle.system.priority import usual_priority
from recycle.video.codecs import X265_FRAMES, Choice, choose_encoder
from recycle.video.colour import EXACT
from recycle.video.frame import ASSUMED_RATE, NOTHING, Beside, Pixels, StreamInfo, mp4_timescale
from recycle.video.lookahead import bounded_options
from recycle.video.padding import padding
from recycle.video.planes import CENTRED, ENCODED, LEFT, PlaneFormat, Sited

av.logging.set_level(None)

DEFAULTS = EncodeSettings()
AUDIO_RATE = 48_000
"""Samples per second of the sound that `write_video` takes."""
_AUDIO_BLOCK = 1024
_UNSPECIFIED = 2
_LEFT = {"h264", "hevc"}
"""Codecs with left chroma siting by default: a chroma sample is on the left of its two columns (ITU-T H.264, E.2.1)."""


@dataclass(frozen=True)
class Picture:
    """Properties that all frames of a video share."""

    width: int
    height: int
    """Size in pixels."""
    rate: Fraction
    """Approximate frames per second."""
    time_base: Fraction
    """Seconds per unit of the timestamps."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel over its height."""

    @classmethod
    def of(cls, info: StreamInfo) -> Self:
        """The properties of a source. An unknown rate becomes ASSUMED_RATE; only estimates of players depend on it."""
        rate = info.average_rate or ASSUMED_RATE
        return cls(info.width, info.height, rate, info.time_base, info.sample_aspect_ratio)


class VideoEncoder:
    """Encodes RGB frames and muxes the packets into an open output container.

    Pixels are converted to BT.709, limited range, and tagged accordingly (RGB formats: full range). If the pixel format
    subsamples chroma, a frame of odd width or height is padded by repeating its last column or row (see `padding`).

    Timestamps are exact in every container that can represent them. Open an mp4 with `mp4_options`; otherwise its
    default movie timescale of 1 ms rounds a nonzero start. mp4 and Matroska cannot store frames before time 0: shift
    all streams of such a source first.
    """

    def __init__(self, container: OutputContainer, choice: Choice, picture: Picture) -> None:
        self.picture = picture
        self.padding = padding(choice.pixel_format, picture.width, picture.height)
        """Numbers of columns added at the right and of rows added at the bottom."""
        self._container = container
        self.choice = choice
        self._planes = encoded_planes(choice, picture)
        self._last_pts: int | None = None
        self._written = 0
        self._kind: tuple[tuple[int, ...], np.dtype[Any]] | None = None
        self._scaler, self._stretcher, self._carrier = VideoReformatter(), VideoReformatter(), VideoReformatter()
        options = bounded_options(choice, picture.width * picture.height)
        stream: Any = container.add_stream(choice.encoder.name, rate=picture.rate, options=options)
        stream.width, stream.height = picture.width + self.padding[0], picture.height + self.padding[1]
        stream.pix_fmt = choice.pixel_format
        if choice.bitrate is not None:
            stream.bit_rate = choice.bitrate
        context = stream.codec_context
        context.time_base = picture.time_base
        context.sample_aspect_ratio = picture.sample_aspect_ratio
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        self._rgb = stream.format.is_rgb
        context.colorspace = _UNSPECIFIED if self._rgb else Colorspace.ITU709
        context.color_range = ColorRange.JPEG if self._rgb else ColorRange.MPEG
        self._sited = Sited(_chroma_of(choice))
        self.stream = stream

    def write(self, pixels: Pixels, pts: int, beside: Beside = NOTHING) -> None:
        """Encode one frame: uint8 or uint16 full-range RGB (H, W, 3), shown at `pts` in units of the time base.

        It may also be the planes of a frame, uint8 (H × 3/2, W) in the format `encoded_planes`. `beside` holds the
        frame's alpha, which is written if the choice has alpha, and its closed captions, which are written if the
        encoder supports them. RGB that does not have the picture's size is resized to it by bicubic interpolation.
        Raises ValueError for a wrong shape or dtype, for a shape or dtype that differs from the first
        frame's, and for a `pts` that does not exceed the previous one. Raises av.FFmpegError if the container cannot be
        written (see `output_errors`).
        """
        kind = (pixels.shape, pixels.dtype)
        self._kind = self._kind or kind
        rgb = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype in (np.uint8, np.uint16)
        if not (rgb or self._takes_planes(pixels)) or kind != self._kind:
            raise ValueError(
                "expected a frame of shape (H, W, 3) and dtype uint8 or uint16, or planes, all alike "
                f"({self._kind[0]}, {self._kind[1]}), got {pixels.shape} and {pixels.dtype}"
            )
        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"timestamps must increase, got {pts} after {self._last_pts}")
        self._last_pts = pts
        frame = self._converted(pixels, beside.alpha if self.choice.alpha else None) if rgb else _of_planes(pixels)
        if beside.captions is not None and self.choice.encoder.captions:
            frame = self._carrying(frame, beside.captions)
        frame.pts, frame.time_base = pts, self.picture.time_base
        self._written += 1
        with usual_priority() if self._written == 1 else nullcontext():  # the first frame opens the encoder
            packets = self.stream.encode(frame)
        self._container.mux(packets)

    def _takes_planes(self, pixels: Pixels) -> bool:
        form = self._planes
        return form is not None and pixels.shape == (form.height * 3 // 2, form.width) and pixels.dtype == np.uint8

    def _converted(self, pixels: Pixels, alpha: Pixels | None) -> av.VideoFrame:
        return self._scaler.reformat(
            self._sited(self._source(pixels, alpha)),
            width=self.stream.width,
            height=self.stream.height,
            format=self.choice.pixel_format,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=None if self._rgb else Colorspace.ITU709,
            dst_color_range=ColorRange.JPEG if self._rgb else ColorRange.MPEG,
            interpolation=EXACT,
        )

    def _source(self, pixels: Pixels, alpha: Pixels | None) -> av.VideoFrame:
        """The unconverted frame; resized to the picture and padded if it has alpha or needs padding."""
        wide = pixels.dtype != np.uint8
        frame = av.VideoFrame.from_ndarray(
            cast(Any, np.ascontiguousarray(pixels)), format="rgb48le" if wide else "rgb24"
        )
        if alpha is None and not any(self.padding):
            return frame
        width, height = self.picture.width, self.picture.height
        same = frame.width == width and frame.height == height
        whole = frame if same else self._stretcher.reformat(frame, width=width, height=height, interpolation=EXACT)
        right, bottom = self.padding
        samples: NDArray[Any] = whole.to_ndarray()
        if alpha is not None:
            samples = np.dstack((samples, alpha))
        samples = np.pad(samples, ((0, bottom), (0, right), (0, 0)), mode="edge")
        with_alpha = "rgba64le" if wide else "rgba"
        return av.VideoFrame.from_ndarray(cast(Any, samples), format=frame.format.name if alpha is None else with_alpha)

    def _carrying(self, frame: av.VideoFrame, captions: av.VideoFrame) -> av.VideoFrame:
        """Copy the frame into a resized `captions`: PyAV cannot attach side data, but a resized frame keeps its own."""
        carrier = self._carrier.reformat(
            captions,
            width=frame.width,
            height=frame.height,
            format=frame.format.name,
            interpolation=Interpolation.POINT,
        )
        for plane, own in zip(carrier.planes, frame.planes, strict=True):
            plane.update(memoryview(own))  # type: ignore[arg-type]
        carrier.colorspace, carrier.color_range = frame.colorspace, frame.color_range
        carrier.pict_type = PictureType.NONE  # leaves the choice to the encoder
        return carrier

    def close(self) -> None:
        """Flush the encoder; the container stays open. Raises av.FFmpegError if the container cannot be written."""
        packets = self.stream.encode(None)
        if self.choice.encoder.name == "libx265" and self._written < X265_FRAMES:
            for packet in packets:  # their dts are invalid (see X265_FRAMES); so few are not reordered
                packet.dts = packet.pts
        self._container.mux(packets)


def encoded_planes(choice: Choice, picture: Picture) -> PlaneFormat | None:
    """The format of the planes that a VideoEncoder takes in place of RGB; None if it takes only RGB.

    It takes planes if the video has 8 bits and subsampling 4:2:0, no alpha and even sides.
    """
    if choice.pixel_format != "yuv420p" or choice.alpha or picture.width % 2 or picture.height % 2:
        return None
    return PlaneFormat(picture.width, picture.height, ENCODED, _chroma_of(choice))


def _chroma_of(choice: Choice) -> tuple[float, float]:
    """The position of chroma samples that players assume of a codec."""
    return LEFT if av.Codec(choice.encoder.name, "w").canonical_name in _LEFT else CENTRED


def _of_planes(planes: Pixels) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(cast(Any, planes), format="yuv420p")
    frame.colorspace, frame.color_range = int(ENCODED.matrix), int(ColorRange.MPEG)
    return frame


def mp4_options(time_base: Fraction) -> dict[str, str]:
    """Container options of an mp4 that stores timestamps in `time_base` exactly, including a nonzero start.

    An mp4 stores the start of a track in units of the movie's timescale, by default 1/1000 s. The options set it to the
    track's timescale, which FFmpeg doubles until it is at least 10 000.
    """
    timescale = min(mp4_timescale(time_base.denominator), 2**31 - 1)
    return {"movflags": "+faststart", "movie_timescale": str(timescale)}


@contextmanager
def output_errors(path: Path | str) -> Iterator[None]:
    """Convert errors of writing `path` or an address (disk full, folder not writable, …) to a one-line OutputError."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    fps: Fraction | int,
    settings: EncodeSettings = DEFAULTS,
    audio: NDArray[np.float32] | None = None,
) -> None:
    """Write frames (uint8 RGB (H, W, 3), all of one size) as a video of constant rate, atomically.

    `fps` is the rate in frames per second. `audio` is float32 (samples, channels) in [-1, 1] with 1 or 2 channels,
    AUDIO_RATE samples per second; it is encoded as AAC. Odd sizes are padded by one column or row (see VideoEncoder).
    Frames are consumed one by one, so memory use is constant.

    Raises OutputError if the file cannot be written or there are no frames, ConfigError if the encoder rejects
    `settings`, and ValueError for frames that differ in shape and for audio of another shape.
    """
    fps = Fraction(fps)
    with output_errors(path), atomic_path(path) as temporary:
        options = mp4_options(1 / fps) if path.suffix.lower() in (".mp4", ".m4v", ".mov") else {}
        with av.open(f"file:{temporary}", "w", container_options=options) as container:
            encoder: VideoEncoder | None = None
            sound: Iterator[Fraction] = iter(())
            heard = Fraction(0)
            for index, pixels in enumerate(frames):
                if encoder is None:
                    height, width = pixels.shape[:2]
                    encoder = VideoEncoder(
                        container,
                        choose_encoder(settings, size=(width, height)),
                        Picture(width, height, fps, 1 / fps),
                    )
                    if audio is not None:
                        sound = _encode_audio(container, audio)
                encoder.write(pixels, index)
                while heard * fps < index + 1 and (position := next(sound, None)) is not None:
                    heard = position
            if encoder is None:
                raise OutputError(f"cannot write {path}: there are no frames to write")
            encoder.close()
            for _ in sound:
                pass


def _encode_audio(container: OutputContainer, samples: NDArray[np.float32]) -> Iterator[Fraction]:
    """Add an AAC stream now; the returned iterator encodes one block per step and yields the seconds written."""
    if samples.ndim != 2 or samples.shape[1] not in (1, 2):
        raise ValueError(f"expected audio of shape (samples, 1 or 2), got {samples.shape}")
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    stream: AudioStream = container.add_stream("aac", rate=AUDIO_RATE, layout=layout)
    return _encode_blocks(container, stream, samples, layout)


def _encode_blocks(
    container: OutputContainer, stream: AudioStream, samples: NDArray[np.float32], layout: str
) -> Iterator[Fraction]:
    for start in range(0, len(samples), _AUDIO_BLOCK):
        block: NDArray[Any] = np.ascontiguousarray(samples[start : start + _AUDIO_BLOCK].T, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, start, Fraction(1, AUDIO_RATE)
        container.mux(stream.encode(frame))
        yield Fraction(start + block.shape[1], AUDIO_RATE)
    container.mux(stream.encode(None))
