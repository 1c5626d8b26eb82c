"""Finds out why torch does not use an NVIDIA GPU that is present, from the files of the kernel's driver."""

import os
import re
from pathlib import Path

import torch

from recycle.events import Job

DRIVER = Path("/proc/driver/nvidia")
"""Where the kernel's driver describes itself and its GPUs."""
DEVICE = Path("/dev/nvidiactl")
"""The device through which programs reach the driver; a container has it only if it was given the GPU."""
OLDEST = {12: 525, 13: 580}
"""First version of the Linux driver that runs programs built for a major version of CUDA (NVIDIA, "CUDA Compatibility",
minor version compatibility)."""
OLDER = "constraints-cuda12.txt"
"""Pinned versions with the last torch that is built for CUDA 12."""

_told: list[str] = []


def unused_gpu(driver: Path = DRIVER, device: Path = DEVICE) -> str | None:
    """Why torch cannot use the NVIDIA GPU of this machine, with the remedy, in one line.

    None if there is no such GPU, if torch can use it, or if CUDA_VISIBLE_DEVICES hides it on purpose.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.cuda.is_available() or hidden in ("", "-1", "NoDevFiles") or not _lists_a_gpu(driver):
        return None
    found = "an NVIDIA GPU is present, but torch cannot use it, so this runs on the CPU"
    if torch.version.cuda is None:
        return f"{found}: torch {torch.__version__} is a build for CPUs; install torch from PyPI"
    if not device.exists():
        return f"{found}: this process cannot reach the driver; start the container with access, as in --gpus all"
    built, version = int(torch.version.cuda.partition(".")[0]), _version(driver)
    needed = OLDEST.get(built, 0)
    if version and int(version.partition(".")[0]) < needed:
        older = f", or install with the versions of {OLDER}" if built > min(OLDEST) else ""
        return (
            f"{found}: torch {torch.__version__} is built for CUDA {torch.version.cuda}, which needs driver {needed}, "
            f"and this is driver {version}; update the driver{older}"
        )
    return f"{found} (driver {version or 'of unknown version'}, CUDA {torch.version.cuda}); see what nvidia-smi says"


def tell_unused_gpu(device: str, job: Job) -> None:
    """If `device` is 'auto', say once in this process why a GPU that is present is not used."""
    if device == "auto" and not _told and (why := unused_gpu()) is not None:
        _told.append(why)
        job.say(why)


def _lists_a_gpu(driver: Path) -> bool:
    try:
        return any((driver / "gpus").iterdir())
    except OSError:
        return False


def _version(driver: Path) -> str | None:
    try:
        text = (driver / "version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", text, re.MULTILINE)
    return found[1] if found else None
