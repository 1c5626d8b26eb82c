"""Frames computed at the same time come out in order, and nothing else of the process changes."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from recycle.rendering.overlap import HELD_BYTES
from recycle.translation import lanes as module
from recycle.translation.lanes import Lanes

CPU = torch.device("cpu")


def test_results_come_in_order_whatever_takes_long() -> None:
    def work(group: list[int]) -> int:
        (number,) = group
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    assert list(Lanes(CPU).through(work, range(20), limit=5)) == [n * n for n in range(20)]


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("limit", [3, 5])
def test_as_many_at_a_time_as_there_are_threads_each_with_one(limit: int) -> None:
    together = threading.Barrier(3, timeout=10)

    def work(group: list[int]) -> int:
        together.wait()  # passes only if so many run at the same time
        return torch.get_num_threads()

    assert list(Lanes(CPU).through(work, range(6), limit=limit)) == [1] * 6


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(
    ("free", "limit"),
    [(None, 8), (600, 8), (599, 2), (399, 1), (0, 1)],
    ids=["unknown", "enough", "two", "one", "none"],
)
def test_no_more_frames_at_a_time_than_half_of_the_memory_holds(
    free: int | None, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda device: free)
    assert Lanes(CPU).limit(100) == limit


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(("frame", "limit"), [(1, 8), (HELD_BYTES // 5, 5), (HELD_BYTES // 2, 3), (HELD_BYTES, 3)])
def test_large_frames_wait_fewer_at_a_time(frame: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_memory", lambda device: None)
    assert Lanes(CPU).limit(100, frame) == limit


def test_all_of_many_threads_are_used() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(12)
    try:
        assert Lanes(CPU).limit(100) == 12
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_a_single_frame_has_all_threads() -> None:
    assert list(Lanes(CPU).through(lambda group: torch.get_num_threads(), range(2), limit=1)) == [3, 3]


@pytest.mark.usefixtures("three_threads")
def test_other_threads_keep_their_cores() -> None:
    list(Lanes(CPU).through(lambda group: torch.ones(2000).sum(), range(4), limit=2))
    found: list[int] = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert (torch.get_num_threads(), found) == (3, [3])


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_no_more_is_taken_than_the_limit(limit: int) -> None:
    taken = 0

    def counted() -> Iterator[int]:
        nonlocal taken
        for number in range(10):
            taken += 1
            yield number

    results = Lanes(CPU).through(lambda group: group[0], counted(), limit=limit)
    for number in range(10):
        assert next(results) == number
        assert taken <= number + limit


def test_an_error_comes_in_its_turn() -> None:
    def work(group: list[int]) -> int:
        if group[0] == 2:
            raise ValueError("the third")
        return group[0]

    results = Lanes(CPU).through(work, range(5), limit=4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)


def test_arrays_go_to_the_device_and_back() -> None:
    lanes = Lanes(CPU)
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(lanes.download(lanes.upload(pixels) + 1)(), pixels + 1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_takes_batches_and_gives_the_same() -> None:
    lanes = Lanes(torch.device("cuda"))
    sizes: list[int] = []

    def work(group: list[np.ndarray]) -> object:
        sizes.append(len(group))
        return lanes.download(lanes.upload(np.stack(group)) * 2)

    frames = [np.full((64, 64), number, np.uint8) for number in range(10)]
    done = [frame for ready in lanes.through(work, frames, limit=4) for frame in ready()]  # type: ignore[operator]
    assert sizes == [4, 4, 2]
    assert all(np.array_equal(frame, 2 * frames[number]) for number, frame in enumerate(done))
