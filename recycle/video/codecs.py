"""Encoders and their options for a codec, quality and bit depth; tests whether an encoder works on this machine."""

import io
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import av
import numpy as np

from recycle.config import EncodeSettings
from recycle.config.encoder_options import allow_codec
from recycle.errors import ConfigError
from recycle.system.priority import usual_priority
from recycle.video.alpha import has_alpha
from recycle.video.padding import padding

av.logging.set_level(None)
os.environ.setdefault("SVT_LOG", "1")  # otherwise SVT-AV1 prints a banner
logger = logging.getLogger(__name__)

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""File suffixes of outputs that store arbitrary timestamps, and FFmpeg's names of their formats."""


@dataclass(frozen=True)
class Encoder:
    """An FFmpeg encoder and the options that set its quality and speed."""

    name: str
    formats: dict[int, str]
    """Bits per sample → the most widely playable pixel format."""
    quality: str | None
    """Name of the option for constant quality; None if the codec has none."""
    crf: int | None = None
    """Default quality: the encoded video looks like the translator's frames."""
    worst: int = 51
    """Largest value of the quality option, which is the lowest quality."""
    preset: str | None = None
    """Default preset; None if the codec has none."""
    presets: tuple[str, ...] = ()
    """All presets, from fast to slow."""
    speed: str = "preset"
    """Name of the option for the preset."""
    options: tuple[tuple[str, str], ...] = ()
    """Options that are set by default."""
    alpha: tuple[tuple[int, str], ...] = ()
    """Pairs of bits per sample and pixel format with alpha; empty if the codec has no alpha."""
    alpha_options: tuple[tuple[str, str], ...] = ()
    """Additional options for a pixel format with alpha."""
    container: str = "nut"
    """FFmpeg's name of a container that stores the packets with exact timestamps: 'nut' or 'mov'."""
    captions: bool = False
    """Whether it writes closed captions (CTA-608, CTA-708) from the side data of frames."""
    tag: str | None = None
    """Codec tag for mp4 and mov if some players reject the default one."""
    least: tuple[int, int] = (1, 1)
    """Least width and height of a frame in pixels. An encoder may abort the process at smaller ones."""
    usual: tuple[tuple[str, str], ...] = ()
    """Options that replace the default preset unless the user chooses a preset, a tuning or a pixel format."""
    large: tuple[tuple[str, str], ...] = ()
    """Options in addition to `usual` for frames with a short side of at least LARGE pixels."""

    def takes(self, size: tuple[int, int] | None) -> bool:
        """Whether it encodes frames of `size`, width and height; True if the size is unknown."""
        return size is None or (size[0] >= self.least[0] and size[1] >= self.least[1])


X265_FRAMES = 3
"""Frames that x265 needs to determine its delay. In a shorter stream the decoding timestamps are uninitialised memory,
which containers reject as invalid."""

SMALL = 240
"""Short side in pixels below which frames count as small."""
LARGE = 480
"""Short side in pixels from which frames count as large: their details are larger than a macroblock."""
_FINER = 4
"""Amount by which the default quality value is lowered for small frames."""

_X26 = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_LEAST_ON_GPU = (192, 128)
"""Least width and height for all GPU encoders: NVENC's own limits are 145x49, 129x33 and 192x128 (NVIDIA's manual)."""
_TRIED = (256, 256)
"""Width and height of the frames on which an encoder is tried if it takes any size."""
_NVENC = ("p1", "p2", "p3", "p4", "p5", "p6", "p7")

