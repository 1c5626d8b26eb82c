"""Live translation: the newest picture wins, losses are mended, files are complete, and memory does not grow."""

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from shutil import which
from threading import Event, Thread
from typing import Any, cast

import av
import numpy as np
import pytest

from recycle import Job, live
from recycle.errors import ConfigError, FootageError, OutputError
from recycle.events import Notice, Progress
from recycle.streaming.capture import Develop, pictures_of
from recycle.streaming.newest import Newest
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.frame import Pixels

SIZE, RATE = 64, 25
IDENTITY = Translator(None, device="cpu")


def picture(number: int) -> Pixels:
    """A picture whose grey level is its number, modulo 50."""
    return np.full((SIZE, SIZE, 3), 20 + 4 * (number % 50), np.uint8)


def number_of(pixels: Pixels) -> int:
    return round((float(pixels.mean()) - 20) / 4)


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(kind: str, port: int, *, count: int = 10_000) -> Iterator[list[float]]:
    """Serve numbered pictures at RATE as MPEG-TS; yields the list of the times at which they were sent."""
    sent: list[float] = []
    stop, ready = Event(), Event()

    def udp() -> None:
        ready.set()
        with av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as container:
            _send(container, sent, stop, count)

    def by_tcp() -> None:
        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(20)
            ready.set()
            with server.accept()[0] as peer:
                write = _http(peer) if kind == "http" else _rtsp(peer)
                with av.open(cast(Any, Writer(write)), "w", format="mpegts") as container:
                    _send(container, sent, stop, count)

    def serve() -> None:
        with suppress(av.FFmpegError, OSError):  # the reader left
            udp() if kind == "udp" else by_tcp()

    thread = Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield sent
    finally:
        stop.set()
        thread.join(10)


class Writer:
    """A file that only writes."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def write(self, data: bytes) -> int:
        self._write(bytes(data))
        return len(data)


def _http(peer: socket.socket) -> Callable[[bytes], None]:
    peer.recv(4096)
    peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
    return peer.sendall


def _rtsp(peer: socket.socket) -> Callable[[bytes], None]:
    """Answer a client up to PLAY (RFC 2326); return a function that sends MPEG-TS over RTP (RFC 2250), interleaved."""
    description = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=a\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:0\r\n"
    answers = {
        "DESCRIBE": (f"Content-Type: application/sdp\r\nContent-Length: {len(description)}\r\n", description),
        "SETUP": ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n", b""),
        "PLAY": ("Session: 1\r\n", b""),
    }
    method = ""
    while method != "PLAY":
        request = peer.recv(4096).decode()
        method = request.split(" ")[0]
        sequence = next(line for line in request.splitlines() if line.lower().startswith("cseq"))
        headers, body = answers.get(method, ("Public: DESCRIBE, SETUP, PLAY\r\n", b""))
        peer.sendall(f"RTSP/1.0 200 OK\r\n{sequence}\r\n{headers}\r\n".encode() + body)
    number, rest = 0, b""

    def write(data: bytes) -> None:
        nonlocal number, rest
        rest += data
        while len(rest) >= 188:
            part, rest = rest[: 7 * 188], rest[7 * 188 :]
            if len(part) % 188:
                part, rest = part[: len(part) // 188 * 188], part[len(part) // 188 * 188 :]
            stamp = int(time.monotonic() * 90000) & 0xFFFFFFFF
            packet = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, stamp, 1) + part
            peer.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
            number += 1

    return write


def _send(container: Any, sent: list[float], stop: Event, count: int) -> None:
    stream = container.add_stream("libx264", rate=RATE, options={"tune": "zerolatency", "g": "10", "crf": "12"})
    stream.width = stream.height = SIZE
    stream.pix_fmt = "yuv420p"
    begin, first = time.monotonic(), len(sent)
    while not stop.is_set() and len(sent) < count:
        frame = av.VideoFrame.from_ndarray(picture(len(sent)), format="rgb24")
        frame.pts, frame.time_base = len(sent) - first, Fraction(1, RATE)
        packets = stream.encode(frame)
        time.sleep(max(0, begin + (len(sent) - first) / RATE - time.monotonic()))
        sent.append(time.monotonic())
        container.mux(packets)


class Stopping(Job):
    """Cancels itself after some pictures; keeps notices and the last state."""

    def __init__(self, after: int) -> None:
        super().__init__(self._see)
        self.after, self.notices, self.detail = after, list[str](), ""

    def _see(self, event: Any) -> None:
        if isinstance(event, Notice):
            self.notices.append(event.text)
        elif isinstance(event, Progress):
            self.detail = event.detail
            if event.done >= self.after:
                self.cancel()


@pytest.mark.parametrize("kind", ["udp", "http", "rtsp"])
def test_a_stream_is_translated_as_it_comes_and_recorded(tmp_path: Path, kind: str) -> None:
    port, job = free_port(), Stopping(30)
    with served(kind, port):
        where = f"{kind}://127.0.0.1:{port}{'' if kind == 'udp' else '/a'}"
        report = live(where, str(tmp_path / "a.mkv"), model=IDENTITY, to="b", record=tmp_path / "b.mp4", job=job)
    assert report.frames == 30
    assert job.detail.endswith(f"{report.dropped} dropped")
    for name in ("a.mkv", "b.mp4"):
        with VideoReader(tmp_path / name) as video:
            frames = list(video)
        assert len(frames) == 30
        numbers = [number_of(frame.pixels) for frame in frames]
        steps = [(after - before) % 50 for before, after in pairwise(numbers)]
        assert min(steps) >= 1
        assert sum(steps) - len(steps) <= report.dropped + 2
    assert {path.name for path in tmp_path.iterdir()} == {"a.mkv", "b.mp4"}


RECEIVER = """
import sys, av
with av.open(sys.argv[1], "r", format=sys.argv[2], container_options={"listen": "1"}, timeout=20) as container:
    for frame in container.decode(video=0):
        print(frame.width, round((frame.to_ndarray(format="rgb24").mean() - 20) / 4), flush=True)
