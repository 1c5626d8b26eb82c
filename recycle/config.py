"""All settings, their defaults and their validation; the schema of a pipeline's TOML file.

Every default of the project lives in this file and nowhere else.
"""

import codecs
import difflib
import re
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from recycle.encoder_options import check_options
from recycle.errors import ConfigError
from recycle.names import original, plain
from recycle.safe_text import brief, printable

Domain = Literal["a", "b"]
Appearance = Literal["day", "sunset", "rain", "snow", "night", "thermal", "labels"]
Codec = Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Differentiable = Literal["colour", "translation", "cutout", "noise"]
Adversarial = Literal["least_squares", "minimax", "non_saturating", "hinge", "wasserstein"]


T = TypeVar("T", bound=BaseModel)

_LARGEST_FILE = 1 << 20
"""Bytes of a pipeline file; those that ship have about a thousand."""
_MANY = 2**31 - 1
"""Bound of counts that have no other: what every library takes."""
_LONG = 10_000.0
"""Hours or seconds that nobody means to wait."""


def _plain_name(name: str) -> str:
    if not name.strip() or name in (".", "..") or re.search(r"[/\\]", name) or printable(name) != name:
        raise ValueError(
            f"the name of one folder is expected, without slashes and control characters, got {brief(name)}"
        )
    return name


def _real_path(value: object) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError(f"a path is expected, got {brief(value)}")
    path = Path(original(value)) if isinstance(value, str) else value
    if "\0" in str(path) or len(str(path)) > 4096:
        raise ValueError("this is no path: it is too long, or holds a zero byte")
    return path