ENCODERS: dict[str, Encoder] = {
    "h264": Encoder(
        "libx264",
        {8: "yuv420p", 10: "yuv420p10le"},
        "crf",
        14,
        preset="medium",
        usual=(("preset", "veryfast"), ("refs", "2"), ("rc-lookahead", "40"), ("trellis", "1")),
        large=(("partitions", "i8x8"),),
        presets=_X26,
        options=(("x264-params", "cpu-independent=1"),),  # otherwise AVX-512 gives a different stream each time
        captions=True,
    ),
    "hevc": Encoder(
        "libx265",
        {8: "yuv420p", 10: "yuv420p10le"},
        "crf",
        14,
        preset="medium",
        usual=(("preset", "veryfast"),),
        presets=_X26,
        options=(("x265-params", "log-level=none"), ("a53cc", "1")),
        captions=True,
        tag="hvc1",
        least=(64, 16),  # it overwrites memory at widths of 34 to 48, and refuses less than 16
    ),
    "av1": Encoder(
        "libsvtav1",
        {8: "yuv420p", 10: "yuv420p10le"},
        "crf",
        18,
        worst=63,
        preset="8",
        presets=tuple(str(n) for n in range(13, -1, -1)),
    ),
    "vp9": Encoder(
        "libvpx-vp9",
        {8: "yuv420p"},
        "crf",
        16,
        worst=63,
        preset="4",
        presets=tuple(str(n) for n in range(8, -1, -1)),
        speed="cpu-used",
        options=(("row-mt", "1"), ("deadline", "good")),
        alpha=((8, "yuva420p"),),
    ),
    "prores": Encoder(
        "prores_ks",
        {8: "yuv422p10le", 10: "yuv422p10le"},
        None,
        options=(("profile", "hq"),),
        container="mov",
        alpha=((8, "yuva444p10le"), (10, "yuva444p10le")),
        alpha_options=(("profile", "4444"),),
    ),
    "ffv1": Encoder(
        "ffv1",
        {8: "bgr0", 10: "gbrp10le"},
        None,
        options=(("level", "3"), ("slicecrc", "1")),
        alpha=((8, "bgra"), (10, "gbrap10le")),
    ),
}
"""Software encoders by the name of the codec in the settings.

`prores` is 10-bit 4:2:2 (4:4:4 with alpha) and `ffv1` is lossless RGB; neither has a quality option.
"""

_HARDWARE: dict[str, Encoder] = {
    codec: Encoder(
        f"{codec}_nvenc",
        formats,
        "cq",
        crf,
        worst,
        "p5",
        _NVENC,
        options=(("rc", "vbr"),),
        captions=captions,
        least=_LEAST_ON_GPU,
    )
    for codec, formats, crf, worst, captions in (
        ("h264", {8: "yuv420p"}, 14, 51, True),
        ("hevc", {8: "yuv420p", 10: "p010le"}, 14, 51, True),
        ("av1", {8: "yuv420p", 10: "p010le"}, 18, 63, False),
    )
}


class AddedCodec(NamedTuple):
    """A codec from outside the package; the arguments of `add_codec`."""

    codec: str
    encoder: Encoder
    options: tuple[str, ...]


_ADDED: list[AddedCodec] = []


def add_codec(codec: str, encoder: Encoder, *, options: Iterable[str] = ()) -> None:
    """Register a codec under its name in the settings.

    `options` are names of further encoder options that users may set; they must not read or write files. Raises
    ValueError if the name is taken.
    """
    row = AddedCodec(codec, encoder, tuple(options))
    allow_codec(codec, encoder.name, row.options, alpha=bool(encoder.alpha))
    ENCODERS[codec] = encoder
    _ADDED.append(row)


def added_codecs() -> tuple[AddedCodec, ...]:
    """All codecs that `add_codec` registered, for a new process, which must add them too."""
    return tuple(_ADDED)


@dataclass(frozen=True)
class Choice:
    """An encoder with all its parameters."""

    encoder: Encoder
    pixel_format: str
    options: dict[str, str]
    bitrate: int | None
    """Bits per second; None: the encoder's default."""
    notice: str | None = None
    """A message for the user about this choice."""
    alpha: bool = False
    """Whether the alpha channel of the source is written."""


