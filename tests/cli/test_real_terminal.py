"""What a person sees in a real terminal of 80 columns: whole words, whole sentences, no line that is too long."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recycle.cli.app import app
from recycle.cli.output import wrapped
from recycle.config import Pipeline, shipped_pipelines
from recycle.config.write import to_toml

COMMANDS = [each.name or each.callback.__name__ for each in app.registered_commands if each.callback is not None]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_terminal(*words: str, cwd: Path, stop_at: bytes | None = None) -> tuple[list[str], int]:
    """The lines that a command writes to a terminal of 80 columns, without escape codes, and its exit code.

    `stop_at` is a text at which Ctrl-C is pressed.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "recycle", *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=cwd,
        env=environment | {"TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    os.close(slave)
    written, stopped = b"", stop_at is None
    with suppress(OSError):  # Linux ends a terminal with EIO
        while piece := os.read(master, 1 << 16):
            written += piece
            if stop_at is not None and not stopped and stop_at in written:
                process.send_signal(signal.SIGINT)
                stopped = True
    os.close(master)
    assert stopped, written
    text = ESCAPES.sub("", written.decode())
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()], process.wait(60)


def test_help_names_each_command_with_a_whole_sentence(tmp_path: Path) -> None:
    lines, code = in_terminal("--help", cwd=tmp_path)
    assert code == 0
    commands = lines[lines.index("Commands:") + 1 :]
    assert [line.split()[0] for line in commands] == COMMANDS
    assert all(len(line) <= 80 and line.endswith(".") and not line.endswith("..") for line in commands), commands


def test_the_included_pipelines_are_listed_with_all_their_words(tmp_path: Path) -> None:
    lines, _ = in_terminal("pipelines", cwd=tmp_path)
    assert all(len(line) <= 80 for line in lines)
    said = " ".join(" ".join(lines).split())
    for path in shipped_pipelines():
        head = path.read_text(encoding="utf-8").partition("\n#:schema")[0]
        assert f"{path.stem} {' '.join(line.removeprefix('# ') for line in head.splitlines())}" in said


def test_messages_are_broken_between_words_in_a_terminal_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a folder of holidays with a name that is long enough to need several lines in a terminal"
    folder.mkdir()
    (folder / "notes.txt").write_text("hello")
    (folder / "film.mp4").write_bytes(b"\0" * 5000)
    words = ("probe", folder.name, "missing.mp4")
    lines, code = in_terminal(*words, cwd=tmp_path)
    piped = subprocess.run(
        [sys.executable, "-m", "recycle", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert code == piped.returncode == 1
    assert max(map(len, lines)) <= 80
    unbroken = (piped.stdout + piped.stderr).splitlines()
    assert max(map(len, unbroken)) > 80
    for line in unbroken:
        assert " ".join(line.split()) in " ".join(lines)


def test_probe_shows_at_what_it_is_looking(tmp_path: Path) -> None:
    (tmp_path / "night.street").write_text("seconds = 30\nwidth = 64\nheight = 48\n")
    lines, code = in_terminal("probe", "night.street", cwd=tmp_path)
    assert code == 0
    assert lines[0].startswith("looking at night.street")
    facts = next(number for number, line in enumerate(lines) if line.startswith("  container"))
    assert lines[facts - 1] == "night.street"  # in a line of its own
    assert any(line.startswith("  cuts ") for line in lines[facts:])


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" ")), st.integers(40, 200))
def test_any_line_keeps_its_words(line: str, width: int) -> None:
    parts = wrapped(line, width).split("\n")
    assert " ".join(parts).split() == line.split()
    assert all(len(part) <= width or max(map(len, part.split())) > width // 2 for part in parts)


def test_a_line_goes_on_below_its_text() -> None:
    line = "  note      no colour matrix is stated: bt709 is assumed, because most videos of this size have it"
    first, second = wrapped(line, 80).split("\n")
    assert first.startswith("  note      no colour")
    assert second.startswith(" " * 12)
    assert not second.startswith(" " * 13)


def test_a_command_says_at_once_that_it_starts(tmp_path: Path) -> None:
    lines, code = in_terminal("train", "--a", "missing", "--b", "missing", cwd=tmp_path)
    assert code == 1
    assert lines[0].startswith("starting")
    assert any(line.startswith("looking at the machine and at the footage") for line in lines[1:])


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        (("street", "long.mp4", "--seconds", "600", "--width", "64", "--height", "64"), "start over"),
        (("extract", "long.street", "--out", "frames"), "continue"),
    ],
)
def test_ctrl_c_says_whether_the_next_call_continues(command: tuple[str, ...], remedy: str, tmp_path: Path) -> None:
    (tmp_path / "long.street").write_text("seconds = 600\nwidth = 64\nheight = 64\n")
    lines, code = in_terminal(*command, cwd=tmp_path, stop_at=b"/")
    assert code == 130
    assert " ".join(lines).endswith(f"run the same command again to {remedy}")
    assert not (tmp_path / "long.mp4").exists()


def test_a_plan_fits_into_a_terminal_and_is_still_a_pipeline_file() -> None:
    judges = [{"kind": "patch", "width": 32, "layers": 2, "scales": 2}, {"kind": "projected"}]
    pipeline = Pipeline.model_validate({"networks": {"discriminator": judges}, "train": {"size": [96, 96]}})
    why = {
        "networks.discriminator": "a PatchGAN, and one that sees features",
        "train.size": "as large as " + "it is " * 20,
    }
    text = to_toml(pipeline, why, ["a line for the head of the file that says for what this plan was chosen " * 2])
    assert max(map(len, text.splitlines())) <= 80
    assert Pipeline.model_validate(tomllib.loads(text)) == pipeline
