"""Discriminators that judge each kind of place by itself, and what amounts of a kind are worth to them."""

import torch
from torch import Tensor

from recycle.config import PatchSettings, Pipeline, parse_pipeline
from recycle.losses.adversarial import discriminator_loss
from recycle.networks.by_kind import KINDS, logits_at
from recycle.networks.registry import make_discriminator
from recycle.objective.discriminators import Discriminators
from recycle.objective.passing import Pass
from recycle.objective.sides import discriminator_losses, fake_side, real_side
from recycle.objective.translators import Translators

SKY, GROUND = 3, 5
"""Numbers of two kinds."""
DARK, BRIGHT = -0.5, 0.5


def test_a_place_gets_the_score_of_its_kind_and_one_without_a_kind_gets_none() -> None:
    scores = torch.zeros(1, 1 + KINDS, 2, 2)
    scores[:, 0] = 10
    scores[:, SKY], scores[:, KINDS] = 1, 4
    kinds = torch.tensor([[SKY, 0], [KINDS, GROUND]])[None, None]
    assert logits_at(scores, kinds)[0, 0].tolist() == [[11, 10], [14, 10]]
    large = kinds.repeat_interleave(3, 2).repeat_interleave(3, 3).float()
    assert torch.equal(logits_at(scores, large), logits_at(scores, kinds))
    assert logits_at(scores, None)[0, 0].tolist() == [[10, 10], [10, 10]]


def frames(share: float, sky: float) -> tuple[Tensor, Tensor]:
    """Four noisy frames (4, 3, 64, 64) of tiles that are sky or ground, and their kinds (4, 1, 64, 64).

    `share`: proportion of sky. `sky`: its grey level in [-1, 1].
    """
    tiles = (torch.rand(4, 4, 4) < share).repeat_interleave(16, 1).repeat_interleave(16, 2)[:, None]
    pictures = torch.where(tiles, sky, BRIGHT) + 0.05 * torch.randn(4, 3, 64, 64)
    return pictures, torch.where(tiles, SKY, GROUND)


def gain_of_recolouring(*, by_kind: bool) -> float:
    """How much more real a discriminator finds translated frames whose sky has the colour of ground.

    Real frames show a quarter of sky, translated ones three quarters. In half of these, sky has the wrong colour.
    """
    torch.manual_seed(0)
    network = make_discriminator(PatchSettings(width=8, layers=1, norm="spectral", by_kind=by_kind))
    optimiser = torch.optim.Adam(network.parameters(), 1e-2, betas=(0.5, 0.99))

    def logits(share: float, sky: float) -> Tensor:
        pictures, kinds = frames(share, sky)
        made: Tensor = (network(pictures, kinds) if by_kind else network(pictures)).logits[0]
        return made

    for _ in range(60):
        real, right, wrong = logits(0.25, DARK), logits(0.75, DARK), logits(0.75, BRIGHT)
        loss = discriminator_loss(real, torch.cat((right, wrong)), "least_squares", (None, None))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return float(logits(0.75, BRIGHT).mean() - logits(0.75, DARK).mean())


def test_only_without_kinds_sky_looks_more_real_in_the_colour_of_the_ground() -> None:
    assert gain_of_recolouring(by_kind=False) > 0.1
    assert gain_of_recolouring(by_kind=True) < -0.1


def pipeline(by_kind: bool = True, **more: object) -> Pipeline:
    judges = [{"width": 4, "layers": 2, "by_kind": by_kind}, {"kind": "projected", "width": 8, "by_kind": by_kind}]
    networks = {"generator": {"width": 4, "blocks": 1}, "predictor": {"kind": "pix2pix", "width": 4, "depth": 3}}
    groups = {
        "networks": networks | {"discriminator": judges},
        "losses": {"weights": {"recycle": 1, "recurrent": 1, "temporal": 1}, "r1": 1.0},
        "train": {"frames": 3, "size": [32, 32], "device": "cpu"},
        **more,
    }
    return parse_pipeline(groups, where="test")


def test_a_translated_frame_has_the_kinds_of_its_source_and_a_prediction_those_of_the_real_frame() -> None:
    torch.manual_seed(0)
    chosen = pipeline()
    translators, discriminators = Translators(chosen), Discriminators(chosen)
    a, b = torch.rand(2, 2, 3, 3, 32, 32) * 2 - 1
    p = Pass(a, b, translators(a, b))
    p.put_kinds("a", torch.full((2, 3, 2, 2), SKY))
    p.put_kinds("b", torch.full((2, 3, 2, 2), GROUND))
    real, fake = (side(discriminators, p, predictions=True) for side in (real_side, fake_side))
    for name in ("disc_b", "projected_disc_b"):
        assert real[name].shape == fake[name].shape == (2, 4, 4, 32, 32)
        assert (real[name][:, :, 3] == GROUND).all()
        assert (fake[name][:, :3, 3] == SKY).all()
        assert (fake[name][:, 3:, 3] == GROUND).all()
    assert real["clip_disc_b"].shape == (2, 1, 9, 32, 32)
    judges = []
    losses, _ = discriminator_losses(discriminators, real, fake, chosen.losses)
    sum(losses.values(), torch.zeros(())).backward()
    for name, bias in discriminators.networks.named_parameters():
        if bias.shape == (1 + KINDS,):
            assert bias.grad is not None
            assert set(bias.grad.nonzero().flatten().tolist()) == {0, SKY, GROUND}, name
            judges.append(name)
    assert len(judges) == 2 * (1 + 3)  # in both domains PatchGAN and three levels of features


def test_a_file_without_it_stays_as_it_was() -> None:
    assert "by_kind" not in pipeline(by_kind=False).model_dump_json()
    assert pipeline(by_kind=False).distinguishes_kinds is False
    assert Pipeline.model_validate_json(pipeline().model_dump_json()) == pipeline()
