"""Completes a chosen pipeline: settings of extraction, augmentation, scoring and schedule, and the reasons.

Each reason is a comment in the pipeline file, beside the setting that it explains.
"""

from typing import Any

from recycle.config import LossSettings
from recycle.dataset.clips import FEW_CLIPS
from recycle.dataset.survey import Survey
from recycle.domains import DOMAINS
from recycle.runs.pace import REVIEW
from recycle.training.clock import REVIEWING

SLOW_FPS = 15
"""Frames per second to keep of faster footage. At 30 or 60, neighbouring frames are nearly equal."""
LARGE = 384
"""Short side in pixels from which a discriminator with a receptive field of 70 pixels sees little of a frame."""

RATES = (
    # maximum steps, learning rate, discriminators' rate ÷ generators' rate, decay of the moving average
    (1_500, 4e-4, 0.3, 0.995),
    (4_000, 3e-4, 0.4, 0.998),
    (12_000, 2e-4, 0.5, 0.998),
    (40_000, 2e-4, 0.5, 0.999),
)
"""Schedules by the number of steps. Longer runs use the defaults."""
CONSERVATION = 10.0
"""Weight of the conservation loss with masks (docs/measurements/masks.md)."""
SLOW = 0.1
"""Discriminators' learning rate ÷ generators' between photographs, for more steps than in the first row. Faster ones
detect every translation in the end, and generators add shapes (docs/measurements/photographs.md, "Longer runs")."""


def complete_footage(facts: Survey, side: int, data: dict[str, Any], reasons: dict[str, str]) -> None:
    """Add the settings of extraction, augmentation and scoring that follow from the footage."""
    sides = (facts.a, facts.b)
    fastest = max(each.fps for each in sides)
    if not all(each.extracted for each in sides):
        data["extract"]["short_side"] = side
        reasons["extract.short_side"] = "the size of the training frames"
        kept = [each.frames * min(1.0, SLOW_FPS / each.fps) for each in sides]
        if fastest > 1.6 * SLOW_FPS and min(kept) >= FEW_CLIPS:
            data["extract"]["fps"] = float(SLOW_FPS)
            reasons["extract.fps"] = f"at {fastest:.3g} frames per second, neighbouring frames are nearly equal"
    if facts.labelled:
        data["extract"]["format"] = "png"
        reasons["extract.format"] = "png is lossless, so label colours stay exact"
    if meaning := _meaning(facts):
        data["train"]["augment"] = {"colour": 0}
        reasons["train.augment.colour"] = meaning
    if [each.street_labels for each in sides].count(True) == 1:
        of_labels = next(domain for domain, side in zip(DOMAINS, sides, strict=True) if side.street_labels)
        data["evaluate"] = {"label_domain": of_labels, "palette": "street"}
        reasons["evaluate.palette"] = "the label maps have the colours of the procedural street"
    few = min(each.frames for each in sides) < FEW_CLIPS
    if few or facts.photographs:
        data["losses"]["augment"] = ["translation"]  # without "colour", because colours are to be learned
        why = f"fewer than {FEW_CLIPS} frames" if few else "for photographs"
        reasons["losses.augment"] = f"{why}: without random shifts, the discriminators would memorise the frames"


def _meaning(facts: Survey) -> str | None:
    """The reason why training must not change colours; None if it may."""
    if facts.labelled:
        return "the colours of label maps have a meaning"
    return "grey levels may have a meaning, such as a temperature" if facts.a.grey or facts.b.grey else None


def complete_masks(data: dict[str, Any], reasons: dict[str, str]) -> None:
    """With masks, keep what lies outside of them, and leave out the loss that would change its colours."""
    if not {"mask_a", "mask_b"} & data["footage"].keys():
        return
    usual = LossSettings()
    given = data["losses"].get("weights")
    if given is None:  # a file that names weights has no others
        data["losses"]["noise_back"] = usual.noise_back
        given = {name: weight for name, weight in usual.weights if weight}
    data["losses"]["weights"] = {name: weight for name, weight in given.items() if name != "colours"} | {
        "conservation": CONSERVATION
    }
    reasons["losses.weights.conservation"] = "what lies outside of the masks stays as it is"
    reasons.pop("losses.weights.colours", None)


