"""The transparency of a source: whether it has any, and its alpha channel."""

from typing import Literal

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from recycle.video.colour import EXACT
from recycle.video.frame import Pixels

_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Codecs whose alpha is a second picture in every packet, which only these decoders show."""
_PALETTE = "pal8"
"""Its colours have alpha, which PyAV does not tell of its component."""


def has_alpha(pixel_format: str) -> bool:
    """Whether a pixel format (FFmpeg's name) has an alpha channel, or a palette with alpha."""
    return pixel_format == _PALETTE or any(c.is_alpha for c in av.VideoFormat(pixel_format, 16, 16).components)


def alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """A new decoder that shows the alpha of a VP8 or VP9 stream; None for streams without, or of other codecs."""
    context = stream.codec_context
    name = _DECODERS.get(context.codec.canonical_name)
    tagged = any(key.lower() == "alpha_mode" and value != "0" for key, value in stream.metadata.items())
    if name is None or not tagged:
        return None
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext), "both decode video"
    return decoder


def first_with_alpha(decoder: VideoCodecContext, packet: "Packet[VideoStream]") -> av.VideoFrame | None:
    """The frame of a key packet, decoded anew with its alpha; None if it has none, or is damaged."""
    try:
        frames = [*decoder.decode(packet), *decoder.decode(None)]
    except av.FFmpegError:
        return None
    return frames[0] if frames and has_alpha(frames[0].format.name) else None


def is_transparent(frame: av.VideoFrame) -> bool:
    """Whether a frame has pixels that are not fully opaque."""
    if not has_alpha(frame.format.name):
        return False
    try:
        return int(frame.to_ndarray(format="rgba")[..., 3].min()) < 255
    except (av.FFmpegError, ValueError):
        return False


def alpha_plane(
    scaler: VideoReformatter, frame: av.VideoFrame, *, width: int, height: int, depth: Literal[8, 16]
) -> Pixels:
    """(height, width) opacity of a frame, uint8 or uint16 over its whole range; that of frames without alpha is full.

    `scaler` is kept for all frames of a video. Raises av.FFmpegError for a pixel format that swscale does not know.
    """
    if not has_alpha(frame.format.name):
        return opaque(width, height, depth)
    rgba = scaler.reformat(
        frame, width=width, height=height, format="rgba64le" if depth == 16 else "rgba", interpolation=EXACT
    )
    return np.ascontiguousarray(rgba.to_ndarray()[..., 3])


def opaque(width: int, height: int, depth: Literal[8, 16]) -> Pixels:
    """(height, width) of full opacity."""
    return np.full((height, width), 65535 if depth == 16 else 255, np.uint16 if depth == 16 else np.uint8)
