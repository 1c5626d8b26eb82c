"""Memory of a device: what is free, what was taken at most, and giving it back."""

import gc
from pathlib import Path

import torch


def release(device: torch.device) -> None:
    """Give back what no tensor holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be had on a device; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        if device.type == "mps":
            return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        return min(_told("/proc/meminfo", "MemAvailable"), _allowed())
    except (OSError, KeyError, ValueError):
        return None


def peak_memory(device: torch.device) -> int | None:
    """Bytes of the most that was held at once so far: by tensors on a GPU, else by this process; None where the system
    does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        return _told("/proc/self/status", "VmHWM")
    except (OSError, KeyError, ValueError):
        return None


def _told(file: str, name: str) -> int:
    """Bytes, of a file of lines "name: number kB". Raises OSError, KeyError or ValueError where it does not tell."""
    facts = dict(line.split(":", 1) for line in Path(file).read_text().splitlines())
    return int(facts[name].split()[0]) * 1024


def _allowed(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that the limit of a container, if there is one, leaves to this process."""
    try:
        used = int((group / "memory.current").read_text())
        facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        cached = int(facts.get("inactive_file", 0))  # files that were read: given up when memory is wanted
        return max(0, int((group / "memory.max").read_text()) - used + cached)
    except (OSError, ValueError):  # no such limit: 'max'
        return 1 << 62
