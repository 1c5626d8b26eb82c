"""The discriminators of a training, and their inputs."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.config import DiscriminatorSettings, Pipeline
from recycle.domains import BY_TARGET, Domain
from recycle.losses.diffaugment import augment
from recycle.networks.discriminator import Judgement
from recycle.networks.registry import make_discriminator

Side = Mapping[str, Tensor]
"""Inputs by the name of the discriminator: (B, N, C, H, W) in [-1, 1], N single frames, pairs or whole clips. After the
channels of frames and pairs come their marks: the kind of each place if kinds are used, in [0, KINDS]; then the mask if
there are masks, in [0, 1]."""


class Discriminators(nn.Module):
    """disc_a and disc_b, which judge frames, and clip_disc_a and clip_disc_b, which judge clips (temporal loss).

    Discriminators of a kind other than PatchGAN have the kind as a prefix, such as projected_disc_a. With paired
    footage, all that judge frames are conditional: they take a frame together with its source (Isola et al. 2017, eq.
    1). With masks, those that judge frames look inside: a patch counts as much as it lies in the mask. If both domains
    have masks, frames are grey outside, because the surroundings alone would tell real objects from translated ones
    (docs/measurements/masks.md). Those with the setting `by_kind` also take the kinds of places. A translated frame has
    the kinds and the mask of its source. The discriminators of clips take T frames as one of 3 T channels, as in
    TecoGAN (Chu et al. 2020) without its warping.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        networks, weights = pipeline.networks, pipeline.losses.weights
        self.augmentation = pipeline.losses.augment
        self.past = pipeline.networks.predictor.past
        self.sees_predictions = pipeline.losses.prediction.judged != "no"
        """Whether predictions from real frames are judged as translated frames."""
        self.conditional = pipeline.footage.paired
        self.masked = pipeline.footage.masked
        """Whether the inputs of the discriminators of frames have masks."""
        self.hides_outside = bool(pipeline.footage.mask_a and pipeline.footage.mask_b)
        """Whether frames are grey outside of their masks. With masks of one domain alone, grey would tell the domains
        apart."""
        self._channels = channels = 6 if self.conditional else 3
        self.networks = nn.ModuleDict()
        self.weights: dict[str, float] = {}
        """Weight of each discriminator in the generators' objective, in addition to the weight of the loss."""
        self._by_kind: set[str] = set()
        self._alone: set[str] = set()  # those that must not take real and translated frames in one batch
        self._judged: dict[str, tuple[Domain, bool]] = {}  # domain, and whether it judges clips

        def add(name: str, settings: DiscriminatorSettings, channels: int, domain: Domain, *, clips: bool) -> None:
            self.networks[name] = make_discriminator(settings, channels)
            self._judged[name] = domain, clips
            self.weights[name] = getattr(settings, "weight", 1.0)
            self._by_kind |= {name} if getattr(settings, "by_kind", False) else set()
            self._alone |= {name} if settings.compares_frames else set()

        for settings in networks.discriminators:
            for d in BY_TARGET:
                if weights.of("adversarial", d.name):
                    name = f"{settings.prefix}{d.discriminator}"
                    add(name, settings, channels, d.target, clips=False)
        for d in BY_TARGET:
            if weights.of("temporal", d.name) and networks.of_clips is not None:
                name, channels = f"clip_{d.discriminator}", 3 * pipeline.train.frames
                add(name, networks.of_clips, channels, d.target, clips=True)

    @property
    def by_kind(self) -> bool:
        """Whether the inputs of the discriminators of frames have kinds of places."""
        return bool(self._by_kind)

    def of(self, domain: Domain, *, clips: bool) -> list[str]:
        """Names of the discriminators that judge single frames, or clips, of a domain."""
        return [name for name, judged in self._judged.items() if judged == (domain, clips)]

    def forward(self, *sides: Side) -> list[dict[str, Judgement]]:
        """The judgement of every discriminator for each side, such as real and translated; logits are (B, N, …).

        All sides are computed in one batch if the network allows it.
        """
        judged: list[dict[str, Judgement]] = [{} for _ in sides]
        for name, network in self.networks.items():
            clips = [side[name] for side in sides]
            fuses = name not in self._alone
            groups = [torch.cat(clips, dim=1)] if fuses else clips
            verdicts = [self._judge(name, network, group) for group in groups]
            if fuses:
                verdicts = _split(verdicts[0], [clip.shape[1] for clip in clips])
            for own, verdict in zip(judged, verdicts, strict=True):
                own[name] = verdict
        return judged

    def seen(self, name: str, frames: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What a discriminator sees of its inputs (N, C, H, W): the pictures, and the kinds if it judges by them."""
        if self._judged[name][1]:
            return frames, ()
        pictures = frames[:, : self._channels]
        if self.hides_outside:
            pictures = pictures * frames[:, -1:]
        kinds = (frames[:, self._channels : self._channels + 1],) if name in self._by_kind else ()
        return pictures, kinds

    def _judge(self, name: str, network: nn.Module, clip: Tensor) -> Judgement:
        of_clips = self._judged[name][1]
        marks = 0 if of_clips else clip.shape[2] - self._channels
        frames = augment(clip.flatten(0, 1), self.augmentation, marks=marks)
        pictures, kinds = self.seen(name, frames)
        judgement: Judgement = network(pictures, *kinds)
        if self.masked and not of_clips:
            weights = (F.adaptive_avg_pool2d(frames[:, -1:], (x.shape[-2], x.shape[-1])) for x in judgement.logits)
            judgement = judgement._replace(inside=tuple(weights))
        return Judgement(*(tuple(x.unflatten(0, clip.shape[:2]) for x in part) for part in judgement))


def _split(judgement: Judgement, counts: list[int]) -> list[Judgement]:
    """Split a judgement along the frames."""
    parts = [tuple(x.split(counts, dim=1) for x in part) for part in judgement]
    return [Judgement(*(tuple(x[i] for x in part) for part in parts)) for i in range(len(counts))]
