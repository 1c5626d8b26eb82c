"""Lightning Fabric: the devices, the processes and the precision of training.

Translation does without: importing it takes as long as importing torch.
"""

import ctypes
import logging
import sys
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from lightning_fabric.strategies.ddp import DDPStrategy

from recycle.config import Precision
from recycle.errors import ConfigError
from recycle.system.cores import cores
from recycle.system.devices import compute_dtype, find_device

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

_PRECISIONS: dict[torch.dtype, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    torch.float32: "32-true",
    torch.bfloat16: "bf16-mixed",
    torch.float16: "16-mixed",
}


_LEAST_PROCESSES = 8
"""Processes that a CPU may always have, to try out what runs on many devices."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""


def make_fabric(
    device: str, precision: Precision, *, devices: int = 1, nodes: int = 1, find_unused: bool = False
) -> Fabric:
    """A Fabric on `devices` devices of one kind on each of `nodes` machines; parameters stay float32, computing is in
    `precision`.

    `device` is 'auto' (the best that is present), 'cpu', 'cuda' or 'mps'; 'auto' precision is
    `best_precision`. Where there is more than one, modules become DistributedDataParallel, with `find_unused` as its
    find_unused_parameters. Raises ConfigError for a device or precision that is unknown or absent.
    """
    kind = find_device(device)
    if kind == "cpu":
        _keep_freed_memory()
    plugin = _PRECISIONS[compute_dtype(kind, precision)]
    present = torch.cuda.device_count() if kind == "cuda" else 1
    if kind == "cpu":  # a process each
        present = max(cores(), _LEAST_PROCESSES)
    if not 1 <= devices <= present:
        raise ConfigError(f"cannot use {devices} devices '{kind}': this machine has room for {present}")
    if devices * nodes == 1:
        return Fabric(accelerator=kind, devices=1, precision=plugin)
    strategy = DDPStrategy(find_unused_parameters=find_unused)
    try:
        return Fabric(
            accelerator=kind,
            strategy=strategy,
            devices=devices,
            num_nodes=nodes,
            precision=plugin,
        )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"cannot use {nodes} nodes with {devices} devices '{kind}' each: {error}") from error


def leave_inputs(fabric: Fabric) -> None:
    """Have the modules that `fabric` sets up take their inputs as they are, in any precision.

    MixedPrecision rounds all inputs to half precision. Autocast does so where a layer computes in it; a generator's
    skip is to add frames in float32, in training as in translation.
    """
    precision: Any = fabric.strategy.precision
    if isinstance(precision, MixedPrecision):
        precision.convert_input = _as_it_is  # type: ignore[method-assign]


def _as_it_is(data: Any) -> Any:
    return data


def _keep_freed_memory() -> None:
    """Have the allocator of Linux give freed memory to the next tensors.

    By default it gives the largest back to the system, which clears hundreds of megabytes anew in every step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # glibc's, not that of other C libraries
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
        mallopt(_MMAP_THRESHOLD, 1 << 30)
