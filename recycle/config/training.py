"""Settings of training: clips, optimisation, machine, and how often a run writes."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from recycle.config.base import LONG, MANY, Beta, Place, Precision, Settings, Side, Stride, TrackerName, Weight, Word


class AugmentSettings(Settings):
    """Random changes of the clips, in addition to the random crop; the same for all frames of a clip."""

    flip: bool = True
    """Mirror half of the clips horizontally."""
    colour: float = Field(0.05, ge=0, le=1)
    """Strength of random changes of brightness, contrast and saturation. 0: off."""


class TrainSettings(Settings):
    """Clips, optimisation and machine of a training, and how often it writes."""

    frames: int = Field(1, ge=1, le=64)
    """T, the number of frames of a clip: 3 in the paper. The recycle and recurrent losses need one frame more than the
    predictors see."""
    stride: Stride | tuple[Stride, Stride] = 1
    """Temporal stride: a clip takes every stride-th extracted frame. With two numbers the stride is drawn for each
    clip, from the first to the second."""
    size: tuple[Side, Side] = (256, 256)
    """Height and width in pixels of the random crop to train on: multiples of 4, at least 16, and at most the size
    of the extracted frames."""
    grow: int = Field(0, ge=0, le=4)
    """Begin on frames shrunk by 2^grow, continue with 2^(grow−1), and so on (growing resolution, Karras et al. 2018).
    The smaller sizes share the first half of the run. 0: off."""
    match: float = Field(0.0, ge=0, le=1)
    """Share of the samples whose two crops show similar content (matched sampling, Richter et al. 2022). The crop of
    one domain is drawn at random; the other is among the most similar crops by a pretrained network. Use it if the
    domains show things in different amounts or at different places. 0: off."""
    batch_size: int = Field(1, ge=1, le=4096)
    """Clips of each domain per step and device. One step sees `batch_size` × `devices` × `nodes` clips of each."""
    steps: int = Field(20_000, ge=1, le=MANY)
    """Length of the run in steps. Has no effect if `hours` is set."""
    hours: float | None = Field(None, ge=1e-6, le=LONG)
    """Length of the run in hours, in place of `steps`. Learning rate and growing resolution follow the time spent, not
    counting interruptions. The run ends on time with everything saved."""
    decay: float = Field(0.5, ge=0, le=1)
    """Share of the run, at its end, over which the learning rate falls linearly towards 0."""
    learning_rate: float = Field(2e-4, ge=1e-12, le=10)
    """Learning rate of the generators."""
    discriminator_rate: float = Field(1.0, gt=0, le=1e4)
    """Learning rate of the discriminators ÷ that of the generators (two time scales, Heusel et al. 2017). Use a value
    below 1 if the discriminators run away, as they do in very short runs, and in long ones between photographs."""
    predictor_rate: float = Field(1.0, gt=0, le=1e4)
    """Learning rate of the predictors ÷ that of the generators."""
    betas: tuple[Beta, Beta] = (0.5, 0.999)
    """Decay rates β₁ and β₂ of Adam."""
    pool_size: int = Field(50, ge=0, le=100_000)
    """Number of earlier translated frames to keep. Discriminators of kind 'patch' see an earlier frame in half of the
    cases (Shrivastava et al. 2017). 0: none."""
    ema: float = Field(0.999, ge=0, lt=1)
    """Decay of the moving average of generators and predictors that is saved as the model. 0: save the last weights."""
    clip_norm: Weight = 10.0
    """Maximum norm of the gradient, for generators, predictors and discriminators separately. 0: no limit."""
    precision: Precision = "auto"
    """'auto': bf16 if the device computes it fast, otherwise fp32."""
    device: Word = "auto"
    """'auto', 'cpu', 'cuda' or 'mps' (the accelerator of Lightning Fabric)."""
    devices: int | None = Field(None, ge=1, le=1024)
    """Devices per machine, with one process each. None: as many as torchrun or srun started processes, otherwise 1."""
    nodes: int | None = Field(None, ge=1, le=4096)
    """Machines. None: as many as torchrun or srun started processes on, otherwise 1."""
    sharded: bool = False
    """Distribute the optimisers' moments over the processes (ZeRO stage 1, Rajbhandari et al. 2020). It saves up to
    half of the memory that parameters need with Adam, and costs communication."""
    teacher: Place | None = None
    """A model bundle whose translations the distillation loss imitates. Needs `losses.weights.distillation`."""
    start_from: Place | None = None
    """A run, whose best model is used, a model bundle, or org/name on the Hugging Face Hub. Generators, predictors and
    discriminators begin with its weights, as far as they fit; each that does not is named. It has an effect only on the
    first step of a run."""
    seed: int = Field(0, ge=0, le=MANY)
    """Seed of all random choices. The same seed gives the same clips on any number of devices."""
    workers: int | None = Field(None, ge=0, le=1024)
    """Processes that load clips, for each device. The clips are the same for any number. None: up to four for a GPU, 0
    on a CPU, where they would take cores from the networks. A Python script that trains with workers needs `if __name__
    == "__main__":`."""
    augment: AugmentSettings = AugmentSettings()
    """Random changes of the clips."""
    held_out: int = Field(24, ge=4, le=100_000)
    """Number of frames at the end of each domain's footage (at most a tenth of it) that are not trained on. Previews
    and the validation score use them."""
    log_every: int = Field(10, ge=1, le=MANY)
    """Steps between two entries of the curves."""
    trackers: Annotated[tuple[TrackerName, ...], Field(max_length=3)] = ()
    """Programs that show curves and previews, in addition to TensorBoard: 'trackio', 'wandb' (Weights & Biases),
    'mlflow'. Each needs its package, as in `pip install 'recycle[wandb]'`, and follows its own environment variables,
    such as WANDB_MODE and MLFLOW_TRACKING_URI. One that fails does not stop the run."""
    preview_every: int = Field(1000, ge=1, le=MANY)
    """Steps between two previews, each with a validation score."""
    checkpoint_every: int = Field(500, ge=1, le=MANY)
    """Steps between two checkpoints."""

    @model_validator(mode="after")
    def _size_fits_the_networks(self) -> Self:
        least = 2**self.grow
        if any(side < 16 * least or side % (4 * least) for side in self.size):
            raise ValueError(
                f"'size' must be height and width, multiples of {4 * least} and at least {16 * least} "
                f"(with grow = {self.grow}), got {self.size}"
            )
        return self

    @model_validator(mode="after")
    def _strides_in_order(self) -> Self:
        low, high = self.strides
        if low > high:
            raise ValueError(
                f"'stride' must be one number, or two in ascending order such as [1, 3], got {self.stride}"
            )
        return self

    @property
    def strides(self) -> tuple[int, int]:
        """The minimum and the maximum temporal stride."""
        return (self.stride, self.stride) if isinstance(self.stride, int) else self.stride
