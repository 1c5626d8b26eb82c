"""Opens a camera, a stream or the screen, and yields its pictures as they come."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import numpy as np
from av.container import InputContainer

from recycle.errors import ConfigError, FootageError
from recycle.safe_text import redact
from recycle.video.colour import RgbConverter
from recycle.video.container import check_size
from recycle.video.frame import Pixels

SCREEN = "screen"
"""The source that is the first screen; `screen:2` is the second."""
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtp,srtp,udp,tcp,tls",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
    "udp": "udp",
    "tcp": "tcp",
}
"""Schemes of stream addresses, and the protocols of FFmpeg that each may use. None of them opens a file."""
_STREAMS = "rtsp,flv,live_flv,mpegts,matroska,webm,mov,mp4,nut,mpjpeg,mjpeg,h264,hevc,ogg,yuv4mpegpipe,rawvideo"
"""Demuxers for streams. Playlists (HLS, DASH, SDP), which name other addresses, are excluded."""
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 5.0
"""Longest wait for the next data before a stream counts as lost."""
_SCREEN_RATE = 60
"""Maximum number of pictures of a screen in a second."""


Develop = Callable[[], Pixels]
"""Converts a decoded picture to RGB (H, W, 3) uint8. It is called only if the picture is wanted."""


def check_source(source: str) -> None:
    """Raise ConfigError if `source` is neither a camera, nor the address of a stream, nor a screen."""
    if _screen(source) is None and _camera(source) is None and urlsplit(source).scheme not in _PROTOCOLS:
        raise ConfigError(
            f"{redact(source)} is no live source; give the number of a camera, a device such as /dev/video0, the "
            f"address of a stream ({', '.join(_PROTOCOLS)}), or 'screen'; for a file use 'recycle translate'"
        )


def pictures_of(source: str, *, max_pixels: int) -> Iterator[Develop]:
    """Open a source and yield its pictures until it ends.

    `source` is the number of a camera or its device (`/dev/video0`), the address of a stream (RTSP, RTMP, HTTP, UDP or
    TCP), or `screen`. Raises FootageError, in one line, if it cannot be opened or fails; ConfigError as `check_source`,
    and if a package is missing.
    """
    check_source(source)
    number = _screen(source)
    return _of_container(source, _camera(source), max_pixels) if number is None else _of_screen(number)


def _camera(source: str) -> str | None:
    """The device of a camera; None if `source` is not a camera."""
    if re.fullmatch("[0-9]{1,3}", source):
        return f"/dev/video{source}"
    return source if re.fullmatch("/dev/video[0-9]{1,3}", source) else None


def _screen(source: str) -> int | None:
    match = re.fullmatch(f"{SCREEN}(?::([1-9]))?", source)
    return None if match is None else int(match[1] or 1)


def _of_container(source: str, device: str | None, max_pixels: int) -> Iterator[Develop]:
    try:
        container = _open(source, device)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise FootageError(f"cannot open {redact(source)}: {_reason(error, _CONNECT_SECONDS)}") from error
    with closing(container):
        if not container.streams.video:
            raise FootageError(f"{redact(source)} has no video")
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"  # threads for frames would delay them
        convert = RgbConverter(threads=False)
        try:
            for packet in container.demux(stream):
                for frame in _decoded(packet):
                    check_size(Path(redact(source)), frame.width, frame.height, max_pixels)
                    yield partial(convert, frame, width=frame.width, height=frame.height)
        except (av.FFmpegError, OSError) as error:
            raise FootageError(f"{redact(source)} was lost: {_reason(error, _READ_SECONDS)}") from error


def _reason(error: Exception, limit: float) -> str:
    """Why FFmpeg failed. It reports the end of our `limit` of seconds as a wish to exit."""
    if isinstance(error, av.error.ExitError):
        return f"no data came for {limit:g} s"
    return str(getattr(error, "strerror", None) or error)


def _open(source: str, device: str | None) -> InputContainer:
    if device is not None:
        return av.open(device, "r", format="v4l2", timeout=(_CONNECT_SECONDS, _READ_SECONDS))
    scheme = urlsplit(source).scheme
    options = {
        "protocol_whitelist": _PROTOCOLS[scheme],
        "format_whitelist": _STREAMS,
        "fflags": "nobuffer",
        "analyzeduration": "1000000",
    }
    if scheme in ("rtsp", "rtsps"):
        options["rtsp_transport"] = "tcp"
    return av.open(source, "r", container_options=options, timeout=(_CONNECT_SECONDS, _READ_SECONDS))


def _decoded(packet: Any) -> Iterator[av.VideoFrame]:
    """The frames of a packet; none if it is damaged, as after a loss of data."""
    try:
        yield from packet.decode()
    except av.error.InvalidDataError:
        return


def _of_screen(number: int) -> Iterator[Develop]:
    try:
        import mss
        from mss.exception import ScreenShotError
    except ImportError as error:
        raise ConfigError("to read the screen, run: pip install 'recycle[live]'") from error
    try:
        with mss.MSS() as screens:
            if number >= len(screens.monitors):
                raise ConfigError(f"there is no screen {number}; this machine has {len(screens.monitors) - 1}")
            place, due = screens.monitors[number], time.monotonic()
            while True:
                time.sleep(max(0.0, due - time.monotonic()))
                due = max(due, time.monotonic()) + 1 / _SCREEN_RATE
                shot = np.asarray(screens.grab(place))  # BGRA
                pixels = np.ascontiguousarray(shot[..., 2::-1])
                yield partial(np.asarray, pixels)
    except ScreenShotError as error:
        raise FootageError(f"cannot read the screen: {error}") from error
