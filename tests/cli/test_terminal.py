"""What a person or a program sees of events: bars that fit, plain lines in a log, JSON lines."""

import json
import re
import time
from pathlib import Path

import pytest
from rich.cells import cell_len

from recycle.cli.piece import Piece
from recycle.cli.terminal import JsonLines, Terminal
from recycle.events import Event, FileState, Job, Notice, Progress, Review, Step

LOSSES = {"adversarial": 0.31, "cycle": 1.25, "recycle": 0.77, "recurrent": 0.12, "temporal": 0.5, "identity": 0.4}


def piece(event: Progress, *, before: int = 0, seconds: float = 10.0) -> Piece:
    """A piece of work `seconds` after its beginning."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recycle.cli.piece.time.monotonic", lambda: 100.0)
        begun = Piece(Progress(event.what, before, event.total, event.unit))
        patch.setattr("recycle.cli.piece.time.monotonic", lambda: 100.0 + seconds)
        begun.update(event)
    return begun


@pytest.mark.parametrize("width", [80, 120, 160])
def test_losses_give_way_first_and_never_bar_count_rate_and_eta(width: int) -> None:
    detail = " ".join(f"{name} {value:.2f}" for name, value in LOSSES.items())
    line = piece(Progress("training", 640, 2000, "steps", detail), before=600).bar(width).plain
    assert cell_len(line) <= width
    for part in ("training ", "━━━━━━──────────────", "640/2000", "4.0 steps/s", "ETA 0:05:40", " adversarial"):
        assert part in line
    assert line.endswith("…") == (width < 160)
    assert (detail in line) == (width == 160)


@pytest.mark.parametrize("width", [80, 120, 160])
def test_long_names_are_cut_before_count_rate_and_eta(width: int) -> None:
    name = "translating " + "日本の夏 " * 30 + ".mp4"
    line = piece(Progress(name, 12345, 654321, detail="x" * 50)).bar(width).plain
    assert cell_len(line) <= width
    for part in ("translating ", "…", "12345/654321", "1234.5 frames/s", "ETA 0:08:40"):
        assert part in line


@pytest.mark.parametrize("total", [None, 0])
def test_what_is_not_known_is_not_shown(total: int | None) -> None:
    assert Piece(Progress("evaluating", 0, total)).bar(80).plain == "evaluating"
    assert Piece(Progress("evaluating", 0, total)).line() == "evaluating"
    assert piece(Progress("evaluating", 7, None)).bar(80).plain == "evaluating 7  0.7 frames/s"
    assert Piece(Progress("evaluating", 0, 9)).bar(80).plain == f"evaluating {'─' * 20} 0/9"


def test_frames_of_an_earlier_call_do_not_count_as_speed() -> None:
    assert "1.0 frames/s" in piece(Progress("x", 1010, 2000), before=1000).line()


@pytest.mark.parametrize("width", [0, 80, 120, 160])
def test_the_only_time_that_a_training_with_a_time_limit_shows_is_what_remains_of_it(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a log (width 0) and in a terminal, whatever the number of steps and their speed say."""
    if width:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
    with Terminal(seconds=0) as terminal:
        for step, left in ((640, 3725.9), (641, 3725.2)):
            terminal(Step(step, 2000, 1e-4, LOSSES, left))
            time.sleep(0.02)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    times = {
        time for line in re.split(r"[\r\n]+", shown) for time in re.findall(r"\d:\d\d:\d\d|[0-9]+ (?:h|min) ", line)
    }
    assert "ETA 1:02:05" in shown
    assert times == {"1:02:05"}
    assert "ETA" not in piece(Progress("training", 9, 9, "steps", left=3.0)).line()


def test_a_log_has_lines_at_the_start_now_and_then_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(seconds=0.05) as terminal:
        job = Job(terminal)
        count = job.counting("extracting a", total=30)
        for done in range(1, 30):
            count(done)
            time.sleep(0.01)
        job.say("a notice\x1b[31m of https://u:S3cret@host/")
        count(30)
        count.finish()
        job.say("30 frames")
        job.emit(Step(641, 2000, 1e-4, LOSSES))
        job.emit(Review(641, 0.4, Path("previews/step-000641.png")))
        job.emit(Step(642, 2000, 1e-4))
    written = capsys.readouterr()
    assert written.out == "a notice\\x1b[31m of https://***@host/\n30 frames\n"
    lines = written.err.splitlines()
    assert lines[0] == "extracting a …"
    between = [line for line in lines[1:] if line.startswith("extracting a: ") and "ETA" in line]
    assert 2 <= len(between) <= 8
    assert all("/30 frames, " in line and " frames/s, ETA 0:00:0" in line for line in between)
    end, begin, last = lines[len(between) + 1 :]
    assert end.startswith("extracting a: 30/30 frames, in 0:00:0")
    assert begin == "training …"
    assert last.startswith("training: 642/2000 steps, ")
    assert last.endswith(
        "score 0.400 adversarial 0.31 cycle 1.25 recycle 0.77 recurrent 0.12 temporal 0.50 identity 0.40"
    )
    assert not any("0/0" in line or "?" in line for line in lines)