FolderName = Annotated[str, Field(max_length=100), AfterValidator(_plain_name)]
"""The name of one folder."""
Place = Annotated[
    Path,
    PlainValidator(_real_path),
    PlainSerializer(lambda path: plain(str(path)), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
"""A path; in JSON, which cannot hold all file names, as `recycle.names.plain` text."""
Places = Annotated[tuple[Place, ...], Field(max_length=100_000)]
Pixel = Annotated[int, Field(ge=-65536, le=65536)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Stride = Annotated[int, Field(ge=-_MANY, le=_MANY)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Word = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
"""A name that a library gives a device, a preset or a pixel format."""
MAX_PIXELS = 16384 * 8640


def _read_rate(value: object) -> object:
    """A rate as it is written: 29.97 is 2997/100, not the nearest binary fraction."""
    return str(value) if isinstance(value, float) else value


Rate = Annotated[Fraction, BeforeValidator(_read_rate), Field(ge=Fraction(1, 1000), le=1000)]
"""Frames per second: a number such as 29.97, or a fraction such as '30000/1001'."""
MaxPixels = Annotated[int, Field(ge=1, le=1 << 30)]
"""Pixels of the largest picture that is read; larger ones are refused before they take memory."""


class Settings(BaseModel):
    """Base of every group of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_max_length=1000)

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, value in data.items():
                field = cls.model_fields.get(name)
                if isinstance(value, bool) and field is not None and field.annotation is not bool:
                    raise ValueError(f"'{name}' is not a matter of true or false, got {str(value).lower()}")
        return data


class StreetSettings(Settings):
    """Footage of our own making (see recycle.footage.street) in place of files."""

    a: Appearance = "day"
    b: Appearance = "night"
    width: int = Field(160, ge=32, le=4096)
    height: int = Field(96, ge=32, le=4096)
    fps: int = Field(12, ge=1, le=120)
    seconds: float = Field(60.0, gt=0, le=1e5)
    """Length of each domain's training footage; the two sides show different scenes."""
    test_seconds: float = Field(8.0, gt=0, le=1e5)
    """Length of the unseen clip, rendered in both appearances so that the truth is known."""
    seed: int = Field(0, ge=0, le=_MANY)


class FootageSettings(Settings):
    """What to learn from, and what to test on. Paths are relative to the pipeline file.

    Each path is a video file, a folder of video files or a folder of numbered images.
    """

    a: Places = ()
    b: Places = ()
    test_a: Places = ()
    """Unseen videos of domain a, translated to b, evaluated and shown in the report by `recycle run`."""
    test_b: Places = ()
    truth_ab: Places = ()
    """True counterparts in domain b of `test_a`, in the same order (only where they exist)."""
    truth_ba: Places = ()
    street: StreetSettings | None = None
    paired: bool = False
    """The footage of b shows frame by frame the true counterparts of that of a, in the same order: learn from
    pairs, with the objective of pix2pix (adversarial form: `losses.adversarial`) unless `losses.weights` says
    otherwise."""

    @model_validator(mode="before")
    @classmethod
    def _one_path_is_a_list_of_one(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {k: (v,) if isinstance(v, str | Path) else v for k, v in data.items()}
        return data

    @model_validator(mode="after")
    def _street_or_files(self) -> Self:
        if self.street is not None and (self.a or self.b or self.test_a or self.test_b):
            raise ValueError("give either 'street' or paths (a, b, test_a, test_b), not both")
        for test, truth in (("test_a", "truth_ab"), ("test_b", "truth_ba")):
            if getattr(self, truth) and not getattr(self, test):
                raise ValueError(f"'{truth}' are the true counterparts of '{test}', which are not given")
        return self


class ExtractSettings(Settings):
    """How video becomes frames on disk."""

    fps: float | None = Field(None, ge=1e-3, le=1e4)
    """Frames per second to keep; None keeps every frame."""
    short_side: int | None = Field(286, ge=16, le=16384)
    """Pixels of the shorter side after resizing (the aspect ratio is kept); None keeps the size."""
    crop: tuple[Pixel, Pixel, Pixel, Pixel] | None = None
    """x, y, width, height of the box to keep, in pixels of the upright source frame, before resizing."""
    format: Literal["jpg", "png"] = "jpg"
    drop_duplicates: float = Field(0.0, ge=0, le=255)
    """Drop a frame whose mean absolute difference from the last kept one is at most this many grey levels
    (of 255); 0 keeps all."""
    cut_threshold: float = Field(3.0, gt=0, le=1e6)
    """Sensitivity of the cut detector (PySceneDetect AdaptiveDetector's adaptive_threshold)."""
    max_pixels: MaxPixels = MAX_PIXELS
    """Pixels of the largest picture that is read, in video and images."""

    def record(self) -> dict[str, object]:
        """All that extracted frames depend on beside their source, as JSON."""
        return self.model_dump(mode="json", exclude={"max_pixels"})

    @model_validator(mode="after")
    def _crop_has_an_area(self) -> Self:
        if self.crop is not None:
            x, y, width, height = self.crop
            if x < 0 or y < 0 or width < 1 or height < 1:
                raise ValueError(f"'crop' is x, y, width, height with x, y >= 0 and a size >= 1, got {self.crop}")
        return self


class GeneratorSettings(Settings):
    """ResNet generator of CycleGAN and ReCycle-GAN."""

    blocks: int = Field(6, ge=1, le=32)
    """Residual blocks: 6 or 9 in the published networks."""
    width: int = Field(64, ge=4, le=512)
    """Channels of the stem: 64 in the published networks."""
    skip: bool = False
    """Add the frame itself to the output before its tanh (the global skip of DeblurGAN, Kupyn et al. 2018):
    the network starts as the identity and learns in minutes where both domains share their layout. The
    published networks have none."""
    blur: bool = True
    """Start each up-sampling as bilinear interpolation and blur after it (Karras et al. 2019): no checkerboard,
    which short runs do not unlearn. The published networks do neither; the parameters are the same."""


class DiscriminatorSettings(Settings):
    """PatchGAN discriminator; 3 layers see 70×70 pixels."""

    layers: int = Field(3, ge=1, le=6)
    width: int = Field(64, ge=4, le=512)
    norm: Literal["instance", "spectral"] = "instance"
    """'instance': InstanceNorm, as published; 'spectral': spectral normalisation of the weights instead (Miyato
    et al. 2018)."""
    scales: int = Field(1, ge=1, le=4)
    """Discriminators of one domain, each looking at frames half as large as the one before (Wang et al. 2018,
    pix2pixHD); more than 1 for frames much larger than what one sees."""
    minibatch_std: bool = False
    """Show the last layer how much the frames of a batch differ (Karras et al. 2018), against mode collapse."""


class PredictorSettings(Settings):
    """U-Net from the past frames to the next."""

    past: int = Field(2, ge=1, le=16)
    """Frames that the predictor sees: 2 in the paper."""

    kind: Literal["smp", "pix2pix"] = "smp"
    """'smp': segmentation_models_pytorch.Unet; 'pix2pix': the U-Net of the paper."""
    width: int = Field(64, ge=4, le=512)
    """Channels of the finest level of the pix2pix U-Net, or of the smp decoder's coarsest level ÷ 4."""
    encoder: str = Field("tu-resnet18", pattern=r"^[A-Za-z0-9_.\-]{1,80}$")
    """Encoder of the smp U-Net, by smp's name; 'tu-…' are timm's, built no deeper than `depth`."""
    depth: int = Field(4, ge=3, le=8)
    """Halvings of the resolution: up to 5 for smp; 7 (128 px) or 8 (256 px) in the paper's pix2pix form."""

    @model_validator(mode="after")
    def _smp_depth(self) -> Self:
        if self.kind == "smp" and self.depth > 5:
            raise ValueError(f"'depth' of an smp predictor is at most 5, got {self.depth}")
        return self


class NetworkSettings(Settings):
    """The three kinds of network; both domains use the same settings."""

    generator: GeneratorSettings = GeneratorSettings()
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    predictor: PredictorSettings = PredictorSettings()


class LossWeights(Settings):
    """Weight of each loss; 0 switches it off and it costs nothing. What each is: recycle.losses, docs/method.md.

    Where some are given, they are all there are beside the adversarial loss.
    """

    adversarial: Weight = 1.0
    temporal: Weight = 0.0
    """Adversarial loss of discriminators that judge all T frames of a clip together."""
    cycle: Weight = 0.0
    recycle: Weight = 0.0
    recurrent: Weight = 0.0
    identity: Weight = 0.0
    unsupervised_spatial: Weight = 0.0
    """W(G(x)) is G(W(x)) for a synthetic motion W."""
    unsupervised_recycle: Weight = 0.0
    """The way back of W(G(x)) is W(x), for a synthetic motion W: recycle without a predictor."""
    patch_nce: Weight = 0.0
    """Contrastive loss of patches, in place of or beside cycle and recycle."""
    feature_matching: Weight = 0.0
    """Translated and real frames look alike to each layer of the discriminator."""
    perceptual: Weight = 0.0
    """Distance of cycled and recycled frames from the real ones, as the discriminator's layers see them."""
    paired: Weight = 0.0
    """L1 distance from the true counterpart; only with `footage.paired`."""
    distillation: Weight = 0.0
    """L1 distance from what `train.teacher` makes of the same frame."""

    def teach_generators(self, *, recycle: bool) -> bool:
        """Whether a step has a loss for the generators: any but the recurrent one, and recycle only where it is on."""
        others = {"recurrent"} if recycle else {"recurrent", "recycle"}
        return any(self.model_dump(exclude=others).values())


class PredictionSettings(Settings):
    """What the predictors learn from, and when the recycle loss relies on them."""

    learns_from: Literal["both", "real"] = "both"
    """'both': the recurrent loss on real frames and whatever reaches them through translated ones, as in the
    original code; 'real': the recurrent loss alone (joliGEN)."""
    judged: Literal["no", "unopposed", "opposed"] = "no"
    """Whether the discriminators see predictions P(y) from real frames as fakes. 'unopposed': they do, and the
    predictors have no loss against it, as in the original code; 'opposed': they have (its adversarial_loss_p)."""
    wait: bool = False
    """Leave the recycle loss off until the predictors are better than copying the last frame."""


class LossSettings(Settings):
    """The objective."""

    adversarial: Adversarial = "least_squares"
    distance: Literal["l1", "l2"] = "l1"
    """Distance of cycle, recycle, recurrent and identity: 'l1' as in the original code (less blur), 'l2'
    as in the paper's formulas (the mean of squares)."""
    gradient_penalty: Weight = 10.0
    """Weight of the gradient penalty of the Wasserstein form."""
    r1: Weight = 0.0
    """γ of the R1 penalty on the discriminators' gradient at real frames (Mescheder et al. 2018)."""
    augment: tuple[Differentiable, ...] = Field((), max_length=16)
    """Random changes of all that the discriminators see, real and translated (DiffAugment, Zhao et al. 2020): for
    little footage."""
    noise_back: float = Field(0.0, ge=0, le=1)
    """Standard deviation of the noise on translated frames, of values in [-1, 1], before they are translated back:
    nothing can be hidden in what noise drowns (Bashkirova et al. 2019, section 3.1). Without `weights` it is 0.1."""
    prediction: PredictionSettings = PredictionSettings()
    weights: LossWeights = LossWeights(cycle=2.0, unsupervised_spatial=5.0, unsupervised_recycle=2.0)

    @model_validator(mode="before")
    @classmethod
    def _the_default_is_weights_and_noise(cls, data: Any) -> Any:
        """Weights that a file gives are all of the objective; without them it is the default's, noise included."""
        return {"noise_back": 0.1} | data if isinstance(data, dict) and "weights" not in data else data


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
    batch_size: int = Field(1, ge=1, le=4096)
    """Clips of each domain per step and device: `batch_size` × `devices` × `nodes` in all."""
    steps: int = Field(20_000, ge=1, le=_MANY)
    """Length of the run; of no account where `hours` is given."""
    hours: float | None = Field(None, ge=1e-6, le=_LONG)
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
    seed: int = Field(0, ge=0, le=_MANY)
    workers: int | None = Field(None, ge=0, le=1024)
    """Processes that load clips for each device; the clips are the same for any number. None: as many as a GPU needs so
    as not to wait, none on a CPU, where they would take cores from the networks. A script of your own that trains with
    some needs `if __name__ == "__main__":`, as all that start processes do."""
    augment: AugmentSettings = AugmentSettings()
    held_out: int = Field(24, ge=4, le=100_000)
    """Frames at the end of each domain's footage (at most a tenth of it) kept for previews, never trained on."""
    log_every: int = Field(10, ge=1, le=_MANY)
    preview_every: int = Field(1000, ge=1, le=_MANY)
    checkpoint_every: int = Field(500, ge=1, le=_MANY)

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


class EncodeSettings(Settings):
    """How video is written."""

    codec: Codec = "h264"
    """'h264' plays everywhere; 'hevc', 'av1' and 'vp9' are smaller; 'prores' is for editing; 'ffv1' is lossless."""
    crf: int | None = Field(None, ge=0, le=63)
    """Constant quality: 0 is the best. None: the codec's default, which looks like the source."""
    bitrate: int | None = Field(None, ge=1000, le=2_000_000_000)
    """Bits per second instead of constant quality."""
    preset: Word | None = None
    """Speed against size, as the encoder names it: 'ultrafast' to 'veryslow', or a number for av1 and vp9."""
    depth: Literal[8, 10] = 8
    """Bits per sample. 10 keeps the levels of a source that has them; few players take 10-bit H.264."""
    pixel_format: Word | None = None
    """FFmpeg's name, such as 'yuv444p'. None: what plays everywhere (4:2:0 where the codec has it)."""
    alpha: Literal["drop", "keep"] = "drop"
    """'keep': a source with an alpha channel keeps its transparency; for 'prores', 'ffv1' and 'vp9'. 'drop': the
    colours beneath are shown."""
    options: dict[str, str] = Field({}, max_length=50)
    """Further options of the encoder, as FFmpeg names them; which ones: recycle.encoder_options."""
    hardware: bool = False
    """Decode and encode on the GPU (NVDEC, NVENC) where that really works; faster, and larger files of the same
    quality."""

    def encoding(self) -> dict[str, object]:
        """The settings of this group alone: all that an encoded stream depends on beside its frames."""
        return self.model_dump(include=set(EncodeSettings.model_fields))

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        if self.crf is not None and self.bitrate is not None:
            raise ValueError("give 'crf' or 'bitrate', not both")
        return self

    @model_validator(mode="after")
    def _options_touch_no_file(self) -> Self:
        check_options(self.codec, self.options, hardware=self.hardware)
        return self

    @model_validator(mode="after")
    def _codec_holds_alpha(self) -> Self:
        if self.alpha == "keep" and self.codec not in ("prores", "ffv1", "vp9"):
            raise ValueError(
                f"'alpha' cannot be kept by the codec {self.codec}: choose 'prores' (.mov, .mkv), 'ffv1' (.mkv, .mov) "
                "or 'vp9' (.webm, .mkv)"
            )
        return self


class TranslateSettings(EncodeSettings):
    """How a bundle is applied to video."""

    scale: Literal["trained", "source"] | Annotated[int, Field(ge=16, le=16384)] = "trained"
    """Short side in pixels at which the network runs: as in training, as in the source, or a number.
    The output always has the source's size."""
    timestamps: Literal["zero", "source"] = "zero"
    """'zero': a source whose clock starts at 10 s or later, such as a broadcast, is moved to start at 0, all streams
    together. 'source': every timestamp stays. Starts below 10 s stay in either case."""
    smoothing: bool = False
    """The paper's y_t = ½ (G(x_t) + P(G(x_{t−2}), G(x_{t−1}))), restarted at every cut."""
    batch_size: int | None = Field(None, ge=1, le=4096)
    """Frames that the networks work on at once. None: 8 on a GPU; on a CPU as many as keep all cores busy and fit into
    memory."""
    fps: Rate | None = None
    """Frames per second of raw streams (such as .h264) and folders of images, which have no timestamps. None: as the
    stream states, else 25. Files with timestamps keep these."""
    max_pixels: MaxPixels = MAX_PIXELS
    """Pixels of the largest picture that is read, in video and images."""
    device: Word = "auto"
    precision: Precision = "auto"

    def record(self) -> dict[str, object]:
        """All that a translation may depend on beside its source and its model."""
        without = {"max_pixels"} if self.fps else {"max_pixels", "fps"}  # so that finished work of before `fps` counts
        return self.model_dump(exclude=without)


class EvaluateSettings(Settings):
    """What is scored."""

    palette: Literal["street"] | None = None
    """Label colours of a label domain; adds the paper's MP, AC and IoU."""
    label_domain: Domain | None = None
    """The domain that holds label maps, if any."""
    max_frames: int = Field(200, ge=2, le=1_000_000)
    """Frames of each test clip that are scored."""
    features: Literal["street"] | Place | None = None
    """The network whose features FID and KID, and the check for memorisation, compare. 'street': a small one that is
    trained here on the procedural street, at the first use; a path, relative to the pipeline file: weights of
    torchvision's inception_v3 (.pth or .safetensors). None: no FID and KID, and thumbnails for memorisation."""
    device: Word = "auto"
    """Of that network."""


class Pipeline(Settings):
    """One task from footage to report: the whole content of a pipeline file."""

    name: FolderName = "recycle"
    """Of the task; the run's folder is runs/NAME where no other is given."""
    footage: FootageSettings = FootageSettings()
    extract: ExtractSettings = ExtractSettings()
    networks: NetworkSettings = NetworkSettings()
    losses: LossSettings = LossSettings()
    train: TrainSettings = TrainSettings()
    translate: TranslateSettings = TranslateSettings()
    evaluate: EvaluateSettings = EvaluateSettings()

    @model_validator(mode="before")
    @classmethod
    def _paired_footage_has_its_own_weights(cls, data: Any) -> Any:
        """`footage.paired = true` alone means the objective of pix2pix (Isola et al. 2017, eq. 4; λ = 100), with
        `losses.adversarial` for its adversarial part: theirs is "non_saturating" (section 3.3)."""
        if not isinstance(data, dict) or not _get(data.get("footage"), "paired"):
            return data
        losses = data.get("losses") or {}
        given = _get(losses, "weights") or {}
        if not isinstance(losses, dict) or not isinstance(given, dict):
            return data
        weights = {"paired": 100.0} | given
        return {**data, "losses": {**losses, "weights": weights}}

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        weights, prediction, discriminator = self.losses.weights, self.losses.prediction, self.networks.discriminator
        frames, past = self.train.frames, self.networks.predictor.past
        halvings = self.train.grow + discriminator.scales - 1
        least = 3 * 2**discriminator.layers
        if (weights.adversarial or weights.temporal) and -(-min(self.train.size) // 2**halvings) < least:
            raise ValueError(
                f"'train.size' {self.train.size} is too small for the discriminators: with layers = "
                f"{discriminator.layers}, scales = {discriminator.scales} and grow = {self.train.grow} each side "
                f"needs at least {least * 2**halvings} pixels; lower 'networks.discriminator.layers' or enlarge 'size'"
            )
        if self.predicts and frames <= past:
            raise ValueError(
                f"'train.frames' must be above 'networks.predictor.past' = {past} with a recycle or recurrent loss, "
                f"got {frames}"
            )
        if weights.paired and not self.footage.paired:
            raise ValueError("'losses.weights.paired' needs 'footage.paired = true'")
        if bool(weights.distillation) != (self.train.teacher is not None):
            raise ValueError("'losses.weights.distillation' and 'train.teacher' need each other")
        if weights.temporal and frames < 2:
            raise ValueError("'losses.weights.temporal' needs 'train.frames' of at least 2")
        if weights.perceptual and not (weights.cycle or weights.recycle):
            raise ValueError("'losses.weights.perceptual' compares cycled or recycled frames: weigh one of them")
        if weights.perceptual and self.footage.paired:
            raise ValueError("'losses.weights.perceptual' is for unpaired footage; feature_matching does it for pairs")
        if weights.feature_matching and self.footage.paired and self.losses.augment:
            raise ValueError("'losses.weights.feature_matching' compares places of pairs, which 'losses.augment' moves")
        if not weights.adversarial:
            for name in ("feature_matching", "perceptual"):
                if getattr(weights, name):
                    raise ValueError(f"'losses.weights.{name}' needs the discriminators of the adversarial loss")
        if prediction != PredictionSettings() and not (weights.recycle and weights.recurrent):
            raise ValueError("'losses.prediction' needs the recycle and the recurrent loss")
        if not any(weights.model_dump().values()):
            raise ValueError("'losses.weights' are all 0: there is nothing to learn; give one of them a weight")
        return self._nothing_is_set_in_vain()

    def _nothing_is_set_in_vain(self) -> Self:
        """Whoever set what changes nothing expects that it does."""
        weights, train, discriminator = self.losses.weights, self.train, self.networks.discriminator
        if not (weights.adversarial or weights.temporal):
            for name in ("r1", "augment"):
                if getattr(self.losses, name):
                    raise ValueError(f"'losses.{name}' is for discriminators, which an adversarial loss has")
        if self.losses.noise_back and not (weights.cycle or weights.recycle or weights.unsupervised_recycle):
            raise ValueError("'losses.noise_back' needs a way back: a cycle, recycle or unsupervised_recycle loss")
        if discriminator.minibatch_std and train.batch_size * train.frames < 2:
            raise ValueError(
                "'networks.discriminator.minibatch_std' compares the frames of a batch: it needs 'train.batch_size' × "
                "'train.frames' of at least 2"
            )
        if train.stride != 1 and train.frames == 1:
            raise ValueError("'train.stride' lies between the frames of a clip: it needs 'train.frames' of at least 2")
        if train.predictor_rate != 1 and not self.predicts:
            raise ValueError("'train.predictor_rate' needs a recycle or recurrent loss, which has predictors")
        if self.translate.smoothing and not self.predicts:
            raise ValueError("'translate.smoothing' needs a recycle or recurrent loss, which has predictors")
        if (self.evaluate.palette is None) != (self.evaluate.label_domain is None):
            raise ValueError("'evaluate.palette' and 'evaluate.label_domain' need each other")
        return self

    @property
    def predicts(self) -> bool:
        """Whether there are predictors."""
        return bool(self.losses.weights.recycle or self.losses.weights.recurrent)


def _get(group: Any, key: str) -> Any:
    return group.get(key) if isinstance(group, dict) else getattr(group, key, None)


def load_pipeline(path: Path) -> Pipeline:
    """Read and validate a pipeline's TOML file; its relative paths are resolved against its folder.

    Raises ConfigError, in one line, for a file that is missing or not TOML, for an unknown key (naming the
    nearest right one) and for a value out of range.
    """
    data = read_toml(path)
    pipeline = parse_pipeline(data, where=str(path))
    paths = {
        name: tuple(path.parent / p.expanduser() for p in value)
        for name, value in pipeline.footage
        if isinstance(value, tuple) and value
    }
    features = pipeline.evaluate.features
    if isinstance(features, Path):
        features = path.parent / features.expanduser()
    teacher = pipeline.train.teacher
    if teacher is not None:
        teacher = path.parent / teacher.expanduser()
    return pipeline.model_copy(
        update={
            "footage": pipeline.footage.model_copy(update=paths),
            "train": pipeline.train.model_copy(update={"teacher": teacher}),
            "evaluate": pipeline.evaluate.model_copy(update={"features": features}),
        }
    )


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file: UTF-8, with or without a byte order mark. Raises ConfigError, in one line."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ConfigError(f"cannot read the pipeline file {path}: it has more than {_LARGEST_FILE >> 20} MiB")
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ConfigError(f"cannot read the pipeline file {path}: it is text in UTF-16; save it as UTF-8")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read the pipeline file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the pipeline file {path}: it is not text in UTF-8") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is not valid TOML: it is nested too deeply") from error
    except ValueError as error:  # a TOMLDecodeError, or a number of thousands of digits
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def shipped_pipelines() -> list[Path]:
    """The pipeline files that come with the package."""
    inside = Path(__file__).parent / "pipelines"
    folder = inside if inside.is_dir() else Path(__file__).parents[1] / "pipelines"
    return sorted(folder.glob("*.toml"))


def find_pipeline(name: Path) -> Path:
    """`name` itself if it is a file, else the shipped pipeline of that name. Raises ConfigError if neither."""
    if name.exists() or name.suffix:
        return name
    shipped = {path.stem: path for path in shipped_pipelines()}
    if str(name) not in shipped:
        raise ConfigError(f"no pipeline '{name}'; give a TOML file, or one that ships: {', '.join(shipped)}")
    return shipped[str(name)]


def parse_settings(model: type[T], data: dict[str, Any]) -> T:
    """Validate options of the command line. Raises ConfigError."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_first_problem(error, model)) from error


def parse_pipeline(data: dict[str, Any], *, where: str) -> Pipeline:
    """Validate the content of a pipeline file; `where` names it in errors. Raises ConfigError."""
    try:
        return Pipeline.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first_problem(error, Pipeline)}") from error


def _first_problem(error: ValidationError, root: type[BaseModel]) -> str:
    problems = error.errors()
    problem = problems[0]
    keys = _keys(problem["loc"])
    name = ".".join(keys)
    if problem["type"] == "extra_forbidden":
        known = sorted(_fields_at(root, keys[:-1]))
        near = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys here: {', '.join(known)}"
        return f"unknown key '{name[:80]}'; {hint}"
    kinds = [each["msg"] for each in problems if _keys(each["loc"]) == keys]  # several where it may be of several
    message = ", or: ".join(kinds[:3]).removeprefix("Value error, ")
    if problem["type"] == "string_pattern_mismatch":
        message = "expected a plain name, of letters, digits, '.', '_' and '-'"
    where = f"'{name}': " if name else ""
    given = "" if problem["type"] == "value_error" else f", got {brief(problem['input'])}"
    return f"{where}{message}{given}"


def _keys(place: tuple[int | str, ...]) -> list[str]:
    """Where in the settings a problem lies, without pydantic's names for the kinds that a value may be of."""
    return [str(key) for key in place if not re.match(r"(?:literal|function|constrained|tuple)\W", str(key))]


def _fields_at(model: type[BaseModel], keys: list[str]) -> set[str]:
    for key in keys:
        annotation: Any = model.model_fields[key].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return set(model.model_fields)
