"""Selects the device and the precision in which networks run."""

from typing import Literal, get_args

import torch

from recycle.config import Precision
from recycle.errors import ConfigError

Device = Literal["cpu", "cuda", "mps"]

_TOO_LARGE = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "ALLOC_FAILED",
    "bad allocation",
    "bad_alloc",
    "could not create a memory",
    "could not create a primitive",
    "unable to find an engine",  # cuDNN, if no workspace could be allocated for a convolution
    "32-bit index math",  # CUDA padding of tensors with 2^31 or more elements
)

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def compute_dtype(device: Device, precision: Precision) -> torch.dtype:
    """The dtype in which networks compute on `device`: float32, bfloat16 or float16; 'auto' means `best_precision`.

    Raises ConfigError for an unknown precision, or for one in which the device cannot compute.
    """
    if precision == "auto":
        precision = best_precision(device)
    if precision not in _DTYPES:
        raise ConfigError(f"unknown precision '{precision}'; choose one of {', '.join(get_args(Precision))}")
    if precision == "fp16" and device == "cpu":
        raise ConfigError("precision 'fp16' does not run on the device 'cpu'; choose bf16, fp32 or auto")
    return _DTYPES[precision]


def find_device(device: str) -> Device:
    """The kind of device that `device` names; 'auto' prefers cuda, then mps, then cpu.

    Raises ConfigError for an unknown device, or for one that this machine does not have.
    """
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
    """'bf16' if `device` has instructions for it, else 'fp32'.

    GPUs from Ampere on and CPUs with AVX512-BF16 or AMX have them. Raises ConfigError as `find_device` does.
    """
    kind = find_device(device)
    if kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif kind == "cpu":
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        fast = False
    return "bf16" if fast else "fp32"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` reports that a GPU, PyTorch's CPU allocator or Python ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _TOO_LARGE)
