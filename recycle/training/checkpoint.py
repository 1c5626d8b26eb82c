"""Checkpoints: everything that a run needs to continue exactly, in one file that appears atomically."""

import pickle
from pathlib import Path
from typing import Any

import torch

from recycle.atomic import atomic_path
from recycle.errors import BundleError

FORMAT = 3
"""`format` of a checkpoint that this version can continue; greater whenever an older one no longer can."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dicts) to `path`, atomically."""
    with atomic_path(path) as temporary:
        torch.save({**state, "format": FORMAT}, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load what save_checkpoint wrote, to the CPU, without running code from the file.

    Raises BundleError if the file is damaged: a run never starts over silently.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "it ends early"
        raise BundleError(
            f"cannot read the checkpoint {path} ({reason}); restore it from a copy, or move it away to start over"
        ) from error
    return state
