"""Settings of generators, discriminators and predictors: one class for each kind, and the tables of the kinds."""

import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, Literal, Self, TypeVar, cast

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from recycle.config.base import FeatureName, Settings
from recycle.safe_text import brief

Encoder = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,80}$")]
"""Name of an encoder of segmentation_models_pytorch. Names that begin with 'tu-' are encoders of timm."""
Norm = Literal["instance", "batch", "none"]
K = TypeVar("K", bound=Settings)


class GeneratorSettings(Settings):
    """Base of the settings of all kinds of generator. docs/design/add-a-generator.md shows how to add a kind."""

    kind: str

    @property
    def description(self) -> str:
        """One line for the report."""
        return self.kind

    @property
    def lighter(self) -> str:
        """The setting to lower if memory runs out, with its value: the width; '' for a kind that has none."""
        width = getattr(self, "width", None)
        return "" if width is None else f"width (now {width})"


class ResNetSettings(GeneratorSettings):
    """ResNet generator of CycleGAN and ReCycle-GAN. The default."""

    kind: Literal["resnet"] = Field("resnet", exclude=True)
    """A file without a kind means this one. It is not written, so that files stay as older versions wrote them."""
    blocks: int = Field(6, ge=1, le=32)
    """Number of residual blocks: 6 or 9 in the published networks."""
    width: int = Field(64, ge=4, le=512)
    """Number of channels of the first layer: 64 in the published networks."""
    skip: bool = False
    """Add the frame itself to the output before its tanh (the global skip of DeblurGAN, Kupyn et al. 2018). The network
    starts as the identity, and learns in minutes if both domains share their layout. The published networks have no
    skip."""
    blur: bool = True
    """Start each up-sampling as bilinear interpolation and blur after it (Karras et al. 2019). It avoids a checkerboard
    pattern that short runs do not unlearn. The published networks do neither; the parameters are the same."""

    @property
    def description(self) -> str:
        """One line for the report."""
        return f"{self.blocks} blocks, width {self.width}"


class UNetSettings(GeneratorSettings):
    """U-Net generator whose encoder is EfficientNet-Lite0 and starts training from its ImageNet weights."""

    kind: Literal["unet"] = "unet"
    width: int = Field(16, ge=4, le=512)
    """Number of channels of the decoder's finest level; the coarsest has 6 times as many. The encoder has a fixed
    width."""
    skip: bool = False
    """Start from the identity: the output is tanh((1 + g) atanh(x) + c) for the frame x, with a gain g and a change c
    from the network. The gain can erase parts of the frame, such as stars by day; the ResNet's skip cannot."""

    @property
    def description(self) -> str:
        """One line for the report."""
        return f"U-Net on EfficientNet-Lite0, width {self.width}"


class Pix2PixHDSettings(GeneratorSettings):
    """Coarse-to-fine generator of pix2pixHD (Wang et al. 2018), for frames of 512 lines and more."""

    kind: Literal["pix2pixhd"] = "pix2pixhd"
    width: int = Field(32, ge=4, le=256)
    """Number of channels at the full size: 32 in the published network. The global generator, on half the size, begins
    with twice as many."""
    blocks: int = Field(9, ge=1, le=32)
    """Number of residual blocks of the global generator: 9 in the published network."""
    local_blocks: int = Field(3, ge=1, le=32)
    """Number of residual blocks of each local enhancer: 3 in the published network."""
    halvings: int = Field(4, ge=1, le=5)
    """Number of times that the global generator halves its frames: 4 in the published network."""
    enhancers: int = Field(1, ge=1, le=2)
    """Number of local enhancers, each of which doubles the size: 1 in the published network for 1024 lines."""
    skip: bool = False
    """Add the frame itself to the output before its tanh, as the setting of this name of the ResNet."""
    blur: bool = True
    """Start each up-sampling as bilinear interpolation and blur after it, as the setting of this name of the ResNet.
    The published network does neither; the parameters are the same."""

    @property
    def description(self) -> str:
        """One line for the report."""
        return f"coarse to fine, {self.blocks} + {self.enhancers} × {self.local_blocks} blocks, width {self.width}"


