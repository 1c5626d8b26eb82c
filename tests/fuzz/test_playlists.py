"""Texts that name other files or hosts are refused under any name, whole or damaged; nothing that they name is read."""

import http.server
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from recycle.errors import FootageError
from recycle.video.decode import VideoReader
from tests.fuzz.spoil import ROUNDS, SEED, spoilt
from tests.video.conftest import moving, write

DAMAGES = 3
SUFFIXES = (".mp4", ".mkv", ".ts", ".avi", ".m3u8", ".ffconcat", ".sdp", ".txt", "")

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{target}\n#EXT-X-ENDLIST\n",
    "hls of an init segment": '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI="{target}"\n#EXTINF:1.0,\n{target}\n',
    "hls with a key": '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n'
    "#EXTINF:1.0,\n{target}\n#EXT-X-ENDLIST\n",
    "hls of variants": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "concat of a protocol": "ffconcat version 1.0\nfile 'concat:{target}|{target}'\n",
    "session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 50555 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "plain list": "{target}\n",
    "pls": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "smil": '<smil><body><video src="{target}"/></body></smil>',
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1" mimeType="video/mp4"><BaseURL>{target}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "avisynth": 'FFVideoSource("{target}")\n',
    "quicktime text": "rtsptext\n{target}\n",
    "cue": 'FILE "{target}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
}


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("private") / "film.mp4", moving(3))


def opened(path: Path) -> str:
    """Why the file is refused; '' if it is read."""
    try:
        with VideoReader(path) as reader:
            for _ in reader:
                pass
    except FootageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlists_open_nothing(kind: str, private: Path, asked: tuple[str, list[str]], tmp_path: Path) -> None:
    rng = random.Random(f"{SEED} {kind}")
    address, paths = asked
    beside = tmp_path / "beside.mp4"
    beside.write_bytes(private.read_bytes())
    for target in (str(private), private.as_uri(), "beside.mp4", f"{address}/film.mp4"):
        text = PLAYLISTS[kind].replace("{target}", target).encode()
        for number in range(1 + DAMAGES * ROUNDS):
            data = spoilt(text, rng) if number else text
            name = f"list{number}{rng.choice(SUFFIXES)}"
            (tmp_path / name).write_bytes(data)
            remote = UPath(f"memory://{tmp_path.name}/{name}")
            remote.parent.mkdir(parents=True, exist_ok=True)
            remote.write_bytes(data)
            for path in (tmp_path / name, remote):
                refusal = opened(path)  # type: ignore[arg-type]
                assert "\n" not in refusal
                assert refusal or number, "a damaged one may pass for noise of some raw format, a whole one never"
    assert paths == []
