"""The content of a pipeline file, and the rules between its groups."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Self

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from recycle.config.base import DomainNames, FolderName, Settings, two_names, unless_letters
from recycle.config.evaluate import EvaluateSettings
from recycle.config.footage import ExtractSettings, FootageSettings
from recycle.config.losses import LossSettings, PredictionSettings
from recycle.config.networks import NetworkSettings
from recycle.config.training import TrainSettings
from recycle.config.translate import TranslateSettings
from recycle.domains import LETTERS
from recycle.errors import ConfigError


class Pipeline(Settings):
    """The content of a pipeline file: one task, from footage to report."""

    name: FolderName = "recycle"
    """Name of the task. The run's folder is runs/NAME unless another one is given."""
    domains: DomainNames = LETTERS
    """Names of domains a and b, such as `["summer", "winter"]`. Reports, previews and messages use them, and `recycle
    translate --to winter` accepts them. Each name has at most 20 letters, digits, - and _. The names must differ. The
    first cannot be "b", and the second cannot be "a"."""
    footage: FootageSettings = FootageSettings()
    """The footage to learn from and to test on."""
    extract: ExtractSettings = ExtractSettings()
    """How video becomes frames on disk."""
    networks: NetworkSettings = NetworkSettings()
    """Generators, discriminators and predictors."""
    losses: LossSettings = LossSettings()
    """The objective."""
    train: TrainSettings = TrainSettings()
    """Clips, optimisation and devices of the training."""
    translate: TranslateSettings = TranslateSettings()
    """How video is translated and written."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """How models are scored."""

    @model_validator(mode="before")
    @classmethod
    def _paired_footage_has_its_own_weights(cls, data: Any) -> Any:
        """With `footage.paired`, use the objective of pix2pix (Isola et al. 2017, eq. 4; λ = 100).

        Weights in the file override these. The form of the adversarial loss is `losses.adversarial`; pix2pix uses
        "non_saturating" (section 3.3).
        """
        if not isinstance(data, dict) or not _get(data.get("footage"), "paired"):
            return data
        losses = data.get("losses") or {}
        given = _get(losses, "weights") or {}
        if not isinstance(losses, dict) or not isinstance(given, dict):
            return data
        weights = {"paired": 100.0} | given
        return {**data, "losses": {**losses, "weights": weights}}

    @model_validator(mode="before")
    @classmethod
    def _label_domain_by_its_name(cls, data: Any) -> Any:
        evaluate = _get(data, "evaluate")
        word = _get(evaluate, "label_domain")
        if not isinstance(data, dict) or not isinstance(evaluate, dict) or not isinstance(word, str):
            return data
        try:
            names = two_names(data["domains"]) if "domains" in data else LETTERS
        except ValueError:  # the validation of `domains` reports it
            return data
        try:
            return {**data, "evaluate": {**evaluate, "label_domain": names.find(word)}}
        except ConfigError as error:
            raise ValueError(f"'evaluate.label_domain': {error}") from error

    @model_serializer(mode="wrap")
    def _without_the_usual_names(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return unless_letters(write(self))

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        for problem in chain(self._misfits(), self._in_vain()):
            raise ValueError(problem)
        return self

    def _misfits(self) -> Iterator[str]:
        """Settings that contradict each other, one line each."""
        weights, prediction = self.losses.weights, self.losses.prediction
        shrunk = 2**self.train.grow
        for each in self.networks.discriminators if weights.adversarial or weights.temporal else ():
            if min(self.train.size) // shrunk < each.least_side:
                why, _, remedy = each.remedy.partition("; ")
                least = -(-each.least_side // 4) * 4 * shrunk
                yield (
                    f"'train.size' {self.train.size} is too small for the discriminators: with {why} and grow = "
                    f"{self.train.grow} each side needs at least {least} pixels; {remedy} or enlarge 'size'"
                )
        if weights.temporal and self.networks.of_clips is None:
            yield (
                "'losses.weights.temporal' needs a discriminator of kind 'patch', the only kind that judges clips; add "
                "one to 'networks.discriminator'"
            )
        yield from _problems(self)
        if prediction != PredictionSettings() and not (weights.recycle and weights.recurrent):
            yield (
                "'losses.prediction' has an effect only with both the recycle and the recurrent loss; set their "
                "'losses.weights', or remove 'losses.prediction'"
            )
        if not weights.used():
            yield "'losses.weights' are all 0, so there is nothing to learn; set at least one of them"

    def _in_vain(self) -> Iterator[str]:
        """Settings that would have no effect, one line each."""
        weights, train = self.losses.weights, self.train
        if not (weights.adversarial or weights.temporal):
            for name in ("r1", "augment"):
                if getattr(self.losses, name):
                    yield (
                        f"'losses.{name}' has an effect only on discriminators; set 'losses.weights.adversarial', or "
                        "remove it"
                    )
        for name in ("perceptual", "patch_nce"):
            if getattr(self.losses, f"{name}_by") == "features" and not getattr(weights, name):
                yield f"'losses.{name}_by' has no effect without 'losses.weights.{name}'; set this weight, or remove it"
        if self.losses.noise_back and not (weights.cycle or weights.recycle or weights.unsupervised_recycle):
            yield (
                "'losses.noise_back' has an effect only on frames that are translated back; set a weight of cycle, "
                "recycle or unsupervised_recycle, or remove it"
            )
        if any(each.compares_frames for each in self.networks.discriminators) and train.batch_size * train.frames < 2:
            yield (
                "'networks.discriminator.minibatch_std' compares the frames of a batch, so 'train.batch_size' × "
                "'train.frames' must be at least 2"
            )
        if train.stride != 1 and train.frames == 1:
            yield "'train.stride' has an effect only on clips with several frames; set 'train.frames' to 2 or more"
        if train.match and self.footage.paired:
            yield "'train.match' is for unpaired footage; remove it, or set 'footage.paired' to false"
        if train.match and not (weights.adversarial or weights.temporal):
            yield "'train.match' has an effect only on discriminators; set 'losses.weights.adversarial', or remove it"
        if train.predictor_rate != 1 and not self.predicts:
            yield (
                "'train.predictor_rate' has an effect only on predictors; set a weight of recycle or recurrent, or "
                "remove it"
            )
        if self.translate.smoothing and not self.predicts:
            yield "'translate.smoothing' needs predictors; set a weight of recycle or recurrent, or remove it"
        if (self.evaluate.palette is None) != (self.evaluate.label_domain is None):
            yield "set both 'evaluate.palette' and 'evaluate.label_domain', or neither"

    @property
    def distinguishes_kinds(self) -> bool:
        """Whether the loss of colours or a discriminator distinguishes kinds of places."""
        judges = self.networks.discriminators if self.losses.weights.adversarial else ()
        return bool(self.losses.weights.colours) or any(getattr(each, "by_kind", False) for each in judges)

    @property
    def predicts(self) -> bool:
        """Whether the objective needs predictors."""
        return bool(self.losses.weights.recycle or self.losses.weights.recurrent)


def _problems(pipeline: Pipeline) -> Iterator[str]:
    """The rules of the losses that a pipeline violates, one line each."""
    from recycle.objective.terms import problems  # not at the top, because it imports torch

    return problems(pipeline)


def _get(group: Any, key: str) -> Any:
    return group.get(key) if isinstance(group, dict) else getattr(group, key, None)
