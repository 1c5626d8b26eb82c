"""The command line with hostile words: absurd options, URLs with secrets, names that a terminal would obey."""

import functools
import http.server
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recycle.cli import main
from recycle.video.encode import write_video

SECRET = "S3cretPass"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, np.zeros((5, 48, 64, 3), np.uint8), fps=12)
    return path


class Recycle:
    """Runs commands in this process, which is quicker than a new one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = monkeypatch, capfd
        self.out = self.err = ""

    def __call__(self, *words: object) -> object:
        """The exit code; no traceback, no log of one, no secret."""
        self._patch.setattr(sys, "argv", ["recycle", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        self.out, self.err = self._capture.readouterr()
        assert "Traceback" not in self.err
        assert "unexpected" not in self.err
        assert SECRET not in self.out + self.err
        return end.value.code

    def refusal(self, *words: object) -> str:
        """The one line of a command that is refused."""
        assert self(*words) in (1, 2)
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, self.err
        assert len(errors[0]) < 3010
        return errors[0]


@pytest.fixture
def recycle(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Recycle:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Recycle(monkeypatch, capfd)


ABSURD = ["nan", "inf", "-inf", "1e308", "9223372036854775808", "9" * 5000, "²", "٣٣x", "0x10", "-1", "\udcff"]
NUMBERS = {
    "translate": ["--scale", "--crf", "--bitrate", "--depth", "--start", "--end", "--at-once", "--preset"],
    "extract": ["--fps", "--short-side", "--crop", "--drop-duplicates", "--workers"],
    "street": ["--seed", "--seconds", "--width", "--height", "--fps"],
    "train": ["--steps", "--hours", "--devices", "--nodes", "--device", "--precision"],
    "distill": ["--width", "--blocks", "--steps", "--hours"],
    "evaluate": ["--device", "--labels"],
    "live": ["--scale", "--stabilise"],
}


@pytest.mark.parametrize(("command", "option"), [(c, o) for c, options in NUMBERS.items() for o in options])
def test_absurd_values_of_options_are_one_line(
    command: str, option: str, video: Path, tmp_path: Path, recycle: Recycle
) -> None:
    out = tmp_path / "out.mp4"
    words: dict[str, list[object]] = {
        "translate": [video, out, "--model", "identity", "--to", "b"],
        "extract": [video, "--out", tmp_path / "frames"],
        "street": [out, "--seconds", "0.1", "--width", "32", "--height", "32"],
        "train": ["demo", "--out", tmp_path / "run", "--a", video, "--b", video],
        "distill": [tmp_path, "--a", video, "--b", video],
        "evaluate": ["--model", "identity", "--a", video, "--out", tmp_path / "scores"],
        "live": ["0", out, "--model", "identity", "--to", "b"],
    }
    for value in ABSURD:
        recycle.refusal(command, *words[command], f"{option}={value}")
    assert not out.exists()


@pytest.mark.parametrize(
    "line",
    [
        *("seed=99999999999999999999999999", "hours=inf", "betas=[nan,2.0]", "steps=1e400", "learning_rate=-nan"),
        *("ema=1.0", "workers=100000", "devices=99999999", "batch_size=1000000000", "size=[100000000, 100000000]"),
        *("x = " + "[" * 20_000, "a." * 2000 + "a = 1", "steps = " + "9" * 5000),
    ],
)
def test_absurd_settings_of_a_file_are_one_line(line: str, video: Path, tmp_path: Path, recycle: Recycle) -> None:
    (tmp_path / "odd.toml").write_text(f"[train]\n{line}\n")
    message = recycle.refusal("train", tmp_path / "odd.toml", "--a", video, "--b", video, "--out", tmp_path / "run")
    assert "odd.toml" in message
    assert not (tmp_path / "run").exists()


def test_a_name_does_not_choose_another_folder(video: Path, tmp_path: Path, recycle: Recycle) -> None:
    for name in (str(tmp_path / "escaped"), "../escaped", ".."):
        (tmp_path / "task.toml").write_text(f"name = '{name}'\n")
        message = recycle.refusal("train", tmp_path / "task.toml", "--a", video, "--b", video)
        assert "'name': expected the name of a folder" in message
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize(
    "option",
    [
        *(
            "x264-params=dump-yuv={}",
            "x264opts=stats={}",
            "stats={}",
            "passlogfile={}",
            "x264-params=keyint=3:stats={}",
        ),
        *("flags=+pass1", "x264-params=pass=1:stats={}", "x264-params=zones=0,9,dump-yuv={}"),
    ],
)
def test_no_encoder_option_touches_a_file(option: str, video: Path, tmp_path: Path, recycle: Recycle) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    given = option.format(victim)
    message = recycle.refusal("translate", video, tmp_path / "o.mp4", "--model=identity", "--to=b", "--option", given)
    assert f"'{option.partition('=')[0]}'" in message
    assert victim.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["victim"]


@pytest.fixture
def server(video: Path, tmp_path: Path) -> Iterator[str]:
    """host:port of a web server with in/v.mp4; it asks for no password."""
    (tmp_path / "www" / "in").mkdir(parents=True)
    (tmp_path / "www" / "in" / "v.mp4").write_bytes(video.read_bytes())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{serving.server_port}"
        serving.shutdown()


def files_with_secrets(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if SECRET in path.name or (path.is_file() and SECRET.encode() in path.read_bytes())
    ]


def test_passwords_in_urls_are_in_no_record(server: str, tmp_path: Path, recycle: Recycle) -> None:
    with_secret = f"http://user:{SECRET}@{server}"
    for number, source in enumerate(("in", "in/", "in//", "none", "none/", "in/v.mp4", f"in/v.mp4?token={SECRET}")):
        out = tmp_path / f"out{number}"
        output = out / "v.mkv" if "v.mp4" in source else out
        code = recycle("translate", f"{with_secret}/{source}", output, "--model", "identity", "--to", "b")
        assert code == (0 if "v.mp4" in source else code)
        assert output.exists() or code in (1, 2)
    assert files_with_secrets(tmp_path) == []


@pytest.mark.parametrize("scheme", ["ftp", "http", "https", "sftp", "s3", "nosuch"])
def test_what_cannot_be_reached_is_one_line(scheme: str, video: Path, tmp_path: Path, recycle: Recycle) -> None:
    there = f"{scheme}://user:{SECRET}@127.0.0.1:1/deep/v.mp4"
    chosen = ("--model", "identity", "--to", "b")
    recycle.refusal("translate", f"{there}?X-Amz-Signature={SECRET}", tmp_path / "o.mp4", *chosen)
    recycle.refusal("translate", video, there, *chosen)
    recycle.refusal("probe", there)
    (tmp_path / "task.toml").write_text(f"[footage]\na = '{there}'\nb = '{there}'\n")
    recycle.refusal("train", tmp_path / "task.toml", "--out", tmp_path / "run")
    (tmp_path / "task.toml").unlink()
    assert files_with_secrets(tmp_path) == []


@pytest.mark.parametrize(
    "there",
    [
        *("http://", "http://[", "http://[::1/x", "http://\udcff/x", "http://127.0.0.1:99999/x", "http:////", "ftp://"),
        *("s3://", "zip://x::http://127.0.0.1:1/y", "simplecache::http://127.0.0.1:1/x", "data://", "github://a:b@/x"),
    ],
)
def test_odd_urls_are_one_line(there: str, tmp_path: Path, recycle: Recycle) -> None:
    recycle.refusal("translate", there, tmp_path / "out.mp4", "--model", "identity", "--to", "b")


def test_a_scratch_folder_of_somebody_else_is_not_used(video: Path, tmp_path: Path, recycle: Recycle) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"recycle-{os.geteuid()}").symlink_to(tmp_path / "elsewhere")
    assert recycle("translate", f"file://{video}", tmp_path / "o.mp4", "--model", "identity", "--to", "b") == 0
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "o.mp4").exists()


def test_names_and_titles_do_not_steer_the_terminal(video: Path, tmp_path: Path, recycle: Recycle) -> None:
    evil = "e\x1b]0;owned\x07\x1b[2J[red]\u202e\u009b\nerror: no"
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / f"{evil}.mp4").write_bytes(video.read_bytes())
    (folder / f"text{evil}.mp4").write_text("no video")
    chosen = ("--model", "identity", "--to", "b")
    for words in (
        ("probe", folder / f"{evil}.mp4"),
        ("probe", "--json", folder / f"{evil}.mp4"),
        ("probe", folder / f"text{evil}.mp4"),
        ("translate", folder / f"{evil}.mp4", tmp_path / f"{evil}.mp4", *chosen),
        ("translate", folder / f"text{evil}.mp4", tmp_path / "o.mp4", *chosen),
        ("translate", folder, tmp_path / "out", *chosen, "--dry-run"),
        ("translate", folder, tmp_path / "out", *chosen),
        ("extract", folder, "--out", tmp_path / "frames"),
        ("translate", folder / f"{evil}.mp4", tmp_path / "o.mp4", *chosen, "--to", evil),
        ("train", evil),
        (evil,),
    ):
        recycle(*words)
        assert not set(recycle.out + recycle.err.replace("\x1b[?25h", "")) & set("\x1b\x07\u202e\u009b"), words
        assert "[red]" in recycle.out + recycle.err, words
        if "--json" in words:
            assert json.loads(recycle.out)["path"] == str(folder / f"{evil}.mp4")