def choose_encoder(settings: EncodeSettings, *, size: tuple[int, int] | None = None, alpha: bool = False) -> Choice:
    """Choose the encoder for `settings` and test it by encoding a few frames.

    `size` is the width and height of the frames in pixels; None: unknown. `alpha`: whether the source has an alpha
    channel; it is written if `settings.alpha` is 'keep'. Frames whose short side is below SMALL get a higher default
    quality, because compression artefacts are more visible in them. Falls back from a GPU that does not work to the
    CPU, with a notice.

    Raises ConfigError, in one line, for a quality, preset, pixel format or option that the encoder rejects, and for
    frames that are too small for it.
    """
    notice, short_side, encoder = None, SMALL if size is None else min(size), ENCODERS[settings.codec]
    if settings.hardware:
        choice = _hardware(settings, size, short_side)
        if choice is not None:
            return choice
        notice = f"no GPU of this machine encodes {settings.codec} with these settings; the CPU does it instead"
    if size is not None and not encoder.takes(size):
        fitting = " or ".join(name for name, other in ENCODERS.items() if other.takes(size))
        raise ConfigError(
            f"{settings.codec} takes frames of at least {'x'.join(map(str, encoder.least))} pixels, these have "
            f"{size[0]}x{size[1]}; choose another codec: {fitting}"
        )
    choice = _choice(encoder, settings, short_side, notice, alpha=alpha and settings.alpha == "keep")
    reason = try_encoder(choice)
    if reason:
        raise ConfigError(f"the encoder {choice.encoder.name} rejects {_asked(choice)}: {reason}")
    return choice


def _hardware(settings: EncodeSettings, size: tuple[int, int] | None, short_side: int) -> Choice | None:
    encoder = _HARDWARE.get(settings.codec)
    if encoder is None or settings.depth not in encoder.formats or not encoder.takes(size):
        return None
    try:
        choice = _choice(encoder, settings, short_side, None)
    except ConfigError:
        return None
    return None if try_encoder(choice, size or _TRIED) else choice  # GPUs limit the size


def working_hardware() -> list[str]:
    """FFmpeg's names of the hardware encoders that work on this machine."""
    found = []
    for codec, encoder in _HARDWARE.items():
        if not try_encoder(_choice(encoder, EncodeSettings.model_validate({"codec": codec}), SMALL, None)):
            found.append(encoder.name)
    return found


def _choice(
    encoder: Encoder, settings: EncodeSettings, short_side: int, notice: str | None, *, alpha: bool = False
) -> Choice:
    options = dict(encoder.options) | (dict(encoder.alpha_options) if alpha else {})
    if settings.pixel_format is None and settings.depth not in encoder.formats:
        raise ConfigError(
            f"recycle writes {settings.codec} with 8 bits only; choose another codec for {settings.depth} bits"
        )
    if settings.crf is not None:
        if encoder.quality is None:
            raise ConfigError(f"the codec {settings.codec} has no 'crf'; remove it")
        if settings.crf > encoder.worst:
            raise ConfigError(f"crf {settings.crf} is out of range: {settings.codec} takes 0 to {encoder.worst}")
    chosen = settings.preset or settings.pixel_format or settings.options.get("tune")
    usual = bool(encoder.usual) and chosen is None
    if encoder.crf is not None and encoder.quality is not None and settings.bitrate is None:
        finer = (_FINER if short_side < SMALL else 0) + usual  # at equal values, the usual options are less exact
        options[encoder.quality] = str(encoder.crf - finer if settings.crf is None else settings.crf)
    if settings.preset is not None and encoder.preset is None:
        raise ConfigError(f"the codec {settings.codec} has no 'preset'; remove it")
    if settings.preset is not None and settings.preset not in encoder.presets:
        raise ConfigError(
            f"unknown preset '{settings.preset}'; presets of {settings.codec}: {', '.join(encoder.presets)}"
        )
    preset = settings.preset or encoder.preset
    if preset is not None:
        options[encoder.speed] = preset
    if usual:
        options |= dict(encoder.usual) | (dict(encoder.large) if short_side >= LARGE else {})
    for name, value in settings.options.items():
        ours = options.get(name, "") if name.endswith("-params") else ""  # a list in which the last entry wins
        options[name] = f"{ours}:{value}" if ours else value
    bitrate = settings.bitrate
    if encoder.name == "libvpx-vp9" and bitrate is None:
        bitrate = 0  # otherwise crf only limits the quality
    formats = dict(encoder.alpha) if alpha else encoder.formats
    pixel_format = settings.pixel_format or formats[settings.depth]
    if alpha and not has_alpha(pixel_format):
        raise ConfigError(
            f"the pixel format {pixel_format} has no alpha channel, but 'alpha' is 'keep'; remove one of them"
        )
    return Choice(encoder, pixel_format, options, bitrate, notice, alpha)


