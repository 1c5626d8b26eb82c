"""Only single files of media open: no playlist, by a path or a file object, makes recycle read another file or host."""

import ast
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import recycle
from recycle.errors import FootageError
from recycle.system.places import is_here, place
from recycle.video.container import DEMUXERS, open_container

Frames = Callable[..., list[NDArray[np.uint8]]]
Make = Callable[..., Path]
PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {}\n",
    "dash": '<?xml version="1.0"?>\n<MPD type="static"><Period><BaseURL>{}</BaseURL></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns={}\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "smil": '<smil><body><video src="{}"/></body></smil>',
    "asx": '<asx version="3.0"><entry><ref href="{}"/></entry></asx>',
    "metalink": "[Reference]\nRef1={}\n",
    "cue": 'FILE "{}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "pls": "[playlist]\nFile1={}\n",
    "xspf": '<?xml version="1.0"?><playlist><trackList><track><location>{}</location></track></trackList></playlist>',
    "imf": '<?xml version="1.0"?><CompositionPlaylist><Id>{}</Id></CompositionPlaylist>',
}
SCRIPTS = {"avs": 'AviSource("{}")\n', "vpy": 'import vapoursynth\nopen("{}")\n', "txt": "{}\n"}


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """The address of an HTTP server on this machine, and the paths that were asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/secret.ts", asked
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("remote", [False, True], ids=["path", "file object"])
@pytest.mark.parametrize("kind", [*PLAYLISTS, *SCRIPTS])
def test_playlists_are_refused_under_any_name_and_reach_no_host(
    tmp_path: Path, server: tuple[str, list[str]], kind: str, remote: bool
) -> None:
    address, asked = server
    for suffix in (".mp4", ".m3u8", ".ts", ".wmv", f".{kind}"):
        file = tmp_path / f"film{suffix}"
        file.write_text((PLAYLISTS | SCRIPTS)[kind].format(address))
        path = place(f"file://{file}") if remote else file
        assert is_here(path) is not remote
        reason = rf"is a playlist \({kind}\), not a video" if kind in PLAYLISTS else "is text|is not a readable video"
        with pytest.raises(FootageError, match=reason) as error:
            open_container(path)
        assert "\n" not in str(error.value)
    assert asked == []


def test_a_playlist_does_not_show_another_file(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    private = make_video(tmp_path / "private.mp4", moving_frames(3))
    for kind, text in PLAYLISTS.items():
        (tmp_path / f"{kind}.mp4").write_text(text.format(private))
        with pytest.raises(FootageError, match="is a playlist"):
            open_container(tmp_path / f"{kind}.mp4")


def test_a_pattern_in_a_name_opens_no_other_files(tmp_path: Path, moving_frames: Frames) -> None:
    for number in range(3):
        av.VideoFrame.from_ndarray(moving_frames(1)[0], format="rgb24").save(tmp_path / f"{number}.png")
    (tmp_path / "%d.png").write_bytes((tmp_path / "0.png").read_bytes())
    with pytest.raises(FootageError, match="is a single image"):
        open_container(tmp_path / "%d.png")


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        *[("mp4", "libx264"), ("mov", "libx264"), ("mkv", "libx264"), ("webm", "libvpx"), ("avi", "mpeg4")],
        *[("mpg", "mpeg2video"), ("flv", "flv"), ("wmv", "wmv2"), ("ts", "libx264"), ("gif", "gif"), ("apng", "apng")],
        *[("nut", "ffv1"), ("y4m", "rawvideo"), ("mxf", "mpeg2video"), ("3gp", "mpeg4"), ("ivf", "libvpx")],
        *[("h264", "libx264"), ("hevc", "libx265"), ("m2v", "mpeg2video"), ("m4v", "mpeg4"), ("mjpeg", "mjpeg")],
    ],
)
def test_files_of_every_common_kind_open(tmp_path: Path, moving_frames: Frames, suffix: str, codec: str) -> None:
    formats = {"gif": "rgb8", "apng": "rgb24", "mjpeg": "yuvj420p"}
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w", format={"m4v": "m4v", "apng": "apng"}.get(suffix)) as file:
        stream: Any = file.add_stream(
            codec, rate=25, options={"x265-params": "log-level=none"} if codec == "libx265" else {}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, formats.get(suffix, "yuv420p")
        for pixels in moving_frames(6):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=stream.pix_fmt)))
        file.mux(stream.encode(None))
    for place_of in (path, place(f"file://{path}")):
        with open_container(place_of) as container:
            assert container.streams.video[0].codec_context.width == 64


def test_no_demuxer_that_reads_other_files_or_devices_is_allowed() -> None:
    others = {"hls", "concat", "dash", "sdp", "rtsp", "rtp", "sap", "image2", "imf", "tty", "lavfi", "data", "vobsub"}
    others |= {
        "x11grab",
        "v4l2",
        "video4linux2",
        "fbdev",
        "kmsgrab",
        "alsa",
        "oss",
        "webm_dash_manifest",
        "mlv",
        "svg_pipe",
    }
    assert not DEMUXERS & others
    for name in DEMUXERS:
        av.format.ContainerFormat(name, "r")  # raises if there is none


def test_all_media_is_opened_by_the_one_function() -> None:
    package = Path(recycle.__file__).parent
    reading = []
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "av.open":
                mode = node.args[1] if len(node.args) > 1 else None
                if not (isinstance(mode, ast.Constant) and mode.value == "w"):
                    reading.append(file.relative_to(package).as_posix())
    # These read back from memory what was written by ourselves.
    in_memory = {"rendering/segments.py", "rendering/streams.py", "rendering/trial.py"}
    live = {"streaming/capture.py"}  # with its own list of protocols: tests/streaming/test_live.py
    assert set(reading) == {"video/container.py"} | in_memory | live


def mov_of_another_file(path: Path, film: Path) -> Path:
    """A copy of `film` whose own picture data is blank, and whose track lies in `film`, by an absolute alias."""
    data = film.read_bytes()
    name, place_of = film.name.encode(), str(film).encode()
    body = bytes(10) + b"\x03vol".ljust(28, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    body += struct.pack(">hh", 1, 1) + bytes(16) + struct.pack(">HH", 2, len(place_of)) + place_of
    body += bytes(len(place_of) % 2) + struct.pack(">HH", 0xFFFF, 0)
    alias = struct.pack(">I4sI", 12 + len(body), b"alis", 0) + body
    at = data.index(b"dref") - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    reference = struct.pack(">I4sII", 16 + len(alias), b"dref", 0, 1) + alias
    changed = bytearray(data[:at] + reference + data[at + size :])
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        start = data.rindex(parent, 0, at) - 4
        (length,) = struct.unpack(">I", data[start : start + 4])
        struct.pack_into(">I", changed, start, length + len(reference) - size)
    start = data.index(b"mdat") - 4
    (length,) = struct.unpack(">I", data[start : start + 4])
    changed[start + 8 : start + length] = bytes(length - 8)
    path.write_bytes(changed)
    return path


def test_a_mov_does_not_show_what_its_references_name(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    private = make_video(tmp_path / "private.mov", moving_frames(3), options={"bf": "0"})
    trap = mov_of_another_file(tmp_path / "trap.mov", private)
    with av.open(str(trap), options={"enable_drefs": "1", "use_absolute_path": "1"}) as file:
        assert len(list(file.decode(video=0))) == 3  # the trap works
    with open_container(trap) as container:
        assert [packet for packet in container.demux() if packet.size] == []
