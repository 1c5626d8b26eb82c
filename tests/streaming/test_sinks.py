"""A sink that fails ends live translation with one line in a bounded time, and costs no other file."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from recycle import live
from recycle.errors import ConfigError, FootageError, OutputError
from recycle.streaming.sinks import open_sink
from recycle.video.decode import VideoReader
from tests.streaming.test_live import IDENTITY, Stopping, free_port, served

KINDS = ["rtmp", "rtsp", "tcp"]


@contextmanager
def receiver(*, leaves: bool) -> Iterator[int]:
    """The port of a server that accepts a connection and says nothing; one that `leaves` closes it soon."""
    done = Event()

    def serve() -> None:
        with server, server.accept()[0] as peer:
            if leaves:
                peer.recv(1 << 20)
                time.sleep(0.2)
            else:
                done.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield port
        done.set()
        thread.join(10)


def send_noise(sink: str) -> None:
    """Send pictures until the sink fails: some MB each, so that no buffer takes all of them."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    with open_sink(sink, "") as opened:
        for number in range(400):
            opened.show(noise, number / 25)


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_receiver_that_is_silent_or_leaves_is_one_line(
    monkeypatch: pytest.MonkeyPatch, kind: str, *, leaves: bool
) -> None:
    monkeypatch.setattr("recycle.streaming.sinks.WAIT_SECONDS", 0.5)
    begin = time.monotonic()
    with receiver(leaves=leaves) as port:
        sink = f"{kind}://me:secret@127.0.0.1:{port}/live/key"
        with pytest.raises(
            OutputError, match=rf"^cannot write {kind}://\S*@127.0.0.1:{port}/live/key: [A-Z][^\n]*$"
        ) as caught:
            send_noise(sink)
    assert "secret" not in str(caught.value)
    assert time.monotonic() - begin < 6


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_at_the_address_is_one_line(kind: str) -> None:
    sink = f"{kind}://127.0.0.1:{free_port()}/live/key"
    with pytest.raises(OutputError, match=f"^cannot write {sink}: Connection refused$"):
        send_noise(sink)


def test_a_receiver_that_leaves_costs_no_recording(tmp_path: Path) -> None:
    source, record = free_port(), tmp_path / "a.mkv"
    with receiver(leaves=True) as port, served("udp", source):
        sink = f"tcp://127.0.0.1:{port}"
        with pytest.raises(OutputError, match=f"cannot write {sink}: "):
            live(f"udp://127.0.0.1:{source}", sink, model=IDENTITY, to="b", record=record, job=Stopping(150))
    with VideoReader(record) as video:
        assert sum(1 for _ in video) > 5
    assert list(tmp_path.iterdir()) == [record]


def test_a_recording_that_cannot_be_finished_does_not_appear_but_the_sink_does(tmp_path: Path) -> None:
    source, sink, record = free_port(), tmp_path / "a.mkv", tmp_path / "gone" / "b.mkv"

    class Spoiling(Stopping):
        def _see(self, event: object) -> None:
            super()._see(event)
            for temporary in record.parent.glob(".*"):
                temporary.unlink()

    with served("udp", source), pytest.raises(OutputError, match=r"cannot write .*b\.mkv"):
        live(f"udp://127.0.0.1:{source}", str(sink), model=IDENTITY, to="b", record=record, job=Spoiling(20))
    with VideoReader(sink) as video:
        assert sum(1 for _ in video) == 20
    assert list(record.parent.iterdir()) == []


def test_the_sink_cannot_also_be_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"a\.mkv is written already; give another file"):
        live("0", "a.mkv", model=IDENTITY, to="b", record=tmp_path / "a.mkv")


def test_a_silent_source_is_named_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("recycle.streaming.capture._CONNECT_SECONDS", 0.5)
    with pytest.raises(FootageError, match=r"no data came for 0\.5 s$"):
        live(f"udp://127.0.0.1:{free_port()}", str(tmp_path / "a.mkv"), model=IDENTITY, to="b")