class CutSettings(GeneratorSettings):
    """ResNet generator of CUT with the options of the published code: anti-aliased sampling, and other norms.

    Imported models use it if 'resnet' cannot express them.
    """

    kind: Literal["cut"] = "cut"
    blocks: int = Field(9, ge=1, le=32)
    """Number of residual blocks."""
    width: int = Field(64, ge=4, le=512)
    """Number of channels of the first layer."""
    norm: Norm = "instance"
    """'instance': InstanceNorm. 'batch': batch normalisation with its stored statistics, which training does not
    change; it suits imported models. 'none': no normalisation."""
    antialias_down: bool = True
    """Halve the resolution by a blur after a convolution (Zhang 2019), not by a convolution with stride."""
    antialias_up: bool = True
    """Double the resolution by a blur before a convolution, not by a transposed convolution."""

    @property
    def description(self) -> str:
        """One line for the report."""
        return f"ResNet of CUT, {self.blocks} blocks, width {self.width}"


class DiscriminatorSettings(Settings):
    """Base of the settings of all kinds of discriminator."""

    kind: str

    @property
    def least_side(self) -> int:
        """Smallest side in pixels of frames that it can judge."""
        return 1

    @property
    def remedy(self) -> str:
        """The settings that determine `least_side`, and a remedy for smaller frames, in the form "A; lower B"."""
        return f"kind = '{self.kind}'; choose another kind"

    @property
    def compares_frames(self) -> bool:
        """Whether its judgement of a frame depends on the other frames of the batch."""
        return False

    @property
    def prefix(self) -> str:
        """Prefix of its name, such as the kind in projected_disc_b. PatchGANs have none: they are disc_a and disc_b."""
        return f"{self.kind}_"


class PatchSettings(DiscriminatorSettings):
    """PatchGAN discriminator. The default."""

    kind: Literal["patch"] = Field("patch", exclude=True)
    """A file without a kind means this one. It is not written, so that files stay as older versions wrote them."""
    layers: int = Field(3, ge=1, le=6)
    """Number of layers that halve the resolution. With 3 layers each output sees 70 × 70 pixels."""
    width: int = Field(64, ge=4, le=512)
    """Number of channels of the first layer."""
    norm: Literal["instance", "spectral"] = "instance"
    """'instance': InstanceNorm, as published. 'spectral': spectral normalisation of the weights (Miyato et al.
    2018)."""
    scales: int = Field(1, ge=1, le=4)
    """Number of discriminators per domain, each on frames half as large as the one before (Wang et al. 2018,
    pix2pixHD). Use more than 1 for frames much larger than one discriminator sees, or if few layers see little."""
    minibatch_std: bool = False
    """Give the last layer a measure of how much the frames of a batch differ (Karras et al. 2018). It works against
    mode collapse and needs at least two frames per batch."""
    by_kind: bool = Field(False, exclude_if=lambda by_kind: not by_kind)
    """Compare places of one kind only: sky with sky, road with road. Then nothing changes its colour only because
    one domain shows more sky. `losses.features` finds the kinds before the first step. False is not written, so that
    files stay as older versions wrote them."""

    @property
    def least_side(self) -> int:
        """Smallest side in pixels of frames that it can judge: the coarsest scale needs 3 × 2^layers pixels."""
        return (3 * 2**self.layers - 1) * 2 ** (self.scales - 1) + 1

    @property
    def remedy(self) -> str:
        """The settings that determine `least_side`, and a remedy for smaller frames."""
        return f"layers = {self.layers}, scales = {self.scales}; lower 'networks.discriminator.layers'"

    @property
    def compares_frames(self) -> bool:
        """Whether its judgement of a frame depends on the other frames of the batch."""
        return self.minibatch_std

    @property
    def prefix(self) -> str:
        """Prefix of its name: none."""
        return ""


