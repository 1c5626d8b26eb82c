"""The networks of training: the two sides of the game, and one pass of clips through each."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from recycle.config import Domain, Pipeline
from recycle.losses import flow
from recycle.losses.contrastive import draw_places, take_patches
from recycle.networks.bundle import Bundle, BundleConfig, load_bundle
from recycle.networks.generator import GeneratorNetwork
from recycle.networks.projector import Projector
from recycle.networks.registry import make_generator, make_predictor


class Translated(NamedTuple):
    """What the generators and predictors make of real clips a and b, all (B, ·, 3, H, W) in [-1, 1].

    P is the number of frames that a predictor sees. Fields are None where no loss with a weight needs them.
    """

    fake_a: Tensor
    """T frames in domain a: b[:, :-1] through gen_ba, then pred_a's next frame (without predictors: T
    frames through gen_ba)."""
    fake_b: Tensor
    clip_a: Tensor | None
    """gen_ba(b), T frames, none predicted."""
    clip_b: Tensor | None
    cycle_a: Tensor | None
    """gen_ba(gen_ab(a)) for the frames that were translated one by one."""
    cycle_b: Tensor | None
    recycled_a: Tensor | None
    """(B, T−P, 3, H, W): gen_ba(pred_b(gen_ab(a))), to be compared with a[:, P:]."""
    recycled_b: Tensor | None
    next_a: Tensor | None
    """(B, T−P, 3, H, W): pred_a(a), to be compared with a[:, P:]."""
    next_b: Tensor | None
    same_a: Tensor | None
    """gen_ba(a), T frames."""
    same_b: Tensor | None
    spatial_ab: "Pair | None"
    """W(gen_ab(x)) and gen_ab(W(x) + Δ) for the first frame x of a."""
    spatial_ba: "Pair | None"
    moved_a: "Pair | None"
    """W(x) and gen_ba(W(gen_ab(x)) + Δ) for the first frame x of a."""
    moved_b: "Pair | None"
    patches_ab: "tuple[list[Tensor], list[Tensor]] | None"
    """Projected patches (N, S, 256) of gen_ab(a) and of a, for each layer."""
    patches_ba: "tuple[list[Tensor], list[Tensor]] | None"
    taught_a: Tensor | None
    """What the teacher makes of b, T frames."""
    taught_b: Tensor | None


class Pair(NamedTuple):
    """Two clips that ought to be equal."""

    one: Tensor
    other: Tensor


class Translators(nn.Module):
    """gen_ab, gen_ba, pred_a, pred_b, and the projectors of the contrastive loss: what one side of the game trains.

    A loss with weight 0 costs nothing. Every network sees all its frames of a step in as few batches as the
    data flow allows; InstanceNorm and GroupNorm keep the frames of a batch independent, so the result is that
    of one frame at a time.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        networks = pipeline.networks
        self.weights = pipeline.losses.weights
        self.past = networks.predictor.past
        self.learns_from = pipeline.losses.prediction.learns_from
        self.noise_back = pipeline.losses.noise_back
        self.gen_ab = make_generator(networks.generator, pretrained=True)
        self.gen_ba = make_generator(networks.generator, pretrained=True)
        self.pred_a = make_predictor(networks.predictor) if pipeline.predicts else None
        self.pred_b = make_predictor(networks.predictor) if pipeline.predicts else None
        self._teacher = None if pipeline.train.teacher is None else Teacher(load_bundle(pipeline.train.teacher))
        contrastive = self.weights.patch_nce > 0
        self.project_ab = Projector(self.gen_ab.feature_channels) if contrastive else None
        self.project_ba = Projector(self.gen_ba.feature_channels) if contrastive else None

    def generators(self) -> list[nn.Parameter]:
        """Parameters of generators and projectors, which one optimiser trains."""
        networks = (self.gen_ab, self.gen_ba, self.project_ab, self.project_ba)
        return [p for network in networks if network is not None for p in network.parameters()]

    def predictors(self) -> list[nn.Parameter]:
        """Parameters of both predictors."""
        return [p for network in (self.pred_a, self.pred_b) if network is not None for p in network.parameters()]

    def forward(self, a: Tensor, b: Tensor, *, recycle: bool = True) -> Translated:
        """Real clips a, b: (B, T, 3, H, W) float in [-1, 1] → Translated.

        recycle: whether the predictors are relied on; without, they only see real frames, and all T translated
        frames are the generators'.
        """
        w = self.weights
        ahead = recycle and w.recycle > 0
        whole = not ahead or w.temporal > 0 or w.paired > 0 or w.distillation > 0
        past_a, past_b = (a, b) if whole else (a[:, :-1], b[:, :-1])
        noisy_a, flow_a = _moved(a[:, :1]) if w.unsupervised_spatial else (None, None)
        noisy_b, flow_b = _moved(b[:, :1]) if w.unsupervised_spatial else (None, None)
        with torch.set_grad_enabled(torch.is_grad_enabled() and w.teach_generators(recycle=recycle)):
            fake_b, same_b, fake_noisy_a = _together(self.gen_ab, past_a, b if w.identity else None, noisy_a)
            fake_a, same_a, fake_noisy_b = _together(self.gen_ba, past_b, a if w.identity else None, noisy_b)
        assert fake_a is not None
        assert fake_b is not None

        ahead_a = ahead_b = next_a = next_b = None
        if self.pred_a is not None and self.pred_b is not None:
            ahead_b, next_b = self._predict(self.pred_b, fake_b[:, : a.shape[1] - 1] if ahead else None, b)
            ahead_a, next_a = self._predict(self.pred_a, fake_a[:, : a.shape[1] - 1] if ahead else None, a)

        one_a, one_b = a[:, :1], b[:, :1]
        back_a, carried_a = _moved(fake_b[:, :1], one_a) if w.unsupervised_recycle else (None, None)
        back_b, carried_b = _moved(fake_a[:, :1], one_b) if w.unsupervised_recycle else (None, None)
        cycle_a, recycled_a, moved_a = self._back(self.gen_ba, fake_b if w.cycle else None, ahead_b, back_a)
        cycle_b, recycled_b, moved_b = self._back(self.gen_ab, fake_a if w.cycle else None, ahead_a, back_b)
        frames = a.shape[1]
        return Translated(
            fake_a=fake_a if ahead_a is None else torch.cat((fake_a[:, : frames - 1], ahead_a[:, -1:]), dim=1),
            fake_b=fake_b if ahead_b is None else torch.cat((fake_b[:, : frames - 1], ahead_b[:, -1:]), dim=1),
            clip_a=fake_a if whole else None,
            clip_b=fake_b if whole else None,
            cycle_a=cycle_a,
            cycle_b=cycle_b,
            recycled_a=recycled_a,
            recycled_b=recycled_b,
            next_a=next_a,
            next_b=next_b,
            same_a=same_a,
            same_b=same_b,
            spatial_ab=_pair(_warped(fake_b[:, :1], flow_a), fake_noisy_a),
            spatial_ba=_pair(_warped(fake_a[:, :1], flow_b), fake_noisy_b),
            moved_a=_pair(carried_a, moved_a),
            moved_b=_pair(carried_b, moved_b),
            patches_ab=_patches(self.gen_ab, self.project_ab, past_a, fake_b),
            patches_ba=_patches(self.gen_ba, self.project_ba, past_b, fake_a),
            taught_a=None if self._teacher is None else self._teacher(b, to="a"),
            taught_b=None if self._teacher is None else self._teacher(a, to="b"),
        )

    def _back(self, generator: nn.Module, *clips: Tensor | None) -> tuple[Tensor | None, ...]:
        """The way back of translated clips (B, ·, 3, H, W), under noise where that is asked for."""
        if self.noise_back:
            clips = tuple(x if x is None else x + self.noise_back * torch.randn_like(x) for x in clips)
        return _together(generator, *clips)

    def _predict(self, predictor: nn.Module, fake: Tensor | None, real: Tensor) -> tuple[Tensor | None, Tensor]:
        """Predictions (B, T−P, 3, H, W) from translated and from real frames, in one call where both may teach."""
        windows = _windows(real[:, :-1], self.past)
        count = windows.shape[1]
        if fake is None:
            return None, per_frame(predictor, windows)
        translated = _windows(fake, self.past)
        if self.learns_from == "real":
            fixed = {name: parameter.detach() for name, parameter in predictor.named_parameters()}
            ahead: Tensor = functional_call(predictor, fixed, translated.flatten(0, 1))
            return ahead.unflatten(0, translated.shape[:2]), per_frame(predictor, windows)
        both = per_frame(predictor, torch.cat((translated, windows), dim=1))
        return both[:, :count], both[:, count:]

    def bundle(self, config: BundleConfig) -> Bundle:
        """A copy of the generators and predictors as a Bundle."""
        bundle = Bundle(config)
        own = self.state_dict()
        bundle.load_state_dict({key: own[key] for key in bundle.state_dict()})
        return bundle.to(next(self.parameters()).device).eval().requires_grad_(False)


