"""Reads files of weights, and checks them before and after they are loaded."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recycle.errors import BundleError
from recycle.safe_text import brief

_LONGEST_HEADER = 16 << 20
"""Maximum length of a header in bytes; the largest network that the settings allow needs a hundredth of it."""
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""dtypes by safetensors' names."""


def read_header(file: Path) -> dict[str, Tensor]:
    """Names of the tensors in a .safetensors file, each with a tensor of its shape and dtype on the meta device.

    Reads only the header. Raises BundleError if the header is damaged or does not match the size of the file.
    """
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            length = int.from_bytes(opened.read(8), "little")
            if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            header = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        tensors = {name: _stand_in(entry) for name, entry in header.items()}
        held = sum(tensor.numel() * tensor.itemsize for tensor in tensors.values())
        if held != size - 8 - length:
            raise ValueError(f"expected {held} bytes of weights, found {size - 8 - length}")
    except OSError as error:
        raise BundleError(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, RecursionError) as error:
        raise damaged(file, f"{type(error).__name__}: {brief(str(error), 120)}") from error
    return tensors


def read_state_dict(file: Path, *, expected: str = "a state dict of tensors") -> dict[str, Tensor]:
    """The weights of a feature network from a .safetensors file, or from one of torch.save; no code in it is executed.

    Raises BundleError if it cannot be read or holds anything else; the message names what was `expected`.
    """
    from safetensors.torch import load_file

    problem = f"{file} is damaged or not a weights file; expected {expected}"
    try:
        found = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    except OSError as error:
        raise BundleError(f"cannot read the feature network {file}: {error.strerror or error}") from error
    except Exception as error:  # unpickling raises many types
        raise BundleError(problem) from error
    if not isinstance(found, dict) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise BundleError(problem)
    return found


def damaged(file: Path, reason: str) -> BundleError:
    """The error for a damaged weights file."""
    return BundleError(f"{file} is damaged ({reason}); copy the bundle again or save it again with `recycle train`")


def _stand_in(entry: Any) -> Tensor:
    shape = entry["shape"]
    if not all(type(side) is int and 0 <= side < 2**31 for side in shape) or math.prod(shape) >= 2**48:
        raise ValueError(f"a tensor of shape {brief(shape)}")
    return torch.empty(shape, dtype=_TYPES[entry["dtype"]], device="meta")


def misfit(expected: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> str:
    """The first difference between the weights that a network expects and those in a file; '' if there is none.

    Floating-point types of any precision match each other.
    """
    for name, tensor in expected.items():
        if name not in held:
            return f"'{name}' is missing"
        if held[name].shape != tensor.shape:
            return f"'{name}' has the shape {tuple(held[name].shape)}, not {tuple(tensor.shape)}"
        if held[name].dtype != tensor.dtype and not (held[name].is_floating_point() and tensor.is_floating_point()):
            return f"'{name}' has the type {held[name].dtype}, not {tensor.dtype}"
    extra = sorted(held.keys() - expected.keys())
    return f"{brief(extra[0])} is unexpected" if extra else ""


def check_finite(weights: Mapping[str, Tensor], file: Path) -> None:
    """Raise BundleError, naming the tensor, if weights are not finite."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise BundleError(
                f"{file} holds weights that are not finite, in '{name}', because its training failed; use an earlier "
                "model, such as 'model-best' of its run"
            )
