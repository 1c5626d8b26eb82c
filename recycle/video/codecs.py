"""The encoders: what each is told for a codec, a quality and a bit depth, and which GPUs really encode."""

import io
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np

from recycle.config import EncodeSettings
from recycle.config.encoder_options import allow_codec
from recycle.errors import ConfigError
from recycle.system.priority import usual_priority
from recycle.video.alpha import has_alpha

av.logging.set_level(None)
os.environ.setdefault("SVT_LOG", "1")  # else SVT-AV1 prints a page about itself
logger = logging.getLogger(__name__)

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Outputs that keep timestamps of any kind: the file's suffix and FFmpeg's name."""


@dataclass(frozen=True)
class Encoder:
    """One FFmpeg encoder and how it is asked for quality."""

    name: str
    formats: dict[int, str]
    """Bits per sample → the pixel format that plays most widely."""
    quality: str | None
    """Option that takes the constant quality; None: the codec has none."""
    crf: int | None = None
    """Quality at which a translation looks like the translator's frames."""
    worst: int = 51
    """Largest value of the quality."""
    preset: str | None = None
    presets: tuple[str, ...] = ()
    """All that it knows, from fast to slow."""
    speed: str = "preset"
    """Option that takes the preset."""
    options: tuple[tuple[str, str], ...] = ()
    alpha: tuple[tuple[int, str], ...] = ()
    """Bits per sample and the pixel format with an alpha channel; empty: the codec has none."""
    alpha_options: tuple[tuple[str, str], ...] = ()
    """Options that this format needs."""
    container: str = "nut"
    """FFmpeg's name of a container that keeps its packets with their exact timestamps: 'nut' or 'mov'."""
    captions: bool = False
    """Whether it writes the closed captions (CTA-608, CTA-708) that are beside its frames."""
    tag: str | None = None
    """Codec tag for mp4 and mov, where the default one does not play everywhere."""


X265_FRAMES = 3
"""Frames that x265 needs before it knows its delay: of a stream with fewer, the decoding timestamps that it gives
are whatever its memory held before, and containers refuse them as invalid."""

SMALL = 240
"""Short side in pixels below which frames are small."""
_FINER = 4

_X26 = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_NVENC = ("p1", "p2", "p3", "p4", "p5", "p6", "p7")

