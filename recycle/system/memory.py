"""Memory of a device: free memory, peak usage, and releasing unused memory."""

import ctypes
import gc
import sys
from pathlib import Path

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""


def keep_freed_memory() -> None:
    """Let glibc's allocator reuse the memory of freed tensors for the next ones, for the life of the process.

    By default it returns large blocks to the system, which then clears hundreds of megabytes in every step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # other C libraries have none
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
        mallopt(_MMAP_THRESHOLD, 1 << 30)


def release(device: torch.device) -> None:
    """Return cached memory that no tensor uses to the system."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def free_memory(device: torch.device) -> int | None:
    """Bytes of memory that can still be allocated on a device; None if the system does not report it.

    On a CPU this is the smaller of the machine's available memory and what the container's limit leaves.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        if device.type == "mps":
            return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        return min(_kilobytes("/proc/meminfo", "MemAvailable"), _allowed())
    except (OSError, KeyError, ValueError):
        return None


def peak_memory(device: torch.device) -> int | None:
    """Peak memory usage in bytes: of tensors on a GPU, else of this process. None if the system does not report it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        return _kilobytes("/proc/self/status", "VmHWM")
    except (OSError, KeyError, ValueError):
        return None


def in_gib(size: int) -> str:
    """A number of bytes as text, in GiB or MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**29 else f"{size / 2**20:.0f} MiB"


def _kilobytes(file: str, name: str) -> int:
    """The value, in bytes, of a line "name: number kB" of a file. Raises OSError, KeyError or ValueError if it is
    missing."""
    facts = dict(line.split(":", 1) for line in Path(file).read_text().splitlines())
    return int(facts[name].split()[0]) * 1024


def _allowed(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that the memory limit of the container leaves to this process; a very large number without a limit.

    Source: Linux kernel documentation, "Control Group v2" and, for version 1, "Memory Resource Controller".
    """
    current, cache, most = "memory.current", "inactive_file", "memory.max"
    if not (group / current).is_file():  # version 1
        group = group / "memory"
        current, cache, most = "memory.usage_in_bytes", "total_inactive_file", "memory.limit_in_bytes"
    try:
        used = int((group / current).read_text())
        facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        cached = int(facts.get(cache, 0))  # file cache: the kernel reclaims it when memory is short
        return max(0, int((group / most).read_text()) - used + cached)
    except (OSError, ValueError):  # no limit, which the file states as 'max'
        return 1 << 62
