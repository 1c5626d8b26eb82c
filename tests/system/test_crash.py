"""Users see one line and a log instead of a traceback; a closed output ends the process silently."""

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from recycle import cli
from recycle.system import crash
from recycle.video.encode import write_video


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of logs in this test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "recycle"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "clip.mp4", np.zeros((3, 48, 64, 3), np.uint8), fps=12)
    return tmp_path / "clip.mp4"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """`recycle pipelines` raises the error that a test puts into this list."""
    errors: list[BaseException] = []

    def fail() -> list[Path]:
        raise errors[0]

    monkeypatch.setattr("recycle.config.shipped_pipelines", fail)
    monkeypatch.setattr(crash, "_findings", lambda: "h264 libx264 at https://u:S3cret@host\n")
    return errors


def end(words: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", ["recycle", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


class Odd(BaseException):
    """An error that no code handles."""


@pytest.mark.parametrize(
    "error",
    [
        KeyError("https://u:S3cret@host/x"),
        ValueError("two\nlines \x1b[31m"),
        RecursionError("maximum recursion depth exceeded"),
        AssertionError(),
        TypeError("x" * 10_000),
        UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
        ZeroDivisionError("\udcff"),
        ImportError("libcuda.so is broken"),
        ExceptionGroup("many", [ValueError("https://u:S3cret@host/x")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unexpected_error_is_one_line_with_a_log(
    error: BaseException,
    failing: list[BaseException],
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing.append(error)
    assert end(["pipelines"], monkeypatch) == os.EX_SOFTWARE == 70
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert written.startswith(f"error: unexpected {type(error).__name__}")
    assert len(written) < 1000
    [log] = state.iterdir()
    assert str(log) in written
    text = log.read_text()
    assert "Traceback (most recent call last)" in text
    assert "test_crash.py" in text
    assert "doctor:\nh264" in text
    assert not re.search("S3cret|\x1b", written + text.replace("\x1b[31m", ""))
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (MemoryError(), "there is not enough memory", 1),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] can't allocate memory"), "there is not enough memory", 1),
        (RuntimeError("Exception from src/inference: std::bad_alloc"), "there is not enough memory", 1),
        (KeyboardInterrupt(), "interrupted; run the same command again to start over", 130),
        (PermissionError(13, "Permission denied", "/x"), "cannot use /x: Permission denied", 1),
        (OSError(28, "No space left on device"), "cannot write the output: No space left on device", 1),
        (BrokenPipeError(32, "Broken pipe"), "BrokenPipeError: [Errno 32] Broken pipe", 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_system_error_is_one_line_without_a_log(
    error: BaseException,
    message: str,
    code: int,
    failing: list[BaseException],
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing.append(error)
    assert end(["pipelines"], monkeypatch) == code
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not state.exists()


def test_an_error_of_a_remote_file_system_is_one_line(
    failing: list[BaseException],
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kind = type("ClientError", (Exception,), {"__module__": "botocore.exceptions"})
    failing.append(kind("no bucket s3://AK:S3cret@b\nin us-east-1"))
    assert end(["pipelines"], monkeypatch) == 1
    assert capsys.readouterr().err == "error: ClientError: no bucket s3://***@b in us-east-1\n"


def test_the_line_says_that_no_log_could_be_written(
    failing: list[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file" / "no"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    failing.append(KeyError("x"))
    assert end(["pipelines"], monkeypatch) == 70
    assert capsys.readouterr().err == "error: unexpected KeyError: 'x'; its log could not be written\n"
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    assert end(["pipelines"], monkeypatch) == 70
    assert f"{tmp_path / 'tmp'}/recycle-{os.geteuid()}/logs/crash-" in capsys.readouterr().err


def test_a_log_folder_that_others_can_write_is_not_used(state: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    state.parent.mkdir()
    state.symlink_to(tmp_path / "elsewhere")
    path = crash.record(KeyError("x"))
    assert path is not None
    assert not list((tmp_path / "elsewhere").iterdir())
    path.unlink()


@pytest.mark.parametrize("start", [0, 999_999_990])
def test_the_newest_logs_are_kept(start: int, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs within one second are ordered by their nanoseconds."""
    clock = count(1_700_000_000 * 10**9 + start)
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    written = [crash.record(ValueError(str(number))) for number in range(25)]
    assert sorted(state.iterdir()) == written[-20:]


def test_an_environment_variable_shows_the_traceback(
    failing: list[BaseException],
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RECYCLE_DEBUG", "1")
    failing.append(KeyError("x"))
    assert end(["pipelines"], monkeypatch) == 70
    assert "Traceback" in capsys.readouterr().err


def test_threads_end_without_a_traceback(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise KeyError("https://u:S3cret@host")

    before = threading.excepthook
    crash._findings.cache_clear()
    with pytest.MonkeyPatch.context() as patch, crash.watching_threads():
        patch.setattr(crash, "_findings", lambda: "")
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    assert threading.excepthook is before
    line = r"error: unexpected KeyError: 'https://\*\*\*@host'; please report it .*\n"
    assert re.fullmatch(line, capsys.readouterr().err)


BOOM = """
import sys, recycle.video.probe as module
def fail(*a, **k): raise LookupError("of nobody's making")
module.probe = fail
sys.argv = ["recycle", "probe", "x.mp4"]
from recycle.cli import main
main()
"""


def test_a_real_process_leaves_a_log_with_the_findings_of_doctor(state: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BOOM], capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert done.stdout == ""
    assert re.fullmatch(r"error: unexpected LookupError: of nobody's making; please report it .*\n", done.stderr)
    [log] = state.iterdir()
    assert "LookupError: of nobody's making" in log.read_text()
    assert re.search(r"^h264 +libx264", log.read_text(), re.MULTILINE)


def start(words: str, stdout: object, **more: object) -> "subprocess.CompletedProcess[str]":
    command = f"{sys.executable} -m recycle {words}"
    return subprocess.run(
        ["bash", "-c", command], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, **more
    )  # type: ignore[call-overload]


@pytest.mark.parametrize("words", ["pipelines demo", "--help"])
def test_a_closed_pipe_ends_silently(words: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = start(words, write)
    finally:
        os.close(write)
    assert done.stderr == ""
    assert done.returncode != 0


@pytest.mark.parametrize("words", ["pipelines demo", "--help"])
def test_an_output_on_a_full_disk_is_one_line(words: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = start(words, full)
    assert done.stderr == "error: cannot write the output: No space left on device\n"
    assert done.returncode == 1


def test_closed_outputs_cause_no_traceback(video: Path) -> None:
    done = start(f"probe {video} >&-", subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, "")
    assert start(f"probe {video}x 2>&-", subprocess.DEVNULL).returncode == 1


def test_a_terminal_without_unicode_gets_escapes(video: Path) -> None:
    odd = video.with_name("ä日\udcff.mp4")
    video.rename(odd)
    done = start(
        f"probe {odd.parent}/*.mp4 | iconv -f latin1",
        subprocess.PIPE,
        env=os.environ | {"PYTHONIOENCODING": "iso8859-1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"ä\u65e5\udcff.mp4" in done.stdout


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_during_startup_causes_no_traceback(delay: float, video: Path) -> None:
    """Tested from the moment that Python runs our code; before that, Python itself prints."""
    code = f"import sys; sys.argv = ['recycle', 'probe', {str(video)!r}]; import recycle.system.interrupt; "
    code += "print(flush=True); from recycle.cli import main; main()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors
    assert process.returncode in (-signal.SIGINT, 130, 0)


def test_an_interrupt_that_an_import_turns_into_another_error_is_still_an_interrupt(video: Path) -> None:
    code = f"""
import os, signal, sys, time
sys.argv = ["recycle", "probe", {str(video)!r}]
from recycle.cli import main

class Extension:
    def find_spec(self, name, path=None, target=None):
        if name == "recycle.video.probe":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(60)
            except KeyboardInterrupt:
                raise ImportError("cannot initialise the extension") from None

sys.meta_path.insert(0, Extension())
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr == "error: interrupted; run the same command again to start over\n"


def test_no_arguments_print_the_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert end([], monkeypatch) == 0
    written = capsys.readouterr()
    assert written.out.splitlines()[0].startswith("Usage: recycle")
    assert written.err == ""


@pytest.mark.parametrize("delay", [0.3, 0.9])
def test_ctrl_c_ends_extracting_processes_without_a_traceback(delay: float, video: Path, tmp_path: Path) -> None:
    """In every phase: while they import, wait or work."""
    for number in range(4):
        (tmp_path / f"{number}.mp4").write_bytes(video.read_bytes())
    words = ["extract", str(tmp_path), "--out", str(tmp_path / "frames"), "--workers", "2"]
    command = [sys.executable, "-m", "recycle", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stderr is not None
        process.stderr.read(1)  # the progress line: its own start is over
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert b"Traceback" not in errors
    assert process.returncode in (0, 130, -signal.SIGINT)  # the last: the work was over, Python itself was ending
