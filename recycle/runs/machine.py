"""Describes the device for which a training is planned: its memory and its speed."""

from dataclasses import dataclass
from typing import Literal

import torch

from recycle.plural import counted
from recycle.system.cores import cores
from recycle.system.devices import compute_dtype, find_device
from recycle.system.memory import free_memory, in_gib

CONTEXT = 0.6
"""GiB of a GPU's memory that its driver and libraries need."""
CORE_SPEED = (1.0e11, 2.0e11)
"""Floating-point operations per second of a CPU core in training: in float32, and with bfloat16 instructions. Measured:
0.42 s for a step of 112 pixels and width 32 on one core of an AMD EPYC."""
GPU_SPEED = ((6, 1e12), (12, 5e12), (30, 2e13), (1e9, 6e13))
"""Pairs for GPUs: maximum memory in GiB, operations per second. These are low estimates. Training ends by the clock, so
a faster GPU does more steps."""


@dataclass(frozen=True)
class Machine:
    """One device to train on."""

    kind: Literal["cpu", "gpu"]
    memory: int
    """Free memory in bytes."""
    cores: int = 1
    """Number of cores of a CPU that training uses."""
    half: bool = False
    """Whether it computes in 16 bits."""

    @property
    def speed(self) -> float:
        """Estimated floating-point operations per second in training."""
        if self.kind == "cpu":
            return self.cores * CORE_SPEED[self.half]
        return next(speed for most, speed in GPU_SPEED if self.memory <= most * 2**30)

    @property
    def dtype(self) -> torch.dtype:
        """Data type in which networks compute."""
        return torch.bfloat16 if self.half else torch.float32

    def __str__(self) -> str:
        what = f"a CPU with {counted(self.cores, 'core')}" if self.kind == "cpu" else "a GPU"
        return f"{what} ({in_gib(self.memory)} of free memory, {'16-bit' if self.half else '32-bit'} arithmetic)"


def this_machine(device: str = "auto", precision: str = "auto") -> Machine:
    """The device that training will use. Raises ConfigError for an unknown or unavailable device or precision."""
    kind = find_device(device)
    half = compute_dtype(kind, precision, training=True) != torch.float32  # type: ignore[arg-type]
    free = free_memory(torch.device(kind))
    free = 8 << 30 if free is None else free
    used = min(cores(), torch.get_num_threads())  # fewer than there are if OMP_NUM_THREADS says so
    return Machine("cpu", free, used, half) if kind == "cpu" else Machine("gpu", free, half=half)


def gpu_of(memory: float) -> Machine:
    """A GPU with `memory` GiB. Below 12 GiB, it is assumed to be an old one that does not compute 16 bits fast."""
    return Machine("gpu", round((memory - CONTEXT) * 2**30), half=memory >= 12)
