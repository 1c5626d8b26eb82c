"""Estimates how long a training step takes, and how many steps fit into a time."""

from recycle.runs.machine import Machine
from recycle.training.clock import REVIEWING

STEP = 3.5
"""Operations of a step ÷ operations of the generators' forward pass. The backward pass counts as two forward passes;
the discriminators' step is the rest."""
DEPTHWISE = {"cpu": 0.5, "gpu": 0.37}
"""Share of the machine's speed that a U-Net reaches, because memory limits its depthwise convolutions."""
START = 8.0
"""Seconds of a run that take no steps: it analyses the footage, holds its first and last review, and saves. Measured on
one core of an AMD EPYC, on 12 seconds of footage."""
REVIEW = 5
"""Duration of a review ÷ duration of a step, approximately; measured on one core: 3.7."""
BETWEEN = {"cpu": 0.02, "gpu": 0.03}
"""Seconds of a step that do not depend on its size: loading clips, launching kernels, averaging weights."""
SMALL_LAYERS = {"cpu": 0.11, "gpu": 0.0}
"""Further such seconds of a step between photographs: its networks have many small layers. Measured, with DEPTHWISE, on
one core of an AMD EPYC in 16 bits: without a cycle loss steps of 64, 112 and 144 pixels take 0.215, 0.386 and 0.549 s,
and with it 1.19, 1.17 and 1.16 times as long."""


def step_seconds(machine: Machine, operations: float, *, photographs: bool) -> float:
    """Estimated duration in seconds of a step of so many `operations` of the generators' forward pass."""
    kind = machine.kind
    part, more = (DEPTHWISE[kind], SMALL_LAYERS[kind]) if photographs else (1.0, 0.0)
    return BETWEEN[kind] + more + STEP * operations / (part * machine.speed)


def expected_steps(hours: float, seconds: float) -> int:
    """Expected number of steps of `seconds` in this time. A very short run also spends time on starting and reviews."""
    most = (hours * 3600 - START) / seconds
    return max(1, round(most - min(REVIEWING * most, 20 * REVIEW)))
