"""Events reach the observer one at a time and in order; a job can be cancelled from any thread."""

import subprocess
import sys
import threading
import time
from dataclasses import FrozenInstanceError, asdict

import pytest

from recycle.errors import Interrupted
from recycle.events import Event, FileState, Job, Notice, Progress, Step


def test_events_arrive_in_order_and_are_values() -> None:
    seen: list[Event] = []
    job = Job(seen.append)
    count = job.counting("drawing", total=3, unit="scenes")
    count(1)
    job.say("hello")
    count(2, 5, "slow")
    count.add(4)
    count.finish()
    assert seen == [
        Progress("drawing", 0, 3, "scenes"),
        Progress("drawing", 1, 3, "scenes"),
        Notice("hello"),
        Progress("drawing", 2, 5, "scenes", "slow"),
        Progress("drawing", 6, 6, "scenes"),
        Progress("drawing", 6, 6, "scenes"),
    ]
    assert asdict(Step(1, 2, 0.1, {"cycle": 0.5}))["losses"] == {"cycle": 0.5}
    with pytest.raises(FrozenInstanceError):
        seen[0].done = 7  # type: ignore[misc,union-attr]


def test_events_of_many_threads_arrive_one_at_a_time_in_order() -> None:
    inside, most, seen = 0, 0, list[Event]()

    def observe(event: Event) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.0005)  # lets another thread in, were there no lock
        seen.append(event)
        inside -= 1

    job = Job(observe)

    def work(name: str, part: Job) -> None:
        for number in range(25):
            part.emit(FileState(name, "running", done=number))

    threads = [
        threading.Thread(target=work, args=(str(n), job if n % 2 else job.observed_by(job.emit))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    for n in range(6):
        assert [e.done for e in seen if isinstance(e, FileState) and e.name == str(n)] == list(range(25))


def test_an_observer_may_emit_and_cancel() -> None:
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        if isinstance(event, Progress):
            job.say("stopping")
            job.cancel()

    job = Job(observe)
    with pytest.raises(Interrupted, match="run the same command again to continue"):
        job.counting("x")(1)
    assert len(seen) == 4


def test_cancel_from_another_thread_stops_the_work_and_its_parts() -> None:
    counted: list[Event] = []
    job = Job()
    part, other = job.observed_by(counted.append), Job()
    outcome: list[BaseException] = []

    def work() -> None:
        count = part.counting("endless")
        try:
            for number in range(10**9):
                count(number)
        except Interrupted as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while len(counted) < 10:
        time.sleep(0.001)
    assert not job.stopping
    job.check()
    job.cancel()
    thread.join(30)
    assert not thread.is_alive()
    assert len(outcome) == 1
    assert job.stopping
    assert part.stopping
    assert not other.stopping
    part = Job().observed_by(print)
    part.cancel()
    assert part.stopping


def test_notices_are_collected_and_prefixed() -> None:
    seen: list[Event] = []
    kept: list[str] = []
    job = Job(seen.append).about("clip.mp4").keeping(kept)
    job.say("it is interlaced")
    job.emit(Progress("x", 1))
    assert kept == ["it is interlaced"]
    assert seen == [Notice("clip.mp4: it is interlaced"), Progress("x", 1)]


def test_events_import_no_heavy_package() -> None:
    code = "import sys, recycle.events; print(sorted({'torch', 'pydantic', 'rich', 'numpy', 'cv2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
