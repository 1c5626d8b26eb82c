"""The objective."""

from typing import Any, Literal

from pydantic import Field, model_validator

from recycle.config.base import Adversarial, Differentiable, Settings, Weight


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
