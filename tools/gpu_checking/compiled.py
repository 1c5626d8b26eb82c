"""Figures of faster ways to run a generator, which recycle does not use: a CUDA graph, and `torch.compile`."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from recycle.system.devices import compute_dtype, memory_format
from tools.benchmarking.ceiling import seconds, wait_for
from tools.gpu_checking.check import Check, Figures, Place
from tools.gpu_checking.networks import bundle_of

_BATCH = 8
Network = Callable[[Tensor], Tensor]


def _ways(place: Place) -> Figures:
    """For each kind: milliseconds of a batch as recycle runs it, and what each other way saves and costs."""
    figures: dict[str, float] = {}
    for kind in ("resnet", "unet"):
        bundle = bundle_of(place, kind)
        dtype = compute_dtype(place.device, "auto", training=False)
        generator = bundle.generator(bundle.config.directions[0]).for_inference(place.torch, dtype)
        size = (256, 448) if place.gpu else (32, 48)
        frames = torch.rand(_BATCH, 3, *size, device=place.torch).contiguous(memory_format=memory_format(place.torch))
        with torch.inference_mode():
            usual = _milliseconds(generator, frames, place)
            figures[f"{kind}, as it is: ms for {_BATCH} frames"] = round(usual, 3)
            for name, prepare in {"CUDA graph": _graph, "torch.compile": _compiled}.items():
                if prepare is _graph and place.device != "cuda":
                    continue
                start = time.perf_counter()
                ready = prepare(generator, frames)
                ready(frames)
                wait_for(place.torch)
                spent, took = time.perf_counter() - start, _milliseconds(ready, frames, place)
                figures[f"{kind}, {name}: ms for {_BATCH} frames"] = round(took, 3)
                figures[f"{kind}, {name}: seconds to prepare"] = round(spent, 1)
                if took < usual:
                    figures[f"{kind}, {name}: frames until it pays"] = round(_BATCH * spent * 1000 / (usual - took))
    return figures


def _graph(network: Network, frames: Tensor) -> Network:
    """The operations for frames of this shape, recorded once.

    Source: PyTorch documentation, "CUDA semantics", CUDA graphs.
    """
    held, stream = frames.clone(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            network(held)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = network(held)

    def replay(given: Tensor) -> Tensor:
        held.copy_(given)
        graph.replay()
        return result.clone()

    return replay


def _compiled(network: Network, frames: Tensor) -> Network:
    """On a CPU without code generation, which would need a compiler."""
    ready: Network = torch.compile(network, backend="inductor" if frames.device.type == "cuda" else "eager")
    return ready


def _milliseconds(network: Network, frames: Tensor, place: Place) -> float:
    """The mean of many calls, after one that warms up."""
    seconds(lambda: network(frames), place.torch, least=0)
    return 1000 * seconds(lambda: network(frames), place.torch, least=0.5 if place.gpu else 0.05)


COMPILED = (
    Check(
        "compiled generators",
        "figures",
        "a CUDA graph and torch.compile beside the usual way, and after how many frames each pays",
        _ways,
        75,
    ),
)