class ProjectedSettings(DiscriminatorSettings):
    """Discriminator that judges features of a frozen network trained on ImageNet (Projected GAN, Sauer et al. 2021)."""

    kind: Literal["projected"] = "projected"
    weight: float = Field(1.0, gt=0, le=1e6)
    """Weight of its adversarial loss in the generators' objective, times `losses.weights.adversarial`."""
    features: FeatureName = "lite0"
    """The frozen network: 'lite0' (EfficientNet-Lite0), or 'timm:NAME', which timm downloads at the first use."""
    strides: tuple[Literal[2, 4, 8, 16, 32], ...] = Field((8, 16, 32), min_length=1, max_length=5)
    """Strides of the features to judge. Small strides show fine textures, large ones objects."""
    width: int = Field(64, ge=4, le=512)
    """Number of channels of the mixed features, and of the heads that judge them."""
    by_kind: bool = Field(False, exclude_if=lambda by_kind: not by_kind)
    """As for the kind 'patch'."""

    @model_validator(mode="after")
    def _each_stride_once(self) -> Self:
        if len(set(self.strides)) < len(self.strides):
            raise ValueError(f"'strides' must list each number once, got {self.strides}")
        return self

    @property
    def least_side(self) -> int:
        """Smallest side in pixels of frames that it can judge. Enlarged for the frozen network, such frames exceed its
        largest stride."""
        return 24

    @property
    def remedy(self) -> str:
        """The settings that determine `least_side`, and a remedy for smaller frames."""
        return "kind = 'projected'; use kind = 'patch'"


class PredictorSettings(Settings):
    """Base of the settings of all kinds of predictor. A predictor maps past frames to the next frame."""

    past: int = Field(2, ge=1, le=16)
    """Number of past frames that the predictor sees: 2 in the paper."""

    kind: str


class SmpSettings(PredictorSettings):
    """U-Net of segmentation_models_pytorch. The default."""

    kind: Literal["smp"] = "smp"
    width: int = Field(64, ge=4, le=512)
    """A quarter of the number of channels of the decoder's coarsest level."""
    encoder: Encoder = "tu-resnet18"
    """Encoder, by its name in segmentation_models_pytorch; 'tu-…' are timm's, built no deeper than `depth`."""
    depth: int = Field(4, ge=3, le=5)
    """Number of times the resolution is halved."""


class Pix2PixSettings(PredictorSettings):
    """U-Net of pix2pix, the predictor of the paper."""

    kind: Literal["pix2pix"] = "pix2pix"
    width: int = Field(64, ge=4, le=512)
    """Number of channels of the finest level."""
    encoder: Encoder = "tu-resnet18"
    """Has no effect: this U-Net has its own encoder. The setting remains because bundles hold it."""
    depth: int = Field(4, ge=3, le=8)
    """Number of times the resolution is halved: 7 (for 128 pixels) or 8 (for 256 pixels) in the paper."""
    norm: Literal["instance", "batch"] = Field("instance", exclude_if=lambda norm: norm == "instance")
    """'instance': InstanceNorm, as in the paper. 'batch': batch normalisation with its stored statistics, which suits
    imported models. 'instance' is not written, so that files stay as older versions wrote them."""


class ResNetPredictorSettings(PredictorSettings):
    """ResNet with the past frames as its input channels, a choice of the original ReCycle-GAN code."""

    kind: Literal["resnet"] = "resnet"
    blocks: int = Field(6, ge=1, le=32)
    """Number of residual blocks."""
    width: int = Field(64, ge=4, le=512)
    """Number of channels of the first layer."""
    norm: Norm = "instance"
    """As for the generator of kind 'cut'."""


