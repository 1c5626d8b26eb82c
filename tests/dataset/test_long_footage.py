"""Thirty hours of footage: drawing a clip and holding the list of frames stay cheap."""

import pickle
import time
import tracemalloc
from pathlib import Path

import numpy as np

from recycle.dataset.clips import DomainClips, Windows
from recycle.dataset.files import Files
from recycle.dataset.shots import Shot

HOURS = 30
FRAMES = HOURS * 3600 * 25


def shots(count: int = 600) -> list[Shot]:
    length = FRAMES // count
    names = np.char.add(np.char.zfill(np.arange(length).astype("S"), 8), b".jpg")
    return [Shot(Files(Path(f"/footage/{i}"), names.copy()), 640, 360) for i in range(count)]


def test_thirty_hours_fit_into_memory_and_are_drawn_at_once() -> None:
    tracemalloc.start()
    domain = DomainClips(shots(), name="a", frames=3, seed=0)
    start = time.process_time()
    drawn = [domain.draw(number)[0] for number in range(500)]
    seconds = time.process_time() - start
    _, most = tracemalloc.get_traced_memory()
    start = time.process_time()
    np.random.default_rng(0).permutation(len(domain.windows))
    permutation = time.process_time() - start
    tracemalloc.stop()
    assert len(domain.windows) == FRAMES - 600 * 2
    assert len(set(drawn)) == 500
    assert most < 200e6, "a Path and a tuple for each frame are 1.5 GB"
    assert seconds < 50 * permutation, "a permutation for each sample is 500"
    assert len(pickle.dumps(domain.shots)) < 60e6  # what each loading process is sent


def test_the_order_is_that_of_a_permutation_of_all_windows_for_each_epoch() -> None:
    lengths = [5, 1, 0, 9, 3]
    domain = DomainClips(
        [Shot(tuple(Path(f"{s}-{i}") for i in range(n)), 4, 4) for s, n in enumerate(lengths)],
        name="b",
        frames=3,
        seed=7,
    )
    windows = [(s, i) for s, n in enumerate(lengths) for i in range(n - 2)]
    assert list(domain.windows) == windows
    for number in (0, 3, len(windows) - 1, len(windows), 5 * len(windows) + 2, 1):  # to and fro between epochs
        epoch, position = divmod(number, len(windows))
        order = np.random.default_rng([7, ord("b"), epoch]).permutation(len(windows))
        assert domain.draw(number)[0] == (*windows[order[position]], 1)


def test_windows_are_equal_where_the_shots_are_as_long() -> None:
    assert Windows([5, 4], 3) == Windows([5, 4], 3)
    assert Windows([5, 4], 3) != Windows([4, 5], 3)


def test_files_are_paths_again_with_any_name() -> None:
    names = ["000001.jpg", "größer 2.png", "3"]
    files = Files.of(Path("/some where"), names)
    assert list(files) == [Path("/some where") / name for name in names]
    assert list(files[1:]) == [Path("/some where") / name for name in names[1:]]
    assert files[-1].name == "3"
    assert files == Files.of(Path("/some where"), names) != files[:2]
