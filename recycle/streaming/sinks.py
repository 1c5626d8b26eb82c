"""Shows live pictures in a window, or writes them to a file, a stream or a virtual camera."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import av
from av.codec.context import Flags

from recycle.config import EncodeSettings
from recycle.errors import ConfigError, OutputError
from recycle.safe_text import redact
from recycle.system.atomic import atomic_path
from recycle.video.codecs import CONTAINERS, choose_encoder
from recycle.video.encode import Picture, VideoEncoder, mp4_options, output_errors
from recycle.video.frame import Pixels

WINDOW = "window"
VIRTUAL = "virtual"
_UNIT = Fraction(1, 1000)
"""Seconds per unit of the times that are written."""
_RATE = Fraction(30)
"""Approximate frames per second, which only estimates of players and of a virtual camera depend on."""
_FORMATS = {"rtmp": "flv", "rtmps": "flv", "rtsp": "rtsp", "udp": "mpegts", "tcp": "mpegts"}
"""Schemes of the addresses to which a stream can be sent, and FFmpeg's names of their formats."""
_PROTOCOLS = "rtsp,rtp,rtmp,rtmps,tls,udp,tcp"
WAIT_SECONDS = 10.0
"""Longest wait for the receiver of a stream before it counts as lost."""


class Closed(Exception):
    """The user closed the window."""


class Sink(Protocol):
    """Takes the translated pictures, one by one."""

    def show(self, pixels: Pixels, seconds: float) -> None:
        """Take RGB (H, W, 3) uint8, all of one size, that belongs to `seconds` from the start.

        Raises Closed or OutputError.
        """


def check_sink(sink: str, *, overwrite: bool) -> None:
    """Raise ConfigError or OutputError if `sink` is unknown, or is a file that exists."""
    if sink in (WINDOW, VIRTUAL) or urlsplit(sink).scheme in _FORMATS:
        return
    path = Path(sink)
    if "://" in sink or path.suffix.lower() not in CONTAINERS:
        raise ConfigError(
            f"{redact(sink)} is not a place to send pictures to; give 'window', 'virtual' (a virtual camera), a file "
            f"({' '.join(CONTAINERS)}), or the address of a stream ({', '.join(_FORMATS)})"
        )
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; give --overwrite to replace it")


@contextmanager
def open_sink(sink: str, title: str) -> Iterator[Sink]:
    """Open a sink (see `check_sink`). A file is complete when the body ends, and appears only then."""
    if sink == WINDOW:
        yield from _window(title)
    elif sink == VIRTUAL:
        yield from _virtual_camera()
    elif (scheme := urlsplit(sink).scheme) in _FORMATS:
        yield from _encoded(_Stream(sink, _FORMATS[scheme], redact(sink)))
    else:
        path = Path(sink)
        with output_errors(path), atomic_path(path) as temporary:
            yield from _encoded(_Encoded(f"file:{temporary}", CONTAINERS[path.suffix.lower()], str(path)))
            if not temporary.exists():
                raise OutputError(f"cannot write {path}: no picture came")


