"""The first hour with a GPU: every check runs apart, and its twin runs on a CPU."""

import ctypes
import json
import time
from pathlib import Path

import pytest
import torch

from recycle.domains import DIRECTIONS
from tools.gpu_check import main
from tools.gpu_checking.all import CHECKS
from tools.gpu_checking.apart import run_all
from tools.gpu_checking.check import Check, Figures, Place, Row, Unmet, expect
from tools.gpu_checking.page import write_results

QUICK = ("copies", "fp16 scaler", "generator resnet", "training step", "compiled")


def passes(place: Place) -> Figures:
    (place.folder / "file").touch()
    return {"directions": len(DIRECTIONS)}


def fails(place: Place) -> Figures:
    print("a <line> of the log")
    expect(False, "2 levels are more than 1")
    return {}


def lacks(place: Place) -> Figures:
    raise Unmet("needs a moon")


def crashes(place: Place) -> Figures:
    return {"never": ctypes.string_at(0)}


def hangs(place: Place) -> Figures:
    time.sleep(60)
    return {}


def test_a_check_that_fails_crashes_or_hangs_is_a_row_of_the_report(tmp_path: Path) -> None:
    checks = [
        Check(run.__name__, "correctness", f"it {run.__name__}", run, 1 if run is hangs else 30)
        for run in (crashes, fails, lacks, hangs, passes)
    ]
    said: list[Row] = []
    rows = run_all(checks, "cpu", tmp_path / "work", limit=100, say=said.append)
    assert rows == said
    assert [row.state for row in rows] == ["crashed", "failed", "skipped", "timed out", "passed"]
    assert [row.bad for row in rows] == [True, True, False, True, False]
    assert rows[0].detail == "its process ended with the code -11"
    assert rows[1].detail == "2 levels are more than 1"
    assert "a <line> of the log" in rows[1].log
    assert rows[2].detail == "needs a moon"
    assert rows[4].figures == {"directions": 2}
    late = run_all(checks, "cpu", tmp_path / "late", limit=0, say=said.append)
    assert {row.state for row in late} == {"not run"}
    write_results(tmp_path, rows, "cpu")
    page = (tmp_path / "gpu_check.html").read_text(encoding="utf-8")
    assert "3 of 5 checks did not pass on the CPU" in page
    assert "a &lt;line&gt; of the log" in page
    assert "://" not in page.replace("http://www.w3.org", "")  # it needs no network


def test_twins_run_on_the_cpu_and_what_needs_cuda_is_skipped_by_name(tmp_path: Path) -> None:
    words = [word for name in QUICK for word in ("--only", name)]
    assert main(["--device", "cpu", "--out", str(tmp_path), *words]) == 0
    told = json.loads((tmp_path / "gpu_check.json").read_text(encoding="utf-8"))
    assert told["device"] == "cpu"
    states = {check["name"]: check["state"] for check in told["checks"]}
    assert states == {
        "generator resnet": "passed",
        "copies": "passed",
        "training step": "passed",
        "compiled generators": "passed",
        "fp16 scaler": "skipped",
    }
    assert next(check["detail"] for check in told["checks"] if check["state"] == "skipped") == (
        "the device 'cpu' does not train in fp16"
    )
    assert (tmp_path / "gpu_check.html").exists()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_all_that_is_claimed_of_gpus_holds_on_this_one(tmp_path: Path) -> None:
    words = [word for check in CHECKS if check.group == "correctness" for word in ("--only", check.name)]
    assert main(["--device", "cuda", "--out", str(tmp_path), *words]) == 0


def test_names_are_unique_and_the_limits_fit_into_the_first_minutes() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(0 < check.seconds <= 90 for check in CHECKS)
