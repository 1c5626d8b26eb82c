"""Detects transparency in a source and extracts its alpha channel."""

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
"""Codecs that store alpha as a second picture in each packet, and the only decoders that output it."""
_PALETTE = "pal8"
"""Palette format. Its colours have alpha, but PyAV does not mark its component as alpha."""


def has_alpha(pixel_format: str) -> bool:
    """Whether a pixel format (FFmpeg's name) has an alpha channel or a palette with alpha."""
    return pixel_format == _PALETTE or any(c.is_alpha for c in av.VideoFormat(pixel_format, 16, 16).components)


def alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """Create a decoder that outputs the alpha of a VP8 or VP9 stream.

    Returns None for other codecs and for streams whose metadata does not declare alpha (tag `alpha_mode`).
    """
    context = stream.codec_context
    name = _DECODERS.get(context.codec.canonical_name)
    tagged = any(key.lower() == "alpha_mode" and value != "0" for key, value in stream.metadata.items())
    if name is None or not tagged:
        return None
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext), "both decode video"
    return decoder


def first_with_alpha(decoder: VideoCodecContext, packet: "Packet[VideoStream]") -> av.VideoFrame | None:
    """Decode a key packet and return its first frame; None if the frame has no alpha or the packet is damaged.

    `decoder` is flushed and cannot be used again.
    """
    try:
        frames = [*decoder.decode(packet), *decoder.decode(None)]
    except av.FFmpegError:
        return None
    return frames[0] if frames and has_alpha(frames[0].format.name) else None


def is_transparent(frame: av.VideoFrame) -> bool:
    """Whether a frame has pixels that are not fully opaque; False if its pixel format cannot be converted."""
    if not has_alpha(frame.format.name):
        return False
    try:
        return int(frame.to_ndarray(format="rgba")[..., 3].min()) < 255
    except (av.FFmpegError, ValueError):
        return False


def alpha_plane(
    scaler: VideoReformatter, frame: av.VideoFrame, *, width: int, height: int, depth: Literal[8, 16]
) -> Pixels:
    """Opacity of a frame, (height, width), scaled to that size; fully opaque if the frame has no alpha.

    `depth` 8 gives uint8 in [0, 255], 16 gives uint16 in [0, 65535]. Pass the same `scaler` for all frames of a video:
    its setup is slow. Raises av.FFmpegError for a pixel format that swscale does not support.
    """
    if not has_alpha(frame.format.name):
        return opaque(width, height, depth)
    rgba = scaler.reformat(
        frame, width=width, height=height, format="rgba64le" if depth == 16 else "rgba", interpolation=EXACT
    )
    return np.ascontiguousarray(rgba.to_ndarray()[..., 3])


def opaque(width: int, height: int, depth: Literal[8, 16]) -> Pixels:
    """A fully opaque alpha plane, (height, width): uint8 255 for `depth` 8, uint16 65535 for 16."""
    return np.full((height, width), 65535 if depth == 16 else 255, np.uint16 if depth == 16 else np.uint8)
