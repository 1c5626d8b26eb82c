"""Lightning Fabric: devices, processes and precision of training.

Translation does not use it, because importing it takes as long as importing torch.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from lightning_fabric.strategies.ddp import DDPStrategy

from recycle.config import Precision
from recycle.errors import ConfigError
from recycle.system.cores import cores, granted
from recycle.system.devices import compute_dtype, find_device
from recycle.system.memory import keep_freed_memory

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

_PRECISIONS: dict[torch.dtype, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    torch.float32: "32-true",
    torch.bfloat16: "bf16-mixed",
    torch.float16: "16-mixed",
}


_LEAST_PROCESSES = 8
"""Number of processes always allowed on a CPU, for trying out multi-device training."""


def make_fabric(
    device: str, precision: Precision, *, devices: int = 1, nodes: int = 1, find_unused: bool = False
) -> Fabric:
    """A Fabric on `devices` devices of one kind on each of `nodes` machines, with float32 parameters.

    `device` is 'auto' (the best one present), 'cpu', 'cuda' or 'mps'; computation is in `precision`, where 'auto' means
    `best_precision` for training. With more than one device, modules become DistributedDataParallel; `find_unused` is
    its find_unused_parameters. Raises ConfigError for an unknown or absent device or precision, or too many devices.
    """
    kind = find_device(device)
    if kind == "cpu":
        keep_freed_memory()
        _limit_threads()
    plugin = _PRECISIONS[compute_dtype(kind, precision, training=True)]
    present = torch.cuda.device_count() if kind == "cuda" else 1
    if kind == "cpu":  # one process per device
        present = max(cores(), _LEAST_PROCESSES)
    if not 1 <= devices <= present:
        raise ConfigError(f"cannot use {devices} devices '{kind}': this machine supports 1 to {present}")
    if devices * nodes == 1:
        return Fabric(accelerator=kind, devices=1, precision=plugin)
    strategy = DDPStrategy(find_unused_parameters=find_unused, gradient_as_bucket_view=True)
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


@contextmanager
def kernels_for(sizes: Literal["fixed", "growing"]) -> Iterator[None]:
    """Let cuDNN try its kernels on the first frames of every size, which pays only if the size stays."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = sizes == "fixed"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def leave_inputs(fabric: Fabric) -> None:
    """Pass inputs unconverted to the modules that `fabric` sets up.

    MixedPrecision rounds all inputs to half precision. Autocast does this only for layers that compute in half
    precision; a generator's skip connection must add frames in float32, in training as in translation.
    """
    precision: Any = fabric.strategy.precision
    if isinstance(precision, MixedPrecision):
        precision.convert_input = _unconverted  # type: ignore[method-assign]


def _unconverted(data: Any) -> Any:
    return data


def _limit_threads() -> None:
    """Use no more threads than the container grants; programs may import torch before recycle can tell OpenMP."""
    if torch.get_num_threads() > granted():
        torch.set_num_threads(granted())
