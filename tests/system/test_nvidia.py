"""A GPU that is present but not used is explained, from the files of a driver as NVIDIA writes them."""

import re
from itertools import islice
from pathlib import Path

import pytest
import torch

from recycle import doctor
from recycle.events import Event, Job, Notice
from recycle.system import nvidia
from recycle.system.nvidia import OLDER, tell_unused_gpu, unused_gpu

CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Sat Oct  7 02:01:37 UTC 2023\nGCC version:  gcc 12.2.0\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (root@host)\n"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a driver with one GPU; torch finds none."""
    (tmp_path / "nvidia" / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "nvidia"


def why(driver: Path) -> str | None:
    return unused_gpu(driver, driver.with_name("nvidiactl"))


@pytest.mark.parametrize("text", [CLOSED, OPEN])
@pytest.mark.parametrize(
    ("built", "version", "old"),
    [
        ("13.2", "535.104.05", True),
        ("13.0", "575.57.08", True),
        ("13.0", "580.65.06", False),
        ("12.8", "535.104.05", False),
        ("12.8", "470.82", True),
    ],
)
def test_a_driver_too_old_for_torch_is_named_with_the_remedy(
    driver: Path, monkeypatch: pytest.MonkeyPatch, text: str, built: str, version: str, old: bool
) -> None:
    monkeypatch.setattr(torch.version, "cuda", built)
    (driver / "version").write_text(text.format(version))
    said = why(driver) or ""
    assert version in said
    assert "\n" not in said
    assert ("update the driver" in said) == old
    assert (OLDER in said) == (old and built.startswith("13"))


def test_a_build_without_cuda_and_a_container_without_the_gpu_are_told_apart(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (driver / "version").write_text(CLOSED.format("580.65.06"))
    assert "see what nvidia-smi says" in (why(driver) or "")
    driver.with_name("nvidiactl").unlink()
    assert "--gpus all" in (why(driver) or "")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "is a build for CPUs; install torch from PyPI" in (why(driver) or "")


def test_nothing_is_said_without_a_gpu_with_a_usable_one_or_if_it_is_hidden(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert why(driver) is not None  # whatever the version file is like
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert why(driver) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert why(driver) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    next((driver / "gpus").iterdir()).rmdir()
    assert why(driver) is None
    assert unused_gpu(driver / "absent") is None


def test_it_is_said_once_and_only_for_auto(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    monkeypatch.setattr(nvidia, "_told", [])
    monkeypatch.setattr(nvidia, "unused_gpu", lambda: "an NVIDIA GPU is present, but …")
    for device in ("cpu", "auto", "auto"):
        tell_unused_gpu(device, Job(events.append))
    assert events == [Notice("an NVIDIA GPU is present, but …")]


def test_doctor_says_it_beside_what_auto_chooses(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (driver / "version").write_text(CLOSED.format("535.104.05"))
    monkeypatch.setattr(doctor, "unused_gpu", lambda: why(driver))
    lines = dict(islice(doctor.examine(), len(doctor._PACKAGES) + 6))  # those before the encoders
    assert lines["GPU"] == why(driver)
    assert re.fullmatch(r"\w+; trains in \w+, translates in \w+ \(what 'auto' chooses\)", lines["device"])


def test_the_versions_for_older_drivers_differ_in_torch_alone() -> None:
    new, old = ((ROOT / name).read_text().splitlines() for name in ("constraints.txt", OLDER))
    assert {line.partition("==")[0] for line in {*new} ^ {*old}} == {"torch", "torchvision"}
    assert [line.partition("==")[0] for line in new] == [line.partition("==")[0] for line in old]
