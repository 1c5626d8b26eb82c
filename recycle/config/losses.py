"""The objective."""

import difflib
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from recycle.config.base import Adversarial, Differentiable, FeatureName, Settings, Weight
from recycle.safe_text import brief

DirectionName = Literal["ab", "ba"]
DIRECTIONS: tuple[DirectionName, DirectionName] = ("ab", "ba")


class PerDirection(Settings):
    """A loss's weight for each direction of translation."""

    ab: Weight = 0.0
    ba: Weight = 0.0

    def __bool__(self) -> bool:
        return bool(self.ab or self.ba)


LossWeight = Weight | PerDirection
"""A number for both directions, or a table such as { ab = 10, ba = 0 }."""
FURTHER: set[str] = set()
"""Names of losses that are defined outside of this package (recycle.objective.terms.add_term)."""


class LossWeights(Settings):
    """Weight of each loss; 0 switches it off and it costs nothing. See recycle.objective.terms and docs/method.md.

    If you set any weight, unset ones default to 0, except `adversarial` (1). Each may be given per direction; the
    direction ab is that of gen_ab, disc_b and pred_b.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, LossWeight]

    adversarial: LossWeight = 1.0
    temporal: LossWeight = 0.0
    """Adversarial loss of discriminators that judge all T frames of a clip together."""
    content: LossWeight = 0.0
    """The translation holds the same things at the same places, to a frozen feature network (`losses.features`)."""
    self_similarity: LossWeight = 0.0
    """Places that look alike in the source look alike in the translation, to the same network."""
    colours: LossWeight = 0.0
    """Every kind of place (sky, road …, found by the same network without labels) has colours that it has in the
    target."""
    feature_matching: LossWeight = 0.0
    """Translated and real frames look alike to each layer of the discriminator."""
    cycle: LossWeight = 0.0
    recycle: LossWeight = 0.0
    recurrent: LossWeight = 0.0
    identity: LossWeight = 0.0
    unsupervised_spatial: LossWeight = 0.0
    """W(G(x)) is G(W(x)) for a synthetic motion W."""
    unsupervised_recycle: LossWeight = 0.0
    """The way back of W(G(x)) is W(x), for a synthetic motion W: recycle without a predictor."""
    patch_nce: LossWeight = 0.0
    """Contrastive loss of patches, in place of or beside cycle and recycle."""
    perceptual: LossWeight = 0.0
    """Distance of cycled and recycled frames from the real ones, as a network's layers see them
    (`losses.perceptual_by`)."""
    paired: LossWeight = 0.0
    """L1 distance from the true counterpart; only with `footage.paired`."""
    distillation: LossWeight = 0.0
    """L1 distance from what `train.teacher` makes of the same frame."""

    @model_validator(mode="before")
    @classmethod
    def _known_losses_only(cls, data: Any) -> Any:
        known = sorted({*cls.model_fields, *FURTHER})
        for name in data if isinstance(data, dict) else ():
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
                hint = f"did you mean '{near[0]}'?" if near else f"losses are: {', '.join(known)}"
                raise ValueError(f"there is no loss {brief(name)}; {hint}")
        return data

    def of(self, name: str, direction: DirectionName) -> float:
        """The weight of a loss in one direction."""
        weight = getattr(self, name, 0.0)
        return float(getattr(weight, direction)) if isinstance(weight, PerDirection) else float(weight)

    def used(self) -> set[str]:
        """Names of the losses with a weight in either direction."""
        return {name for name, weight in self if weight}

    def taught(self, *, recycle: bool) -> set[DirectionName]:
        """Directions in which a step has a loss for the generator; recycle: whether predictors are relied on."""
        losses = self.used() - ({"recurrent"} if recycle else {"recurrent", "recycle"})
        return {direction for direction in DIRECTIONS if any(self.of(name, direction) for name in losses)}


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
    features: FeatureName = "lite0"
    """The frozen network of the content loss, and of those that say "features" below: 'lite0' (EfficientNet-Lite0,
    ImageNet), or 'timm:NAME' (timm downloads it at the first use)."""
    perceptual_by: Literal["discriminator", "features"] = "discriminator"
    """Whose layers compare cycled and recycled frames with the real ones in the perceptual loss."""
    patch_nce_by: Literal["generator", "features"] = "generator"
    """Whose features tell patches apart in the contrastive loss: the generator's own encoder's, as in CUT, or the
    frozen network's."""
    prediction: PredictionSettings = PredictionSettings()
    weights: LossWeights = LossWeights(cycle=2.0, unsupervised_spatial=5.0, unsupervised_recycle=2.0)

    @model_validator(mode="before")
    @classmethod
    def _the_default_is_weights_and_noise(cls, data: Any) -> Any:
        """Weights that a file gives are all of the objective; without them it is the default's, noise included."""
        return {"noise_back": 0.1} | data if isinstance(data, dict) and "weights" not in data else data
