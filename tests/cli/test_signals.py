"""A command is stopped as well by a terminal that closes as by SIGTERM, but not under nohup."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import PATIENCE, wait_until


def filming(out: Path, size: int, seconds: int, *, before: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    """A command that has begun to write its output, with frames of so many pixels a side."""
    words = ["street", str(out), "--width", str(size), "--height", str(size), "--seconds", str(seconds)]
    command = [*before, sys.executable, "-m", "recycle", *words]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: process.poll() is not None or bool(list(out.parent.glob(".*.partial*"))))
    assert process.poll() is None
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_a_command_is_one_line_and_leaves_no_file(number: signal.Signals, tmp_path: Path) -> None:
    process = filming(tmp_path / "film.mp4", 1600, 5)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    told = [line for line in errors.splitlines() if line.startswith("error:")]
    assert told == ["error: interrupted; run the same command again to start over"], errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_nohup_keeps_a_command_alive_when_the_terminal_closes(tmp_path: Path) -> None:
    process = filming(tmp_path / "film.mp4", 48, 2, before=("nohup",))
    process.send_signal(signal.SIGHUP)
    told, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert told.splitlines()[-1] == f"wrote {tmp_path / 'film.mp4'}"
