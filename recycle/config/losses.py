"""Settings of the objective: weights and forms of the losses."""

import difflib
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from recycle.config.base import Adversarial, Differentiable, FeatureName, Settings, Weight
from recycle.domains import DIRECTIONS, DirectionName
from recycle.safe_text import brief


class PerDirection(Settings):
    """Weight of a loss for each direction of translation."""

    ab: Weight = 0.0
    """Weight for a → b, the direction of gen_ab, disc_b and pred_b."""
    ba: Weight = 0.0
    """Weight for b → a."""

    def __bool__(self) -> bool:
        return bool(self.ab or self.ba)


LossWeight = Weight | PerDirection
"""A number for both directions, or a table with one for each, such as { ab = 10, ba = 0 }."""
FURTHER: set[str] = set()
"""Names of losses that are defined outside this package; see `recycle.objective.terms.add_term`."""


class LossWeights(Settings):
    """Weight of each loss. A loss with weight 0 is off and costs nothing.

    If you set any weight, unset ones default to 0, except `adversarial` (1). A weight is a number for both directions,
    or a table such as `{ ab = 10, ba = 0 }`; the direction ab is that of gen_ab, disc_b and pred_b.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, LossWeight]

    adversarial: LossWeight = 1.0
    """Translated frames look real to the discriminators."""
    temporal: LossWeight = 0.0
    """Adversarial loss of discriminators that judge all T frames of a clip together."""
    content: LossWeight = 0.0
    """A frame and its translation have similar features at the same places, by a frozen network (`losses.features`)."""
    self_similarity: LossWeight = 0.0
    """Places that look alike in the source also look alike in the translation, by the same frozen network."""
    colours: LossWeight = 0.0
    """Each kind of place, such as sky or road, has the colours that it has in the target domain. The features of the
    same frozen network define the kinds, without labels."""
    feature_matching: LossWeight = 0.0
    """Translated and real frames have similar features in the layers of the discriminator."""
    cycle: LossWeight = 0.0
    """A frame that is translated and translated back equals the original frame (CycleGAN)."""
    recycle: LossWeight = 0.0
    """The frame that follows a translated clip is predicted and translated back. The result equals the next real frame
    (ReCycle-GAN). Uses predictors."""
    recurrent: LossWeight = 0.0
    """The predictors predict the next real frame (ReCycle-GAN)."""
    identity: LossWeight = 0.0
    """A frame that is already in the target domain stays as it is."""
    unsupervised_spatial: LossWeight = 0.0
    """For a synthetic motion W, the translation of a moved frame equals the moved translation: G(W(x)) = W(G(x))."""
    unsupervised_recycle: LossWeight = 0.0
    """For a synthetic motion W, the moved translation, translated back, equals the moved frame. This is the recycle
    loss without a predictor."""
    patch_nce: LossWeight = 0.0
    """Contrastive loss: a patch of the translation resembles the source patch at its place more than others (CUT)."""
    perceptual: LossWeight = 0.0
    """Distance of cycled and recycled frames from the real ones, in the layers of a network
    (`losses.perceptual_by`)."""
    conservation: LossWeight = 0.0
    """Outside of the masks (`footage.mask_a`, `mask_b`), the translation equals its source."""
    paired: LossWeight = 0.0
    """L1 distance from the true counterpart. Only with `footage.paired`."""
    distillation: LossWeight = 0.0
    """L1 distance from the translation that `train.teacher` makes of the same frame."""

    @model_validator(mode="before")
    @classmethod
    def _known_losses_only(cls, data: Any) -> Any:
        known = sorted({*cls.model_fields, *FURTHER})
        for name in data if isinstance(data, dict) else ():
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
                hint = f"did you mean '{near[0]}'?" if near else f"known losses: {', '.join(known)}"
                raise ValueError(f"unknown loss {brief(name)}; {hint}")
        return data

    def of(self, name: str, direction: DirectionName) -> float:
        """The weight of a loss in one direction; 0 if the loss has no weight."""
        weight = getattr(self, name, 0.0)
        return float(getattr(weight, direction)) if isinstance(weight, PerDirection) else float(weight)

    def used(self) -> set[str]:
        """Names of the losses with a weight above 0 in at least one direction."""
        return {name for name, weight in self if weight}

    def taught(self, *, recycle: bool) -> set[DirectionName]:
        """Directions in which a step has a loss for the generator. `recycle` tells whether the recycle loss is on."""
        losses = self.used() - ({"recurrent"} if recycle else {"recurrent", "recycle"})
        return {d.name for d in DIRECTIONS if any(self.of(name, d.name) for name in losses)}


class PredictionSettings(Settings):
    """How the predictors learn, and when the recycle loss begins to use them."""

    learns_from: Literal["both", "real"] = "both"
    """'both': predictors learn from the recurrent loss on real frames and from the recycle loss, as in the original
    code. 'real': from the recurrent loss alone (joliGEN)."""
    judged: Literal["no", "unopposed", "opposed"] = "no"
    """Whether discriminators treat predictions P(y) from real frames as fakes. 'no': they do not. 'unopposed': they do,
    but predictors have no adversarial loss, as in the original code. 'opposed': they do, and predictors have an
    adversarial loss (adversarial_loss_p of the original code)."""
    wait: bool = False
    """Keep the recycle loss off until predictions are better than a copy of the last frame."""


class LossSettings(Settings):
    """The objective: the form of the losses. Their weights are in `[losses.weights]`."""

    adversarial: Adversarial = "least_squares"
    """Form of the adversarial loss."""
    distance: Literal["l1", "l2"] = "l1"
    """Distance of the cycle, recycle, recurrent and identity losses. 'l1': as in the original code; it blurs less.
    'l2': the mean of squares, as in the paper's formulas."""
    gradient_penalty: Weight = 10.0
    """Weight of the gradient penalty of `adversarial = "wasserstein"`."""
    r1: Weight = 0.0
    """Weight γ of the R1 penalty on the discriminators' gradient at real frames (Mescheder et al. 2018). 0: off."""
    augment: tuple[Differentiable, ...] = Field((), max_length=16)
    """Random changes of the real and translated frames that discriminators see (DiffAugment, Zhao et al. 2020). Use it
    for little footage, and 'translation' between photographs."""
    noise_back: float = Field(0.0, ge=0, le=1)
    """Standard deviation of noise that is added to translated frames, with values in [-1, 1], before they are
    translated back. It keeps the generator from hiding the source in faint patterns (Bashkirova et al. 2019, section
    3.1). 0.1 if the file sets no weights."""
    features: FeatureName = "lite0"
    """The frozen network of the content, self-similarity and colours losses, and of the settings below that say
    'features'. 'lite0': EfficientNet-Lite0, trained on ImageNet. 'timm:NAME': a network that timm downloads at the
    first use."""
    perceptual_by: Literal["discriminator", "features"] = "discriminator"
    """Network whose layers the perceptual loss compares: the discriminator, or the frozen network."""
    patch_nce_by: Literal["generator", "features"] = "generator"
    """Network whose features the contrastive loss compares: the generator's encoder, as in CUT, or the frozen
    network."""
    prediction: PredictionSettings = PredictionSettings()
    """How the predictors learn."""
    weights: LossWeights = LossWeights(cycle=2.0, unsupervised_spatial=5.0, unsupervised_recycle=2.0)
    """Weight of each loss."""

    @model_validator(mode="before")
    @classmethod
    def _the_default_is_weights_and_noise(cls, data: Any) -> Any:
        """Set the default `noise_back` only with the default weights. If a file sets weights, it is 0 unless set."""
        return {"noise_back": 0.1} | data if isinstance(data, dict) and "weights" not in data else data
