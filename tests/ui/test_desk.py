"""The queue: one call at a time, stopped calls, and what pages read while it works."""

import threading
from pathlib import Path

import pytest

from recycle.errors import FootageError, Interrupted, RecycleError
from recycle.events import Job, Notice, Progress, Review, Step
from recycle.ui import words
from recycle.ui.desk import Desk, Work
from tests.processes import PATIENCE, wait_until


class Gate:
    """A call that runs until it is opened or its job is cancelled."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self, job: Job) -> str:
        self.begun.set()
        while not self.open.wait(0.01):
            if job.stopping:
                raise Interrupted("stopped and saved at step 7")
        return "result"


def test_calls_run_one_at_a_time_in_order_and_waiting_ones_can_be_removed() -> None:
    desk, gates = Desk(), [Gate(), Gate(), Gate()]
    works = [desk.add(Work("translate", f"work {i}", gate)) for i, gate in enumerate(gates)]
    assert gates[0].begun.wait(PATIENCE)
    assert [work.state for work in desk.works] == ["running", "waiting", "waiting"]
    assert desk.current is works[0]
    desk.stop(works[1])
    gates[0].open.set()
    assert gates[2].begun.wait(PATIENCE)
    assert not gates[1].begun.is_set()
    assert [work.state for work in works] == ["done", "stopped", "running"]
    assert works[0].result == "result"
    desk.close()
    assert (works[2].state, works[2].error) == ("stopped", "stopped and saved at step 7")
    with pytest.raises(RecycleError, match="closing"):
        desk.add(Work("translate", "late", Gate()))


def test_a_failed_call_leaves_one_line_and_the_next_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("recycle.system.crash.add_findings", lambda path: None)  # it runs `recycle doctor`
    desk = Desk()

    def fails(error: Exception) -> Work:
        def call(job: Job) -> None:
            raise error

        return desk.add(Work("translate", "fails", call))

    works = [fails(FootageError("no\nfootage")), fails(ValueError("a bug")), fails(MemoryError())]
    good = desk.add(Work("translate", "good", lambda job: 1))
    wait_until(lambda: good.over)
    assert [work.state for work in works] == ["failed"] * 3
    assert works[0].error == "no footage"
    assert works[1].error.startswith("unexpected ValueError: a bug; please report it together with the log ")
    assert "not enough memory" in works[2].error
    assert good.result == 1
    desk.close()


def test_a_run_waits_only_once() -> None:
    desk, gate = Desk(), Gate()
    desk.add(Work("train", "one", gate, Path("runs/one")))
    with pytest.raises(RecycleError, match="trained already"):
        desk.add(Work("train", "again", gate, Path("runs/one")))
    gate.open.set()
    wait_until(lambda: desk.works[0].over)
    desk.add(Work("train", "later", gate, Path("runs/one")))
    desk.close()


def test_a_work_keeps_curves_previews_and_the_time_that_is_left() -> None:
    work = Work("train", "Training x", lambda job: None)
    work.state = "running"
    work.observe(Notice("careful"))
    work.observe(Progress("extracting a", 5, 10))
    assert words.progress(work) == "extracting a · 5 of 10 frames"
    for step in (1, 2, 3, 2):  # a rolled back step replaces the later ones
        work.observe(Step(step, 10, 1e-3, {"cycle": float(step)}, left=4000.0))
    work.observe(Review(2, 0.5, Path("previews/step-000002.png")))
    assert work.curves == {"loss/cycle": [(1, 1.0), (2, 2.0)], "score/total": [(2, 0.5)]}
    assert work.previews == [Path("previews/step-000002.png")]
    assert words.progress(work) == "training · 2 of 10 steps · about 1 h 07 min left"
    assert words.share(work) == 0.2
    assert work.notices == ["careful"]
    assert [words.duration(s) for s in (3, 200, 7200, 200_000)] == ["3 s", "3 min", "2 h", "2 days 7 h"]
