"""Selects the device and the precision in which networks run."""

from typing import Literal, get_args

import torch

from recycle.config import Precision, TranslatePrecision
from recycle.errors import ConfigError

Device = Literal["cpu", "cuda", "mps"]
Half = Literal["fp32", "fp16", "bf16"]
"""A precision that has a dtype in which networks compute."""
Used = Half | Literal["int8"]
"""A precision that is in use: every one but 'auto'."""

_DTYPES: dict[Half, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

_FP16_FROM = (7, 0)
"""Least compute capability with fast float16: Volta has the first matrix units. Pascal's float16 is slower than float32
(NVIDIA, "CUDA C++ Programming Guide", throughput of native arithmetic instructions)."""
_WRONG_FP16 = "GTX 16"
"""GPUs whose float16 convolutions return NaN (github.com/pytorch/pytorch/issues/58123)."""


def compute_dtype(device: Device, precision: TranslatePrecision, *, training: bool) -> torch.dtype:
    """The dtype in which networks compute on `device`: float32, bfloat16 or float16; 'auto' means `best_precision`.

    With 'int8', the dtype is that of everything but the generators.

    Raises ConfigError for an unknown precision, or for one in which the device cannot compute.
    """
    if precision == "int8" and not training:
        if device != "cpu":
            raise ConfigError(f"precision 'int8' runs on the device 'cpu' only, not on '{device}'; choose auto")
        precision = "auto"
    if precision == "auto":
        precision = best_precision(device, training=training)
    if precision not in _DTYPES:
        raise ConfigError(f"unknown precision '{precision}'; choose one of {', '.join(get_args(Precision))}")
    if precision == "fp16" and device == "cpu":
        raise ConfigError("precision 'fp16' does not run on the device 'cpu'; choose bf16, fp32 or auto")
    if precision == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        major, minor = torch.cuda.get_device_capability()
        raise ConfigError(
            f"precision 'bf16' is only emulated on {torch.cuda.get_device_name()} (compute capability {major}.{minor}, "
            "8.0 is needed), which is slower than fp32; choose fp16, fp32 or auto"
        )
    return _DTYPES[precision]


def precision_of(dtype: torch.dtype) -> Half:
    """The name of the precision with this dtype."""
    return next(name for name, each in _DTYPES.items() if each == dtype)


def used_precision(wished: TranslatePrecision, dtype: torch.dtype) -> Used:
    """The precision of generators that translate, where `dtype` is the `compute_dtype` of the wished precision."""
    return "int8" if wished == "int8" else precision_of(dtype)


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


def memory_format(device: torch.device) -> torch.memory_format:
    """The layout of networks and frames: channels last, but contiguous on Apple GPUs.

    There the backward pass of batch normalisation is wrong for channels last (github.com/pytorch/pytorch/issues/175189)
    and that of convolutions slow (issue 193349).
    """
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def best_precision(device: str, *, training: bool) -> Half:
    """The fastest precision that `device` computes soundly.

    'bf16' if it has instructions for it: GPUs from Ampere on, CPUs with AVX512-BF16 or AMX. On older GPUs with fast
    float16, 'fp16' for translation, but 'fp32' for training, where float16 can overflow. Otherwise 'fp32'. Raises
    ConfigError as `find_device` does.
    """
    kind = find_device(device)
    if kind == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16"
        fast = torch.cuda.get_device_capability() >= _FP16_FROM and _WRONG_FP16 not in torch.cuda.get_device_name()
        return "fp16" if fast and not training else "fp32"
    if kind == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "bf16"
    return "fp32"