ENCODERS: dict[str, Encoder] = {
    "h264": Encoder(
        "libx264",
        {8: "yuv420p", 10: "yuv420p10le"},
        "crf",
        14,
        preset="medium",
        presets=_X26,
        options=(("x264-params", "cpu-independent=1"),),  # else AVX-512 gives another stream each time
        captions=True,
    ),
    "hevc": Encoder(
        "libx265",
        {8: "yuv420p", 10: "yuv420p10le"},
        "crf",
        14,
        preset="medium",
        presets=_X26,
        options=(("x265-params", "log-level=none"), ("a53cc", "1")),
        captions=True,
        tag="hvc1",
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
"""`prores` is 10-bit 4:2:2 and `ffv1` lossless RGB, whatever the quality."""

_HARDWARE: dict[str, Encoder] = {
    "h264": Encoder("h264_nvenc", {8: "yuv420p"}, "cq", 14, 51, "p5", _NVENC, options=(("rc", "vbr"),), captions=True),
    "hevc": Encoder(
        "hevc_nvenc",
        {8: "yuv420p", 10: "p010le"},
        "cq",
        14,
        51,
        "p5",
        _NVENC,
        options=(("rc", "vbr"),),
        captions=True,
    ),
    "av1": Encoder("av1_nvenc", {8: "yuv420p", 10: "p010le"}, "cq", 18, 63, "p5", _NVENC, options=(("rc", "vbr"),)),
}


def add_codec(codec: str, encoder: Encoder, *, options: Iterable[str] = ()) -> None:
    """Make a codec known: its name in settings, its row, and further encoder options that users may set.

    Options must not read or write files. Raises ValueError if the name is taken.
    """
    allow_codec(codec, encoder.name, options, alpha=bool(encoder.alpha))
    ENCODERS[codec] = encoder


@dataclass(frozen=True)
class Choice:
    """An encoder with everything that it is told."""

    encoder: Encoder
    pixel_format: str
    options: dict[str, str]
    bitrate: int | None
    notice: str | None = None
    """What the user should know of the choice."""
    alpha: bool = False
    """Whether the transparency of the source is kept."""


def choose_encoder(settings: EncodeSettings, *, short_side: int = SMALL, alpha: bool = False) -> Choice:
    """The encoder that `settings` ask for, tried out by encoding a few frames.

    `alpha`: the source has an alpha channel, which is kept if the settings say so. Frames whose `short_side` in
    pixels is below SMALL get a finer default quality: what is lost shows more.

    Raises ConfigError, in one line, for a quality, preset, pixel format or option that the encoder refuses.
    """
    notice = None
    if settings.hardware:
        choice = _hardware(settings, short_side)
        if choice is not None:
            return choice
        notice = f"no GPU here encodes {settings.codec} as asked: the processor does"
    choice = _choice(ENCODERS[settings.codec], settings, short_side, notice, alpha=alpha and settings.alpha == "keep")
    reason = try_encoder(choice)
    if reason:
        raise ConfigError(f"the encoder {choice.encoder.name} refuses {_asked(choice)}: {reason}")
    return choice


def _hardware(settings: EncodeSettings, short_side: int) -> Choice | None:
    encoder = _HARDWARE.get(settings.codec)
    if encoder is None or settings.depth not in encoder.formats:
        return None
    try:
        choice = _choice(encoder, settings, short_side, None)
    except ConfigError:
        return None
    return None if try_encoder(choice) else choice


def working_hardware() -> list[str]:
    """Names of the hardware encoders that encode frames on this machine."""
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
        raise ConfigError(f"{settings.codec} is written with 8 bits only; choose another codec for {settings.depth}")
    if settings.crf is not None:
        if encoder.quality is None:
            raise ConfigError(f"the codec {settings.codec} has no 'crf'; leave it out")
        if settings.crf > encoder.worst:
            raise ConfigError(f"crf {settings.crf} is out of range: {settings.codec} takes 0 to {encoder.worst}")
    if encoder.crf is not None and encoder.quality is not None and settings.bitrate is None:
        finer = _FINER if short_side < SMALL else 0
        options[encoder.quality] = str(encoder.crf - finer if settings.crf is None else settings.crf)
    if settings.preset is not None and encoder.preset is None:
        raise ConfigError(f"the codec {settings.codec} has no 'preset'; leave it out")
    if settings.preset is not None and settings.preset not in encoder.presets:
        raise ConfigError(f"unknown preset '{settings.preset}'; {settings.codec} has {', '.join(encoder.presets)}")
    preset = settings.preset or encoder.preset
    if preset is not None:
        options[encoder.speed] = preset
    for name, value in settings.options.items():
        ours = options.get(name, "") if name.endswith("-params") else ""  # a list: the user's come after ours
        options[name] = f"{ours}:{value}" if ours else value
    bitrate = settings.bitrate
    if encoder.name == "libvpx-vp9" and bitrate is None:
        bitrate = 0  # else crf is only an upper bound of the quality
    formats = dict(encoder.alpha) if alpha else encoder.formats
    pixel_format = settings.pixel_format or formats[settings.depth]
    if alpha and not has_alpha(pixel_format):
        raise ConfigError(f"the pixel format {pixel_format} has no alpha channel to keep; leave 'pixel_format' out")
    return Choice(encoder, pixel_format, options, bitrate, notice, alpha)


def try_encoder(choice: Choice) -> str:
    """Why the encoder does not work here, in a few words; '' if it encoded some frames."""
    encoder = choice.encoder
    return _try(encoder.name, encoder.container, choice.pixel_format, tuple(choice.options.items()), choice.bitrate)


@cache
def _try(name: str, kept_in: str, pixel_format: str, options: tuple[tuple[str, str], ...], bitrate: int | None) -> str:
    try:
        with av.open(io.BytesIO(), "w", format=kept_in) as container:
            stream: Any = container.add_stream(name, rate=Fraction(25), options=dict(options))
            stream.width, stream.height, stream.pix_fmt = 256, 256, pixel_format
            if bitrate is not None:
                stream.bit_rate = bitrate
            for pts in range(X265_FRAMES):
                frame = av.VideoFrame.from_ndarray(np.zeros((256, 256, 3), np.uint8), format="rgb24")
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
    """FFmpeg's name of the container of a segment: one that keeps an encoder's packets with their exact timestamps.

    Only Matroska keeps the alpha that VP9 has beside its packets; its timestamps are not exact, but in order.
    """
    if choice.encoder.name == "libvpx-vp9" and has_alpha(choice.pixel_format):
        return "matroska"
    return choice.encoder.container


def template_container(encoder: Encoder) -> str:
    """FFmpeg's name of the kind of mp4 that holds an encoder's stream; none holds FFV1."""
    return "mov" if encoder.container == "mov" else "mp4"


def _asked(choice: Choice) -> str:
    options = " ".join(f"{key}={value}" for key, value in choice.options.items())
    return f"{choice.pixel_format} {options}".strip()


def takes_codec(container: str, settings: EncodeSettings) -> bool:
    """Whether `container` (FFmpeg's name) holds video of the codec, and its alpha channel if that is kept: tried in
    memory."""
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