class Teacher:
    """A trained model whose translations are repeated; it is neither trained nor saved."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._ready: dict[Domain, nn.Module] = {}

    @torch.no_grad()
    def __call__(self, clip: Tensor, *, to: Domain) -> Tensor:
        """(B, T, 3, H, W) float in [-1, 1] → its translation, float32, computed in the precision around it."""
        kind = clip.device.type
        if to not in self._ready:
            dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
            generator = self._bundle.gen_ab if to == "b" else self._bundle.gen_ba
            self._ready[to] = generator.for_inference(clip.device, dtype)
        with torch.autocast(kind, enabled=False):
            return per_frame(self._ready[to], clip.float()).float()


@dataclass(frozen=True)
class RecycleGAN:
    """Both sides of the game, as they are or set up by Fabric."""

    translators: Any
    discriminators: Any


def per_frame(network: nn.Module, clip: Tensor) -> Tensor:
    """Apply a network of single frames to (B, T, …) as one batch of B·T; the result is (B, T, …)."""
    out: Tensor = network(clip.flatten(0, 1))
    return out.unflatten(0, clip.shape[:2])


def _windows(clip: Tensor, past: int) -> Tensor:
    """(B, T, 3, H, W) → (B, T−past+1, past, 3, H, W): every run of `past` frames."""
    return clip.unfold(1, past, 1).movedim(-1, 2)


def _together(network: nn.Module, *clips: Tensor | None) -> tuple[Tensor | None, ...]:
    """All clips (B, ·, 3, H, W) through `network` in one call; None stays None."""
    given = [clip for clip in clips if clip is not None]
    if not given:
        return clips
    outs = iter(per_frame(network, torch.cat(given, dim=1)).split([clip.shape[1] for clip in given], dim=1))
    return tuple(None if clip is None else next(outs) for clip in clips)


def _moved(clip: Tensor, companion: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """W(clip) + Δ for a synthetic motion W drawn now; and W(companion), or the flow of W where there is none."""
    motion = flow.synthetic_flow(clip)
    noisy = flow.add_noise(flow.warp(clip, motion))
    return noisy, motion if companion is None else flow.warp(companion, motion)


def _warped(clip: Tensor, motion: Tensor | None) -> Tensor | None:
    return None if motion is None else flow.warp(clip, motion)


def _pair(one: Tensor | None, other: Tensor | None) -> Pair | None:
    return None if one is None or other is None else Pair(one, other)


def _patches(
    generator: GeneratorNetwork, project: nn.Module | None, source: Tensor, translated: Tensor
) -> tuple[list[Tensor], list[Tensor]] | None:
    """The generator's encoder looks at its input and at its output, at the same places."""
    if project is None:
        return None
    count = source.shape[0] * source.shape[1]
    layers = generator.features(torch.cat((translated.flatten(0, 1), source.flatten(0, 1))))
    patches = project([take_patches(layer, draw_places(layer)) for layer in layers])
    return [x[:count] for x in patches], [x[count:] for x in patches]
