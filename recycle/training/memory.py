"""Estimates the memory of a training step, and splits batches that do not fit."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from recycle.config import Pipeline
from recycle.errors import RecycleError
from recycle.events import Job
from recycle.networks.features import FeatureNetwork
from recycle.objective.discriminators import Discriminators
from recycle.objective.losses import generator_losses, weighed
from recycle.objective.passing import Pass
from recycle.objective.sides import bare
from recycle.objective.translators import Translators
from recycle.system.memory import free_memory, in_gib, release
from recycle.system.out_of_memory import is_out_of_memory
from recycle.training.run import Run

OPTIMISED = 4
"""Copies of each parameter: the parameter, its gradient, and Adam's two moments."""
TRANSIENT = 1.3
"""Peak memory of a step ÷ memory that autograd keeps of the forward pass; measured 1.28 on the CPU."""
USABLE = 0.9
"""Proportion of the free memory that a step may use; the rest allows for uncounted memory and fragmentation."""

T = TypeVar("T")


class Portions:
    """The number of portions into which batches are split so that a step fits into memory; doubled after each
    failure."""

    def __init__(self, pipeline: Pipeline, fabric: Fabric, job: Job) -> None:
        self._settings, self._pipeline, self._fabric, self._job = pipeline.train, pipeline, fabric, job
        self.parts = 1

    def fit(self, step: Callable[[int], T]) -> T:
        """Call `step(parts)`, with more parts each time memory runs out.

        Raises RecycleError if a single clip does not fit. On several devices it raises at once, because the other
        processes would wait.
        """
        while True:
            try:
                return step(self.parts)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error).strip().splitlines()[0] if str(error).strip() else "out of memory"
            # After the except block, the tensors that the traceback held are freed.
            release(self._fabric.device)
            batch = self._settings.batch_size
            if self.parts >= batch or self._fabric.world_size > 1:
                raise RecycleError(too_large(self._pipeline, self._fabric.device, self.parts) + f" ({reason})")
            self.parts = min(2 * self.parts, batch)
            self._job.say(
                f"a batch of {batch} clips does not fit into memory: from now on each is processed in {self.parts} "
                "portions with accumulated gradients, which is slower"
            )


def too_large(pipeline: Pipeline, device: torch.device, parts: int) -> str:
    """The error message for insufficient memory."""
    settings = pipeline.train
    what = "a single clip" if parts >= settings.batch_size else f"a batch of {settings.batch_size} clips"
    height, width = settings.size
    free = free_memory(device)
    there = "" if free is None else f" ({in_gib(free)} free)"
    lower = "" if parts >= settings.batch_size else "train.batch_size, "
    generator, frames = pipeline.networks.generator.lighter, f"train.frames (now {settings.frames})"
    others = f", {frames} or networks.generator.{generator}" if generator else f" or {frames}"
    return (
        f"{what} of {settings.frames} frames of {height}x{width} does not fit into the memory of '{device.type}'{there}"
        f"; lower {lower}train.size{others}"
    )


def step_memory(run: Run) -> tuple[int, int]:
    """Bytes that training needs on its device: for the networks, and for each clip pair of a portion.

    A forward pass of the generators and predictors on one clip pair of noise, in the run's precision, measures how much
    autograd keeps for the backward pass. The run's state does not change.
    """
    fabric = run.fabric
    translators, discriminators = bare(run.model.translators), bare(run.model.discriminators)
    modes = [(m, m.training) for net in (translators, discriminators) for m in net.modules()]
    with torch.random.fork_rng(devices=[fabric.device] if fabric.device.type == "cuda" else []):
        with fabric.autocast():
            clip = _kept_of_a_clip(run.pipeline, translators, discriminators, fabric.device)
        discriminators.requires_grad_(True)
        for module, training in modes:
            module.training = training
    average = sum(p.numel() * p.element_size() for p in run.average.bundle.parameters())
    return OPTIMISED * _size_of(translators, discriminators) + average, clip


class Reckoning(NamedTuple):
    """Estimated needs of a training step, computed without the device."""

    networks: int
    """Bytes for the networks, as in `step_memory`."""
    clip: int
    """Bytes for each clip pair."""
    operations: int
    """Floating-point operations of the forward pass of a clip pair; a multiply-add counts as two."""