def explain_networks(facts: Survey, side: int, data: dict[str, Any], reasons: dict[str, str]) -> None:
    """Add the reasons for the networks and losses."""
    if data["networks"]["generator"].get("kind") == "unet":
        reasons["networks.generator.kind"] = "its encoder, trained on ImageNet, separates objects from their background"
        if facts.photographs:
            reasons["networks.generator.skip"] = "training starts from the identity"
        else:
            reasons["networks.generator.kind"] += (
                "; no skip connection, because one domain may be of another kind of sensor: what is bright in one may "
                "be dark in the other"
            )
    judges = data["networks"]["discriminator"]
    if isinstance(judges, list):
        reasons["networks.discriminator"] = (
            "for photographs: a PatchGAN, and one on features trained on ImageNet; both compare sky with sky and road "
            "with road, because one domain may show more of them than the other"
        )
        reasons["losses.weights.self_similarity"] = "parts that look alike stay alike"
        reasons["train.pool_size"] = "discriminators see current translations only, which gave better results in tests"
        reasons["losses.weights.unsupervised_spatial"] = "learns motion from synthetic motion, without predictors"
        reasons["losses.weights.identity"] = "what both domains share, such as the sky, keeps its colours"
        if "cycle" in data["losses"]["weights"]:
            reasons["losses.weights.cycle"] = (
                "between domains this far apart, training invents things without it; a higher weight would preserve "
                "what should change"
            )
        if "colours" in data["losses"]["weights"]:
            reasons["losses.weights.colours"] = (
                "each kind of place, such as sky and road, gets colours that it has in real frames"
            )
        return
    field = "networks.discriminator"
    reasons[f"{field}.width"] = "as wide as the generators"
    reasons[f"{field}.layers"] = f"with 3 layers, a discriminator sees 70 pixels, which is most of {side}"
    much = f"at one scale, a discriminator sees 70 pixels, which is a small part of {side}"
    reasons[f"{field}.scales"] = (
        "one discriminator judges details, the other shapes twice as large" if side < LARGE else much
    )


def complete_schedule(
    facts: Survey, steps: int, seconds: float, train: dict[str, Any], reasons: dict[str, str]
) -> None:
    """Add the learning rates and the moving average for `steps`, and the intervals of previews and checkpoints."""
    for most, rate, discriminators_rate, ema in RATES:
        if steps <= most:
            train |= {"learning_rate": rate, "discriminator_rate": discriminators_rate, "ema": ema}
            short = f"for about {about(steps)} steps"
            reasons["train.learning_rate"] = short
            reasons["train.discriminator_rate"] = f"{short}: in a short run, faster discriminators run away"
            reasons["train.ema"] = f"{short}: averages about the last {round(1 / (1 - ema))}"
            break
    if facts.photographs and steps > RATES[0][0]:
        train["discriminator_rate"] = SLOW
        reasons["train.discriminator_rate"] = "for photographs: in long runs, faster discriminators change shapes"
    train["preview_every"] = _round(max(steps / 20, REVIEW / REVIEWING))
    train["checkpoint_every"] = _round(min(steps / 10, 600 / seconds))
    reasons["train.preview_every"] = f"about {duration(train['preview_every'] * seconds / 3600)} of training"
    reasons["train.checkpoint_every"] = f"about {duration(train['checkpoint_every'] * seconds / 3600)} of training"


def _round(number: float) -> int:
    """The largest of 1, 2, 5, 10, 20, 50 … that is at most `number`; at least 1."""
    scale = 1
    while 10 * scale <= number:
        scale *= 10
    return max(scale * step for step in (1, 2, 5) if scale * step <= max(1, number))


def about(number: int) -> str:
    """An estimated number as text, rounded to two significant digits."""
    scale = 10 ** max(0, len(str(number)) - 2)
    return f"{round(number / scale) * scale:,}".replace(",", " ")


def duration(hours: float) -> str:
    """Hours as text, in hours, minutes or seconds."""
    for unit, each in (("hour", 1), ("minute", 60), ("second", 3600)):
        amount = f"{float(f'{hours * each:.3g}'):g}"
        if float(amount) >= 1 or unit == "second":
            break
    return f"{amount} {unit}" if amount == "1" else f"{amount} {unit}s"
