"""A step waits for its device once: reading a number from a device waits until all work before it is done."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from recycle.config import Pipeline, parse_pipeline
from recycle.training.fabric import kernels_for, make_fabric
from recycle.training.loop import take_step
from recycle.training.prefetch import copied_ahead
from recycle.training.run import Run
from tools.benchmarking.train import published_pipeline

READING = {"tolist", "numpy", "cpu", "nonzero", "item", "__bool__", "__float__", "__int__", "__index__"}
"""Methods of tensors that wait for the device."""
DRAWN = torch.int64
"""Numbers of this type are drawn on the CPU, by the frame pools."""


class Reads(TorchFunctionMode):
    """Counts what the code reads from tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = (resolve_name(func) or "").rpartition(".")[2]
        if name in READING and args[0].dtype != DRAWN:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


class InnerReads(TorchDispatchMode):
    """Counts what PyTorch itself reads from tensors, beneath the code's own calls."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default and args[0].dtype != DRAWN
        return func(*args, **(kwargs or {}))


def default() -> Pipeline:
    small = {
        "networks": {"generator": {"width": 4, "blocks": 1}, "discriminator": {"width": 4, "layers": 2}},
        "train": {"size": [32, 32], "precision": "fp32", "device": "cpu", "clip_norm": 1e-3},
    }
    return parse_pipeline(small, where="test")


def published() -> Pipeline:
    content: dict[str, Any] = published_pipeline(32, precision="fp32", device="cpu").model_dump(mode="json")
    content["networks"]["generator"] |= {"width": 4, "blocks": 1}
    content["networks"]["discriminator"] |= {"width": 4, "layers": 2}
    content["networks"]["predictor"] |= {"width": 4, "depth": 3}
    content["train"] |= {"clip_norm": 1e-3, "pool_size": 8}
    return parse_pipeline(content, where="test")


@pytest.mark.parametrize("pipeline", [default(), published()], ids=["default", "published"])
def test_a_step_waits_for_the_device_once(pipeline: Pipeline, tmp_path: Path) -> None:
    """The step, the observation of its health, and the moving average; gradients are clipped."""
    run = Run(pipeline, tmp_path, make_fabric("cpu", "fp32"), short_side=32)
    a, b = (torch.rand(2, 1, pipeline.train.frames, 3, 32, 32) * 2 - 1).unbind()

    def turn() -> None:
        report = take_step(run, a, b, 0)
        run.health.observe(report, a, b, 0.5)
        run.average.update(run.model.translators.module)

    turn()
    with Reads() as reads, InnerReads() as inner:
        turn()
    assert reads.names == ["tolist"]
    assert inner.count == 0


def test_the_next_batch_is_copied_before_the_present_one_is_used() -> None:
    loaded: list[int] = []

    def load() -> Iterator[tuple[Tensor, Tensor]]:
        for number in range(4):
            loaded.append(number)
            yield torch.full((2,), number), torch.full((2,), 10 + number)

    seen = []
    for a, b in copied_ahead(load(), torch.device("cpu")):
        seen.append((a.tolist(), b.tolist(), list(loaded)))
    assert [pair[:2] for pair in seen] == [([n, n], [10 + n, 10 + n]) for n in range(4)]
    assert [pair[2] for pair in seen] == [[0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3]]
    assert list(copied_ahead([], torch.device("cpu"))) == []


@pytest.mark.parametrize("sizes", ["fixed", "growing"])
def test_cudnn_tries_its_kernels_only_for_sizes_that_stay(sizes: Literal["fixed", "growing"]) -> None:
    before = torch.backends.cudnn.benchmark
    with kernels_for(sizes):
        assert torch.backends.cudnn.benchmark == (sizes == "fixed")
    assert torch.backends.cudnn.benchmark == before


def test_reads_are_counted() -> None:
    x: Tensor = torch.ones(3)
    with Reads() as reads, InnerReads() as inner:
        assert x[0] > 0
        assert float(x[1]) == x.sum().item() / 3 == x.tolist()[0]
    assert reads.names == ["__bool__", "__float__", "item", "tolist"]
    assert inner.count == 3  # on the CPU, a list is read without an operation
