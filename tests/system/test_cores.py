"""The number of cores follows the limits of a container."""

import os
from pathlib import Path

import pytest
import torch

from recycle.system import cores as module
from recycle.system.cores import cores, granted, limit_threads
from recycle.training import fabric

UNLIMITED = 1 << 20


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, UNLIMITED),
        ({"cpu.max": "nonsense\n"}, UNLIMITED),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, UNLIMITED),
        ({}, UNLIMITED),
    ],
)
def test_the_share_of_a_container_is_read_from_its_control_group(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert granted(tmp_path) == expected


def test_threads_are_limited_only_where_the_container_is(monkeypatch: pytest.MonkeyPatch) -> None:
    usable = len(os.sched_getaffinity(0))
    free: dict[str, str] = {}
    monkeypatch.setattr(module, "granted", lambda: UNLIMITED)
    limit_threads(free)
    assert (cores(), free) == (usable, {})
    monkeypatch.setattr(module, "granted", lambda: 1)
    limited, chosen = dict[str, str](), {"OMP_NUM_THREADS": "3"}
    limit_threads(limited)
    limit_threads(chosen)
    assert cores() == 1
    assert limited == ({"OMP_NUM_THREADS": "1"} if usable > 1 else {})
    assert chosen == {"OMP_NUM_THREADS": "3"}


@pytest.mark.parametrize(("share", "threads"), [(1, 1), (2, 2), (UNLIMITED, 3)])
def test_a_training_from_python_keeps_to_the_container_too(
    share: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fabric, "granted", lambda: share)
    before = torch.get_num_threads()
    torch.set_num_threads(3)  # as many as the machine has cores
    try:
        fabric.make_fabric("cpu", "fp32")
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