"""
"""A server that prints the width and the number of each picture that is sent to it."""


@pytest.mark.parametrize(("sink", "form"), [("rtmp://127.0.0.1:{}/live/key", "flv"), ("tcp://127.0.0.1:{}", "mpegts")])
def test_a_stream_is_sent_to_a_server(sink: str, form: str) -> None:
    sink = sink.format(free_port())
    command = [sys.executable, "-c", RECEIVER, sink, form]
    receiver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    port = free_port()
    with served("udp", port):
        report = live(f"udp://127.0.0.1:{port}", sink, model=IDENTITY, to="b", job=Stopping(30))
    lines = [line.split() for line in receiver.communicate(timeout=30)[0].splitlines()]
    assert report.frames == 30
    assert len(lines) == 30
    assert {width for width, _ in lines} == {str(SIZE)}
    steps = [(int(after) - int(before)) % 50 for (_, before), (_, after) in pairwise(lines)]
    assert min(steps) >= 1
    assert sum(steps) - len(steps) <= report.dropped + 2


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A screen of 96 × 64 pixels. A window covers its left half."""
    paint = "import pygame; pygame.display.set_mode((48, 64), pygame.NOFRAME).fill((240, 120, 20)); "
    paint += "pygame.display.flip(); print('painted', flush=True); input()"
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "96x64x24", "-nolisten", "tcp", "-br"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        monkeypatch.setenv("DISPLAY", f":{server.stdout.readline().strip()}")
        monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
        monkeypatch.setenv("SDL_VIDEO_WINDOW_POS", "0,0")
        painting = [sys.executable, "-c", paint]
        with subprocess.Popen(painting, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as painter:
            assert painter.stdout is not None
            while painter.stdout.readline() not in ("painted\n", ""):
                pass
            yield
            painter.kill()
        server.terminate()


@pytest.mark.skipif(which("Xvfb") is None, reason="needs the X server Xvfb")
def test_a_screen_is_read_at_most_60_times_a_second(screen: None, tmp_path: Path) -> None:
    pytest.importorskip("mss")
    begin = time.monotonic()
    report = live("screen", str(tmp_path / "a.mkv"), model=IDENTITY, to="b", job=Stopping(30))
    assert time.monotonic() - begin > 29 / 60
    assert report.frames == 30
    with VideoReader(tmp_path / "a.mkv") as video:
        last = [frame.pixels for frame in video][-1]
    assert last.shape == (64, 96, 3)
    colours = last[16:48].astype(float).mean(axis=0)
    np.testing.assert_allclose(colours[8:40], np.broadcast_to((240, 120, 20), (32, 3)), atol=12)
    np.testing.assert_allclose(colours[56:], np.zeros((40, 3)), atol=12)
    with pytest.raises(ConfigError, match="there is no screen 2; this machine has 1"):
        live("screen:2", str(tmp_path / "b.mkv"), model=IDENTITY, to="b")


def test_an_unexpected_error_of_the_source_ends_the_wait() -> None:
    def pictures() -> Iterator[Develop]:
        raise ZeroDivisionError

    newest = Newest(pictures, Job())
    with pytest.raises(ZeroDivisionError):
        newest.take()
    newest.close()


def test_the_newest_picture_wins_and_the_others_are_counted() -> None:
    go = Event()

    def pictures() -> Iterator[Develop]:
        for number in range(10):
            yield partial(picture, number)
        go.set()
        time.sleep(5)

    newest = Newest(pictures, Job())
    assert go.wait(5)
    taken = newest.take()
    assert taken is not None
    assert number_of(taken.pixels) == 9
    assert newest.dropped == 9
    newest.close()


def test_a_lost_stream_is_connected_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recycle.streaming.newest.BACK_OFF", (0.05, 0.1, 0.2, 0.2))
    tries: list[float] = []

    def pictures() -> Iterator[Develop]:
        tries.append(time.monotonic())
        if len(tries) in (2, 3):
            raise FootageError("the camera is away")
        yield lambda: picture(len(tries))
        time.sleep(0.1)
        raise FootageError("the camera was lost")

    job = Stopping(10)
    newest = Newest(pictures, job)
    assert [number_of(taken.pixels) for _ in range(3) if (taken := newest.take())] == [1, 4, 5]
    assert job.notices[:2] == ["the camera was lost: trying to reconnect", "connected again"]
    assert tries[1] - tries[0] >= 0.14
    assert tries[2] - tries[1] >= 0.09
    newest.close()


def test_a_stream_that_is_gone_ends_with_one_line_and_a_complete_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recycle.streaming.newest.BACK_OFF", (0.05, 0.05))
    port = free_port()
    here = f"udp://127.0.0.1:{port}?timeout=1500000"
    with served("udp", port, count=75), pytest.raises(FootageError, match=r"2 attempts to reconnect failed"):
        live(here, str(tmp_path / "a.mkv"), model=IDENTITY, to="b")
    with VideoReader(tmp_path / "a.mkv") as video:
        assert 5 <= sum(1 for _ in video) <= 75


def test_a_window_shows_pictures_and_its_end_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    port = free_port()

    class Closing(Stopping):
        def _see(self, event: Any) -> None:
            if isinstance(event, Progress) and event.done == 5:
                shown = pygame.surfarray.array3d(pygame.display.get_surface())
                assert shown.shape == (SIZE, SIZE, 3)
                pygame.event.post(pygame.event.Event(pygame.QUIT))

    with served("udp", port):
        report = live(f"udp://127.0.0.1:{port}", model=IDENTITY, to="b", job=Closing(10**9))
    assert report.frames == 5


def test_latency_is_at_most_three_frames_and_memory_does_not_grow() -> None:
    """The figures at 256 pixels, over 10,000 frames, are in docs/measurements/live.md."""
    port = free_port()
    held: list[int] = []

    class Watching(Stopping):
        def _see(self, event: Any) -> None:
            super()._see(event)
            if isinstance(event, Progress) and event.done in (50, 150):
                held.append(resident())

    with served("udp", port):
        report = live(f"udp://127.0.0.1:{port}", "udp://127.0.0.1:9", model=IDENTITY, to="b", job=Watching(150))
    assert report.latency <= 3 / RATE
    assert held[1] - held[0] < 8 << 20


@pytest.mark.parametrize(
    ("source", "sink", "error", "message"),
    [
        ("file:///etc/passwd", "window", ConfigError, "is no live source"),
        ("walk.mp4", "window", ConfigError, "for a file use 'recycle translate'"),
        ("concat:a|b", "window", ConfigError, "is no live source"),
        ("http://127.0.0.1:9/list.m3u8", "a.mkv", FootageError, "cannot open http://127.0.0.1:9/list.m3u8"),
        ("0", "a.txt", ConfigError, "is not a place to send pictures to"),
        ("97", "a.mkv", FootageError, "cannot open 97"),
    ],
)
def test_what_cannot_be_opened_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, sink: str, error: type[Exception], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        live(source, sink, model=IDENTITY, to="b")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"a\.mkv exists; give --overwrite"):
        live("0", str(tmp_path / "a.mkv"), model=IDENTITY, to="b")
    assert (tmp_path / "a.mkv").read_bytes() == b"mine"


def test_a_playlist_cannot_name_other_addresses() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(30)
    port = server.getsockname()[1]
    body = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"

    def serve() -> None:
        with server, server.accept()[0] as peer:
            peer.recv(4096)
            peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\r\n" + body)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    with pytest.raises(FootageError, match="cannot open http"):
        list(pictures_of(f"http://127.0.0.1:{port}/a.m3u8", max_pixels=1 << 20))
    thread.join(30)
    assert not thread.is_alive()  # it was asked
