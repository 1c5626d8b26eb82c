"""Converts videos that browsers cannot play."""

from pathlib import Path

import av

from recycle.config import EncodeSettings
from recycle.inputs import open_source
from recycle.system.atomic import atomic_path
from recycle.video.codecs import choose_encoder
from recycle.video.container import open_container, video_stream
from recycle.video.encode import Picture, VideoEncoder, mp4_options, output_errors


def plays_in_browsers(video: Path) -> bool:
    """Whether browsers can play a file: WebM, or 8-bit 4:2:0 H.264 in mp4. False for a folder of images.

    Raises FootageError if the file cannot be read.
    """
    if video.is_dir():
        return False
    with open_container(video) as container:
        context = video_stream(container, video).codec_context
        if video.suffix.lower() == ".webm":
            return True
        h264 = context.name == "h264" and context.pix_fmt in ("yuv420p", "yuvj420p")
        return h264 and video.suffix.lower() in (".mp4", ".m4v")


def write_playable(video: Path, copy: Path) -> None:
    """Write the pictures of a video or folder of numbered images as an H.264 mp4 with the same timestamps.

    A video that starts before time 0 is shifted to start at 0. Raises FootageError if `video` cannot be read, and
    OutputError if `copy` cannot be written.
    """
    with open_source(video) as reader, output_errors(copy), atomic_path(copy) as temporary:
        info = reader.info
        options = mp4_options(info.time_base)
        with av.open(f"file:{temporary}", "w", container_options=options) as container:
            encoder = VideoEncoder(
                container,
                choose_encoder(EncodeSettings(), size=(info.width, info.height)),
                Picture.of(info),
            )
            shift: int | None = None
            for frame in reader:
                shift = max(-frame.pts, 0) if shift is None else shift
                encoder.write(frame.pixels, frame.pts + shift)
            encoder.close()