def try_encoder(choice: Choice, size: tuple[int, int] = _TRIED) -> str:
    """Encode a few frames of `size`, width and height, padded; return a short reason if that fails, else ''."""
    encoder, options = choice.encoder, tuple(choice.options.items())
    padded = tuple(map(sum, zip(size, padding(choice.pixel_format, *size), strict=True)))
    return _try(encoder.name, encoder.container, choice.pixel_format, options, choice.bitrate, padded)


@cache
def _try(
    name: str,
    kept_in: str,
    pixel_format: str,
    options: tuple[tuple[str, str], ...],
    bitrate: int | None,
    size: tuple[int, ...],
) -> str:
    try:
        with av.open(io.BytesIO(), "w", format=kept_in) as container:
            stream: Any = container.add_stream(name, rate=Fraction(25), options=dict(options))
            stream.width, stream.height, stream.pix_fmt = *size, pixel_format
            if bitrate is not None:
                stream.bit_rate = bitrate
            for pts in range(X265_FRAMES):
                frame = av.VideoFrame.from_ndarray(np.zeros((*size[::-1], 3), np.uint8), format="rgb24")
                frame = frame.reformat(format=pixel_format)
                frame.pts, frame.time_base = pts, Fraction(1, 25)
                with usual_priority():
                    packets = stream.encode(frame)
                container.mux(packets)
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError, OSError) as error:
        logger.debug("encoder %s: %s", name, error)
        return str(getattr(error, "strerror", None) or error)
    unused = set(dict(options)) & set(stream.codec_context.options)
    return f"it does not know the option {', '.join(sorted(unused))}" if unused else ""


def segment_container(choice: Choice) -> str:
    """FFmpeg's name of the container of a segment; it stores the encoder's packets with exact timestamps.

    VP9 with alpha needs Matroska, the only one that stores the alpha, which is side data of the packets. Matroska
    rounds timestamps but keeps their order.
    """
    if choice.encoder.name == "libvpx-vp9" and has_alpha(choice.pixel_format):
        return "matroska"
    return choice.encoder.container


def template_container(encoder: Encoder) -> str:
    """FFmpeg's name of the mp4 variant that holds an encoder's stream: 'mp4' or 'mov'. Neither can hold FFV1."""
    return "mov" if encoder.container == "mov" else "mp4"


def _asked(choice: Choice) -> str:
    options = " ".join(f"{key}={value}" for key, value in choice.options.items())
    return f"{choice.pixel_format} {options}".strip()


def takes_codec(container: str, settings: EncodeSettings) -> bool:
    """Whether `container` (FFmpeg's name) can hold video of the codec in `settings`, with alpha if `settings` keep it.

    Tested by writing a header in memory.
    """
    if settings.alpha == "keep" and settings.codec == "vp9" and container not in ("matroska", "webm"):
        return False
    return _takes(container, ENCODERS[settings.codec].name)


@cache
def _takes(container: str, name: str) -> bool:
    encoder = next(each for each in ENCODERS.values() if each.name == name)
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            stream: Any = trial.add_stream(name, rate=25, options=dict(encoder.options))
            stream.width, stream.height, stream.pix_fmt = 64, 64, encoder.formats[8]
            with usual_priority():
                trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True