def test_work_that_is_done_again_begins_again(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as terminal:
        for _ in range(2):
            terminal(Progress("translating x.mp4", 0))
            terminal(Progress("translating x.mp4", 5, 5))
            terminal(Progress("translating x.mp4", 5, 5))
    starts = [line for line in capsys.readouterr().err.splitlines() if line == "translating x.mp4 …"]
    assert len(starts) == 2


def test_files_of_a_folder_have_a_line_when_they_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as terminal:
        terminal(Progress("opening", 1))
        for name in ("a.mp4", "b.mp4"):
            terminal(FileState(name, "waiting", total=10))
        for done in (0, 4, 9):
            terminal(FileState("a.mp4", "running", done=done, total=10))
        terminal(FileState("a.mp4", "done", "10 frames", 10, 10))
        terminal(FileState("b.mp4", "running", total=10))
        terminal(FileState("b.mp4", "failed", "it is damaged"))
    lines = capsys.readouterr().err.splitlines()
    assert "done    a.mp4  10 frames" in lines
    assert "failed  b.mp4  it is damaged" in lines
    assert lines[-1].startswith("1 failed  1 done   10/10 frames, ")
    assert "ETA" not in lines[-1]


@pytest.mark.parametrize("width", [80, 120, 160])
def test_a_terminal_shows_a_bar_with_count_rate_and_eta(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # which makes rich take anything for a terminal
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    with Terminal() as terminal:
        job = Job(terminal)
        job.emit(Step(640, 2000, 1e-4, LOSSES))
        time.sleep(0.05)
        job.emit(Step(641, 2000, 1e-4, LOSSES))
        job.say("step 641: a notice")
        job.counting("evaluating")
        for done in (1, 2, 2):
            job.emit(FileState("a.mp4", "running", done=done, total=2))
        job.emit(FileState("a.mp4", "done", done=2, total=2))
        job.say("all is done")
    written = capsys.readouterr()
    assert written.out == "step 641: a notice\nall is done\n"
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.err)
    lines = [line for line in re.split(r"[\r\n]+", shown) if line]
    assert max(map(cell_len, lines)) <= width
    (last,) = (line for line in dict.fromkeys(lines) if line.startswith("training ") and "641/2000" in line)
    assert re.match(r"training ━{6}─{14} 641/2000  \d+\.\d steps/s  ETA \d:\d\d:\d\d adversarial", last)
    assert "evaluating" in lines
    assert any(line.startswith("1 done   2/2 frames, ") for line in lines)
    assert "0/0" not in shown
    assert "?" not in shown


EVENTS: list[Event] = [
    Progress("extracting", 3, None, "frames", "x"),
    Notice("see https://u:S3cret@host/\x1b[31m\nnow"),
    FileState("a.mp4", "failed", "token=S3cret"),
    Step(3, 9, 1e-4, {"cycle": float("nan"), "recycle": 0.5}),
    Review(3, 0.25, Path("run/previews/step-000003.png")),
]


def test_json_lines_hold_every_field_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with JsonLines() as lines:
        for event in EVENTS:
            lines(event)
    written = capsys.readouterr()
    assert written.err == ""
    assert "S3cret" not in written.out
    assert "\x1b" not in written.out
    found = [json.loads(line) for line in written.out.splitlines()]
    assert [data["event"] for data in found] == ["progress", "notice", "file", "step", "review"]
    assert found[0] == {
        **{"event": "progress", "what": "extracting", "done": 3, "total": None},
        **{"unit": "frames", "detail": "x", "left": None},
    }
    assert found[1]["text"] == "see https://***@host/\x1b[31m\nnow"
    assert found[3]["losses"] == {"cycle": None, "recycle": 0.5}
    assert found[4] == {"event": "review", "step": 3, "score": 0.25, "preview": "run/previews/step-000003.png"}
