"""Copies the next batch to the device while the present one is used."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def copied_ahead(batches: Iterable[tuple[Tensor, Tensor]], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches on `device`, in order; while one is used, the next is copied there on a stream of its own.

    The clips should lie in pinned memory.
    """
    kind = torch.get_device_module(device)
    own = kind.Stream()
    ready: tuple[Tensor, Tensor] | None = None
    for a, b in batches:
        own.wait_stream(kind.current_stream())  # work in progress may still read memory that the copy will take
        with kind.stream(own):
            copied = a.to(device, non_blocking=True), b.to(device, non_blocking=True)
        if ready is not None:
            yield ready
        kind.current_stream().wait_stream(own)
        ready = copied
    if ready is not None:
        yield ready