def reckon(pipeline: Pipeline, dtype: torch.dtype) -> Reckoning:
    """What `step_memory` would measure for this pipeline in float32, bfloat16 or float16, on any machine.

    Runs the same pass with tensors that have shapes but no values. Raises ConfigError if a network cannot be built.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode  # slow to import, and not needed for training
    from torch.utils.flop_counter import FlopCounterMode

    with torch.random.fork_rng(devices=[]):
        translators = Translators(pipeline).to(memory_format=torch.channels_last)
        discriminators = Discriminators(pipeline).to(memory_format=torch.channels_last)
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    for module in (m for net in (translators, discriminators) for m in net.modules()):
        for name, parameter in module.named_parameters(recurse=False):
            empty = fake.from_tensor(parameter.detach())
            setattr(module, name, nn.Parameter(empty, requires_grad=parameter.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, fake.from_tensor(buffer))
    half = nullcontext() if dtype == torch.float32 else torch.autocast("cpu", dtype)
    with fake, FlopCounterMode(display=False) as counter, half:
        clip = _kept_of_a_clip(pipeline, translators, discriminators, torch.device("cpu"))
    networks = OPTIMISED * _size_of(translators, discriminators) + _size_of(translators)
    return Reckoning(networks, clip, counter.get_total_flops())


def _kept_of_a_clip(
    pipeline: Pipeline, translators: Translators, discriminators: Discriminators, device: torch.device
) -> int:
    """Peak bytes of a step on one clip pair of noise, without the networks, whose mode this function changes."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # a reference, so that no other storage gets the same address

    networks = [m for side in (translators, discriminators) for m in side.modules()]
    weights = [p for m in networks for p in m.parameters(recurse=False)]
    weights += [p for m in networks if isinstance(m, FeatureNetwork) for p in m.frozen_parameters()]
    own = {p.untyped_storage()._cdata for p in weights}
    shape = (1, pipeline.train.frames, 3, *pipeline.train.size)
    a, b = (torch.rand(shape, device=device) * 2 - 1 for _ in range(2))
    discriminators.eval().requires_grad_(False)  # eval: keeps the state of spectral norm
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda nothing: nothing):
        made = Pass(a, b, translators(a, b))
        losses = weighed(generator_losses(translators.terms, discriminators, made, pipeline.losses), translators.terms)
    del made, losses
    return int(TRANSIENT * sum(storage.nbytes() for number, storage in kept.items() if number not in own))


def _size_of(*networks: nn.Module) -> int:
    """Bytes of all parameters."""
    return sum(p.numel() * p.element_size() for network in networks for p in network.parameters())


def plan(run: Run, portions: Portions, job: Job) -> None:
    """Report the needed and the free memory in one line, and choose the initial number of portions.

    Raises RecycleError if the measurement on a single clip does not fit into memory.
    """
    free, batch = free_memory(run.fabric.device), run.pipeline.train.batch_size
    if free is not None and run.fabric.device.type == "cpu":  # the processes of a node share this memory
        free //= run.fabric.world_size // (run.pipeline.train.nodes or 1)
    needed = Portions(run.pipeline, run.fabric, job)
    needed.parts = batch
    networks, clip = needed.fit(lambda parts: step_memory(run))
    release(run.fabric.device)
    line = (
        f"memory: the networks take {in_gib(networks)}, each clip of a batch about {in_gib(clip)}: "
        f"{in_gib(networks + batch * clip)} for a batch of {batch}"
    )
    if free is None:
        job.say(line)
        return
    to_come = networks * (OPTIMISED - 1) // OPTIMISED  # parameters exist already, gradients and moments do not
    while portions.parts < batch and to_come + -(-batch // portions.parts) * clip > USABLE * free:
        portions.parts = min(2 * portions.parts, batch)
    many = "" if portions.parts == 1 else f", so that each batch is processed in {portions.parts} portions"
    portions.parts = run.fabric.broadcast(portions.parts)  # all processes must split their batches alike
    job.say(f"{line}; {in_gib(free)} are free on '{run.fabric.device.type}'{many}")