class _Encoded:
    """Writes video with the times at which pictures were shown."""

    preset = "veryfast"
    options: Mapping[str, str] = {}
    """Options of the encoder, if it is H.264."""

    def __init__(self, address: str, form: str, name: str) -> None:
        """`address` and `form` as FFmpeg names them; `name` as the user does."""
        self.form, self._address, self._name = form, address, name
        self.error: OutputError | None = None
        """Why the file or stream is incomplete; None if nothing failed."""
        self._encoder: VideoEncoder | None = None
        self._container: Any = None
        self._last = -1

    def show(self, pixels: Pixels, seconds: float) -> None:
        """See `Sink`."""
        with self._noted():
            if self._encoder is None:
                self._container = self._open(self._address)
                self._encoder = self._start(pixels.shape[1], pixels.shape[0])
            self._last = max(self._last + 1, round(seconds / _UNIT))
            self._encoder.write(pixels, self._last)

    def close(self) -> None:
        """Finish the file or stream. Raises OutputError if anything of it could not be written."""
        with suppress(OutputError), self._noted():
            if self._encoder is not None and self.error is None:
                self._encoder.close()
        with suppress(OutputError), self._noted():
            if self._container is not None:
                self._container.close()
        if self.error is not None:
            raise self.error

    def _open(self, address: str) -> Any:
        options = mp4_options(_UNIT) if self.form in ("mp4", "mov") else {}
        return av.open(address, "w", format=self.form, container_options=options)

    def _start(self, width: int, height: int) -> VideoEncoder:
        codec = "vp9" if self.form == "webm" else "h264"
        chosen: dict[str, Any] = {"codec": codec}
        if codec == "h264":
            chosen |= {"preset": self.preset, "options": dict(self.options)}
        choice = choose_encoder(EncodeSettings.model_validate(chosen), size=(width, height))
        return VideoEncoder(self._container, choice, Picture(width, height, _RATE, _UNIT))

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Raise errors as OutputError, and keep the first."""
        try:
            with output_errors(self._name):
                yield
        except OutputError as error:
            self.error = self.error or error
            raise


class _Stream(_Encoded):
    """Sends a stream from a thread of FFmpeg (its muxer `fifo`).

    PyAV opens an address without options, hence without a time limit, and holds Python's lock meanwhile: a receiver
    that never answers would stop the whole process, Ctrl-C included.
    """

    preset = "ultrafast"
    options: Mapping[str, str] = {"tune": "zerolatency", "g": "60"}

    def _open(self, address: str) -> Any:
        limit = "timeout" if self.form == "rtsp" else "rw_timeout"
        inner = f"{limit}={round(1e6 * WAIT_SECONDS)}:protocol_whitelist={_PROTOCOLS}"
        return av.open(address, "w", format="fifo", container_options={"fifo_format": self.form, "format_opts": inner})

    def _start(self, width: int, height: int) -> VideoEncoder:
        encoder = super()._start(width, height)
        if self.form != "mpegts":  # `fifo` does not say that the format inside it wants the codec's headers once
            encoder.stream.codec_context.flags |= int(Flags.global_header)
        return encoder


def _encoded(sink: _Encoded) -> Iterator[Sink]:
    try:
        yield sink
    finally:
        sink.close()


def _window(title: str) -> Iterator[Sink]:
    try:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame
    except ImportError as error:
        raise ConfigError("for a window, run: pip install 'recycle[live]'") from error

    class Window:
        def __init__(self) -> None:
            self._surface: Any = None

        def show(self, pixels: Pixels, seconds: float) -> None:
            size = (pixels.shape[1], pixels.shape[0])
            if self._surface is None:
                pygame.display.set_caption(title)
                self._surface = pygame.display.set_mode(size, pygame.RESIZABLE)
            picture = pygame.image.frombuffer(pixels.tobytes(), size, "RGB")
            if self._surface.get_size() != size:  # the user changed the size of the window
                picture = pygame.transform.smoothscale(picture, self._surface.get_size())
            self._surface.blit(picture, (0, 0))
            pygame.display.flip()
            for event in pygame.event.get():
                quits = event.type == pygame.KEYDOWN and event.key in (pygame.K_ESCAPE, pygame.K_q)
                if event.type == pygame.QUIT or quits:
                    raise Closed

    try:
        pygame.display.init()
    except pygame.error as error:
        raise ConfigError(f"this machine shows no window ({error}); give a file or a stream as SINK") from error
    try:
        yield Window()
    finally:
        pygame.display.quit()


def _virtual_camera() -> Iterator[Sink]:
    try:
        import pyvirtualcam
    except ImportError as error:
        raise ConfigError("for a virtual camera, run: pip install 'recycle[live]'") from error

    class Camera:
        camera: Any = None

        def show(self, pixels: Pixels, seconds: float) -> None:
            if self.camera is None:
                try:
                    self.camera = pyvirtualcam.Camera(pixels.shape[1], pixels.shape[0], float(_RATE))
                except RuntimeError as error:
                    raise OutputError(f"cannot open a virtual camera: {' '.join(str(error).split())}") from error
            self.camera.send(pixels)

    sink = Camera()
    try:
        yield sink
    finally:
        if sink.camera is not None:
            sink.camera.close()
