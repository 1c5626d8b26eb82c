"""The device and the precision that networks run with, through Lightning Fabric."""

import logging
import os
from typing import Literal, get_args

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from recycle.config import Precision
from recycle.errors import ConfigError

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

Device = Literal["cpu", "cuda", "mps"]

_FABRIC_PRECISION: dict[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


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
    if precision == "auto":
        precision = best_precision(kind)
    if precision not in _FABRIC_PRECISION:
        known = ", ".join(get_args(Precision))
        raise ConfigError(f"unknown precision '{precision}'; choose one of {known}")
    if precision == "fp16" and kind == "cpu":
        raise ConfigError("precision 'fp16' does not run on the device 'cpu'; choose bf16, fp32 or auto")
    present = torch.cuda.device_count() if kind == "cuda" else 1
    if kind != "cpu" and not 1 <= devices <= present:
        raise ConfigError(f"cannot use {devices} devices '{kind}': this machine has {present}")
    if devices * nodes == 1:
        return Fabric(accelerator=kind, devices=1, precision=_FABRIC_PRECISION[precision])
    strategy = DDPStrategy(find_unused_parameters=find_unused)
    try:
        return Fabric(
            accelerator=kind,
            strategy=strategy,
            devices=devices,
            num_nodes=nodes,
            precision=_FABRIC_PRECISION[precision],
        )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"cannot use {nodes} nodes with {devices} devices '{kind}' each: {error}") from error


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_device(device: str) -> Device:
    """The kind of device that `device` means; 'auto' prefers cuda, then mps. Raises as make_fabric."""
    present: dict[str, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device != "auto" and not present.get(device, False):
        reason = f"this machine has no '{device}' device" if device in present else f"unknown device '{device}'"
        raise ConfigError(f"{reason}; choose one of auto, {', '.join(k for k, here in present.items() if here)}")
    if device == "cpu":
        return "cpu"
    return "cuda" if present["cuda"] and device != "mps" else "mps" if present["mps"] else "cpu"


def best_precision(device: str) -> Literal["fp32", "bf16"]:
    """'bf16' where `device` has instructions for it, else 'fp32'.

    These are GPUs from Ampere on, and CPUs with AVX512-BF16 or AMX.
    """
    kind = find_device(device)
    if kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif kind == "cpu":
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        fast = False
    return "bf16" if fast else "fp32"