class Kinds(Generic[K]):
    """The kinds of generator, discriminator or predictor, by name; an annotation of settings.

    Settings are validated by the class of their `kind`. A kind that is added later is valid in all settings with this
    annotation.
    """

    def __init__(self, *shipped: type[K], many: int = 1) -> None:
        """`shipped`: settings classes whose field `kind` has a default; the first class applies if no kind is given.
        `many`: maximum number of tables, of different kinds, that may be given as a list."""
        self._classes = {_kind_of(settings): settings for settings in shipped}
        self._default = _kind_of(shipped[0])
        self._many = many

    @property
    def classes(self) -> Mapping[str, type[K]]:
        """Name of each kind → class of its settings."""
        return self._classes

    def add(self, settings: type[K]) -> None:
        """Add a kind. Its name is the default of the field `kind` of the class. Raises ValueError if another class has
        this name."""
        kind = _kind_of(settings)
        if self._classes.setdefault(kind, settings) is not settings:
            raise ValueError(f"there is a network of kind '{kind}' already")

    def find(self, data: Any) -> type[K] | None:
        """The class of the settings `data`; None if its kind is unknown or `data` is not a dict."""
        kind = data.get("kind", self._default) if isinstance(data, dict) else None
        return self._classes.get(kind) if isinstance(kind, str) else None

    def validate(self, data: Any) -> K:
        """Validate the settings of one network. Raises ValueError or its subclass, pydantic's ValidationError."""
        if isinstance(data, tuple(self._classes.values())):
            return cast(K, data)
        if not isinstance(data, dict):
            raise ValueError(f"expected a table of settings, got {brief(data)}")
        settings = self.find(data)
        if settings is None:
            kind = data["kind"]
            near = difflib.get_close_matches(kind, self._classes, n=1) if isinstance(kind, str) else []
            hint = f"did you mean '{near[0]}'?" if near else f"known kinds: {', '.join(self._classes)}"
            raise ValueError(f"unknown kind {brief(kind)}; {hint}")
        return settings.model_validate(data)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept one table or, with `many` above 1, a list of tables. A list of one becomes that table."""
        as_it_is = core_schema.plain_serializer_function_ser_schema(_itself)
        one = core_schema.no_info_plain_validator_function(self.validate, serialization=as_it_is)
        if self._many == 1:
            return one
        several = core_schema.tuple_variable_schema(one, min_length=1, max_length=self._many)
        return core_schema.no_info_wrap_validator_function(self._one_or_several, several, serialization=as_it_is)

    def _one_or_several(self, data: Any, validate: Callable[[Any], tuple[K, ...]]) -> K | tuple[K, ...]:
        if not isinstance(data, list | tuple):
            return self.validate(data)
        tables = validate(data)
        kinds = [_kind_of(type(table)) for table in tables]
        if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
            raise ValueError(f"kind '{twice[0]}' is listed twice; list each kind once")
        return tables[0] if len(tables) == 1 else tables

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Accept a table of any kind."""
        kinds = {"anyOf": [handler(settings.__pydantic_core_schema__) for settings in self._classes.values()]}
        return kinds if self._many == 1 else {"anyOf": [*kinds["anyOf"], {"type": "array", "items": kinds}]}


def _kind_of(settings: type[Settings]) -> str:
    return str(settings.model_fields["kind"].default)


def _itself(value: Any) -> Any:
    return value


GENERATORS: Kinds[GeneratorSettings] = Kinds(ResNetSettings, UNetSettings, CutSettings, Pix2PixHDSettings)
DISCRIMINATORS: Kinds[DiscriminatorSettings] = Kinds(PatchSettings, ProjectedSettings, many=4)
PREDICTORS: Kinds[PredictorSettings] = Kinds(SmpSettings, Pix2PixSettings, ResNetPredictorSettings)


class NetworkSettings(Settings):
    """The three kinds of network. Both domains use the same settings."""

    generator: Annotated[GeneratorSettings, GENERATORS] = ResNetSettings()
    """Translates a frame from one domain to the other."""
    discriminator: Annotated[DiscriminatorSettings | tuple[DiscriminatorSettings, ...], DISCRIMINATORS] = (
        PatchSettings()
    )
    """Judges whether a frame is real. One table, or a list of tables of different kinds, whose losses add up."""
    predictor: Annotated[PredictorSettings, PREDICTORS] = SmpSettings()
    """Predicts the next frame of a domain from the past ones. Only the recycle and recurrent losses use it."""

    @property
    def discriminators(self) -> tuple[DiscriminatorSettings, ...]:
        """The settings of all kinds of discriminator, also if there is only one."""
        return self.discriminator if isinstance(self.discriminator, tuple) else (self.discriminator,)

    @property
    def of_clips(self) -> PatchSettings | None:
        """The settings of the discriminators that judge whole clips; None if no listed kind can."""
        own = next((each for each in self.discriminators if isinstance(each, PatchSettings)), None)
        return own and own.model_copy(update={"by_kind": False})  # a clip has no single kind at a place
