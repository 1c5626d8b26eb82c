"""Loss curves are read back as they were logged, across interruptions too."""

import math
import time
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from recycle.evaluation.curves import MAX_POINTS, read_scalars


def log(folder: Path, tag: str, points: dict[int, float], purge_step: int | None = None) -> None:
    writer = SummaryWriter(str(folder), purge_step=purge_step)
    for step, value in points.items():
        writer.add_scalar(tag, value, step)
    writer.close()


def test_curves_come_back(tmp_path: Path) -> None:
    log(tmp_path, "generators/recycle_ab", {10: 0.5, 20: 0.25})
    assert read_scalars(tmp_path) == {"generators/recycle_ab": [(10, 0.5), (20, 0.25)]}


@pytest.mark.parametrize("purge_step", [None, 60])
def test_resumed_run_replaces_the_steps_it_repeats(tmp_path: Path, purge_step: int | None) -> None:
    log(tmp_path, "loss", dict.fromkeys(range(0, 100, 10), 1.0))
    time.sleep(1.01)  # the names of event files, and with them their order, have a resolution of a second
    log(tmp_path, "loss", dict.fromkeys(range(60, 80, 10), 2.0), purge_step)
    curve = read_scalars(tmp_path)["loss"]
    assert curve == [(step, 1.0 if step < 60 else 2.0) for step in range(0, 80, 10)]


def test_long_curves_are_thinned_and_keep_both_ends(tmp_path: Path) -> None:
    log(tmp_path, "loss", {step: float(step) for step in range(3001)})
    curve = read_scalars(tmp_path)["loss"]
    assert len(curve) == MAX_POINTS
    assert curve[0] == (0, 0.0)
    assert curve[-1] == (3000, 3000.0)
    steps = [step for step, _ in curve]
    assert steps == sorted(set(steps))
    assert all(step == value for step, value in curve)


def test_values_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    log(tmp_path, "loss", {0: 1.0, 1: math.nan, 2: math.inf, 3: 2.0})
    assert read_scalars(tmp_path) == {"loss": [(0, 1.0), (3, 2.0)]}


def test_no_log_gives_no_curves(tmp_path: Path) -> None:
    assert read_scalars(tmp_path) == {}
    assert read_scalars(tmp_path / "absent") == {}
