"""Clips, optimisation, and what a run writes."""

from typing import Self

from pydantic import Field, model_validator

from recycle.config.base import LONG, MANY, Beta, Pixel, Place, Precision, Settings, Stride, Weight, Word


class AugmentSettings(Settings):
    """Random changes beside the random crop, the same for all frames of a clip."""

    flip: bool = True
    colour: float = Field(0.05, ge=0, le=1)
    """Strength of brightness, contrast and saturation jitter; 0 switches it off."""


class TrainSettings(Settings):
    """Clips, optimisation, and what a run writes."""

    frames: int = Field(1, ge=1, le=64)
    """T, frames of a clip: 3 in the paper. The recycle and recurrent losses need one more than the predictors see."""
    stride: Stride | tuple[Stride, Stride] = 1
    """Temporal stride: every stride-th extracted frame; two numbers: drawn for each clip, from the first to the
    second."""
    size: tuple[Pixel, Pixel] = (256, 256)
    """Height and width in pixels of the random crop that is trained on; multiples of 4, at most the
    extracted frames' size."""
    grow: int = Field(0, ge=0, le=4)
    """Begin on frames shrunk by 2^grow, then 2^(grow−1) …: the first half of the run is shared by the smaller
    sizes (growing resolution; Karras et al. 2018). The networks are fully convolutional and stay as they are."""
    match: float = Field(0.0, ge=0, le=1)
    """Share of the samples whose two crops show alike content: one side's crop is drawn, the other side's is one of
    those most like it to a pretrained network (matched sampling; Richter et al. 2022). For sides that show things in
    different amounts, or at different places."""
    batch_size: int = Field(1, ge=1, le=4096)
    """Clips of each domain per step and device: `batch_size` × `devices` × `nodes` in all."""
    steps: int = Field(20_000, ge=1, le=MANY)
    """Length of the run; of no account where `hours` is given."""
    hours: float | None = Field(None, ge=1e-6, le=LONG)
    """Length of the run by the clock instead of in steps: learning rate and growing resolution follow the time that
    was spent, interruptions not counted, and the run ends in time with everything saved."""
    decay: float = Field(0.5, ge=0, le=1)
    """Part of the run, at the end, over which the learning rate falls linearly towards 0."""
    learning_rate: float = Field(2e-4, ge=1e-12, le=10)
    discriminator_rate: float = Field(1.0, gt=0, le=1e4)
    """Learning rate of the discriminators ÷ that of generators and predictors (two time scales, Heusel et
    al. 2017); below 1 where the discriminators run away, as in very short runs."""
    predictor_rate: float = Field(1.0, gt=0, le=1e4)
    """Learning rate of the predictors ÷ that of the generators."""
    betas: tuple[Beta, Beta] = (0.5, 0.999)
    pool_size: int = Field(50, ge=0, le=100_000)
    """Translated frames kept for the discriminator (Shrivastava et al. 2017); 0: none."""
    ema: float = Field(0.999, ge=0, lt=1)
    """Decay of the moving average of generators and predictors that goes into the bundle; 0: none."""
    clip_norm: Weight = 10.0
    """Largest norm of the gradient of the generators, of the predictors, and of the discriminators; 0: any."""
    precision: Precision = "auto"
    """'auto': bf16 where the device computes it fast, else fp32."""
    device: Word = "auto"
    """'auto', 'cpu', 'cuda', 'mps': Lightning Fabric's accelerator."""
    devices: int | None = Field(None, ge=1, le=1024)
    """Devices of each node, with one process each. None: as many as torchrun or srun started processes, else 1."""
    nodes: int | None = Field(None, ge=1, le=4096)
    """Machines. None: as many as torchrun or srun started processes on, else 1."""
    sharded: bool = False
    """Share the optimisers' moments out over the processes (ZeRO stage 1, Rajbhandari et al. 2020): half of the
    memory that parameters need with Adam, for more traffic."""
    teacher: Place | None = None
    """A bundle whose translations `losses.weights.distillation` repeats, relative to the pipeline file."""
    seed: int = Field(0, ge=0, le=MANY)
    workers: int | None = Field(None, ge=0, le=1024)
    """Processes that load clips for each device; the clips are the same for any number. None: as many as a GPU needs so
    as not to wait, none on a CPU, where they would take cores from the networks. A script of your own that trains with
    some needs `if __name__ == "__main__":`, as all that start processes do."""
    augment: AugmentSettings = AugmentSettings()
    held_out: int = Field(24, ge=4, le=100_000)
    """Frames at the end of each domain's footage (at most a tenth of it) kept for previews, never trained on."""
    log_every: int = Field(10, ge=1, le=MANY)
    preview_every: int = Field(1000, ge=1, le=MANY)
    checkpoint_every: int = Field(500, ge=1, le=MANY)

    @model_validator(mode="after")
    def _size_fits_the_networks(self) -> Self:
        least = 2**self.grow
        if any(side < 16 * least or side % (4 * least) for side in self.size):
            raise ValueError(
                f"'size' is height and width, multiples of {4 * least} and at least {16 * least} "
                f"(with grow = {self.grow}), got {self.size}"
            )
        return self

    @model_validator(mode="after")
    def _strides_in_order(self) -> Self:
        low, high = self.strides
        if not 1 <= low <= high:
            raise ValueError(f"'stride' is a number from 1, or two in order such as [1, 3], got {self.stride}")
        return self

    @property
    def strides(self) -> tuple[int, int]:
        """The least and the greatest temporal stride."""
        return (self.stride, self.stride) if isinstance(self.stride, int) else self.stride
