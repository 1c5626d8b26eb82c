"""The batched step gives the losses and gradients of the paper's frame-by-frame formulas."""

from collections import Counter
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from recycle.config import LossWeights, Pipeline, parse_pipeline
from recycle.training.model import RecycleGAN
from recycle.training.pool import FramePool
from recycle.training.step import (
    NotFiniteError,
    Optimisers,
    discriminator_losses,
    generator_losses,
    training_step,
)

ALL = {"adversarial": 1.0, "cycle": 4.0, "recycle": 10.0, "recurrent": 3.0, "identity": 2.0}
PAPER = {"adversarial": 1.0, "cycle": 0.0, "recycle": 10.0, "recurrent": 10.0, "identity": 0.0}
CYCLEGAN = {"adversarial": 1.0, "cycle": 10.0, "recycle": 0.0, "recurrent": 0.0, "identity": 5.0}


def small(weights: dict[str, float], distance: str = "l1", predictor: str = "smp", frames: int = 3) -> Pipeline:
    return parse_pipeline(
        {
            "networks": {
                "generator": {"width": 4, "blocks": 1},
                "discriminator": {"width": 4, "layers": 2},
                "predictor": {"kind": predictor, "width": 4, "depth": 3},
            },
            "losses": {"weights": weights, "distance": distance},
            "train": {"frames": frames, "size": [16, 20]},
        },
        where="test",
    )


def clips(frames: int = 3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    a, b = torch.rand(2, 2, frames, 3, 16, 20, generator=random, dtype=torch.float64) * 2 - 1
    return a, b


def literal_losses(
    model: RecycleGAN, a: Tensor, b: Tensor, squared: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The equations of the paper (X = a, Y = b), one frame of one clip at a time."""

    def norm(x: Tensor, y: Tensor) -> Tensor:
        return ((x - y) ** 2).mean() if squared else (x - y).abs().mean()

    losses_g: dict[str, Tensor] = {name: a.new_zeros(()) for name in ALL}
    losses_d = {"disc_a": a.new_zeros(()), "disc_b": a.new_zeros(())}
    batch, frames = a.shape[:2]
    sides = [("disc_b", a, b, model.gen_ab, model.gen_ba, model.pred_b, model.pred_a, model.disc_b)]
    sides += [("disc_a", b, a, model.gen_ba, model.gen_ab, model.pred_a, model.pred_b, model.disc_a)]
    for name, xs, ys, gen_y, gen_x, pred_y, pred_x, disc_y in sides:
        for x, y in zip(xs, ys, strict=True):
            past = range(frames - 1) if pred_y is not None else range(frames)
            fakes = [gen_y(x[t][None]) for t in past]
            for t in past:
                losses_g["cycle"] = losses_g["cycle"] + norm(x[t], gen_x(fakes[t])[0]) / batch
            if pred_y is not None and pred_x is not None:
                fakes.append(pred_y(torch.stack(fakes, dim=1)))
                losses_g["recycle"] = losses_g["recycle"] + norm(x[-1], gen_x(fakes[-1])[0]) / batch
                losses_g["recurrent"] = losses_g["recurrent"] + norm(x[-1], pred_x(x[None, :-1])[0]) / batch
            for fake in fakes:
                losses_g["adversarial"] = losses_g["adversarial"] + ((disc_y(fake) - 1) ** 2).mean() / batch
                losses_d[name] = losses_d[name] + 0.5 * (disc_y(fake.detach()) ** 2).mean() / batch
            for frame in y:
                losses_d[name] = losses_d[name] + 0.5 * ((disc_y(frame[None]) - 1) ** 2).mean() / batch
                losses_g["identity"] = losses_g["identity"] + norm(frame, gen_y(frame[None])[0]) / batch
    return losses_g, losses_d


def gradients(total: Tensor, parameters: list[nn.Parameter]) -> list[Tensor | None]:
    return list(torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=True))


@pytest.mark.parametrize("weights", [ALL, PAPER, CYCLEGAN])
@pytest.mark.parametrize(("distance", "predictor"), [("l1", "smp"), ("l2", "pix2pix")])
def test_losses_and_gradients_equal_the_equations(weights: dict[str, float], distance: str, predictor: str) -> None:
    torch.manual_seed(0)
    pipeline = small(weights, distance, predictor)
    model = RecycleGAN(pipeline).double()
    a, b = clips()
    out = model(a, b)
    losses_g = generator_losses(model, out, a, b, pipeline.losses)
    losses_d = discriminator_losses(model, out.fake_a.detach(), out.fake_b.detach(), a, b, pipeline.losses)
    literal_g, literal_d = literal_losses(model, a, b, squared=distance == "l2")

    assert set(losses_g) == {name for name, weight in weights.items() if weight}
    for name, loss in losses_g.items():
        torch.testing.assert_close(loss, literal_g[name], rtol=1e-12, atol=1e-12)
    for name, loss in losses_d.items():
        torch.testing.assert_close(loss, literal_d[name], rtol=1e-12, atol=1e-12)

    for ours, theirs, parameters in (
        (
            sum(weights[n] * x for n, x in losses_g.items()),
            sum(w * literal_g[n] for n, w in weights.items()),
            model.translators(),
        ),
        (sum(losses_d.values()), sum(literal_d.values()), model.discriminators()),
    ):
        assert isinstance(ours, Tensor)
        assert isinstance(theirs, Tensor)
        for mine, literal in zip(gradients(ours, parameters), gradients(theirs, parameters), strict=True):
            assert mine is not None
            torch.testing.assert_close(
                mine, literal if literal is not None else torch.zeros_like(mine), rtol=1e-9, atol=1e-11
            )


def make_step(pipeline: Pipeline) -> tuple[Any, Optimisers, tuple[FramePool, FramePool], Fabric]:
    fabric = Fabric(accelerator="cpu", devices=1, precision="64-true")
    model = RecycleGAN(pipeline)
    optimisers = Optimisers(
        fabric.setup_optimizers(torch.optim.Adam(model.translators(), 1e-3)),
        fabric.setup_optimizers(torch.optim.Adam(model.discriminators(), 1e-3)),
    )
    return fabric.setup_module(model), optimisers, (FramePool(4, 0), FramePool(4, 1)), fabric


def test_a_step_makes_ten_network_calls() -> None:
    pipeline = small(PAPER)
    model, optimisers, pools, fabric = make_step(pipeline)
    calls: Counter[str] = Counter()
    for name in ("gen_ab", "gen_ba", "pred_a", "pred_b", "disc_a", "disc_b"):
        getattr(model.module, name).register_forward_hook(lambda *_, name=name: calls.update([name]))
    training_step(model, optimisers, pools, *clips(), pipeline.losses, fabric=fabric, clip_norm=10)
    assert calls == {"gen_ab": 2, "gen_ba": 2, "pred_a": 1, "pred_b": 1, "disc_a": 2, "disc_b": 2}


@pytest.mark.parametrize("form", ["least_squares", "minimax", "non_saturating", "hinge", "wasserstein"])
def test_every_network_learns_and_only_by_its_own_loss(form: str) -> None:
    pipeline = small(PAPER)
    losses = pipeline.losses.model_copy(update={"adversarial": form})
    model, optimisers, pools, fabric = make_step(pipeline)
    a, b = clips()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    result = training_step(model, optimisers, pools, a, b, losses, fabric=fabric, clip_norm=10)
    assert set(result) == {"adversarial", "recycle", "recurrent", "disc_a", "disc_b"}
    changed = {key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"gen_ab", "gen_ba", "pred_a", "pred_b", "disc_a", "disc_b"}


def test_the_generators_step_does_not_touch_the_discriminators() -> None:
    pipeline = small(PAPER)
    model, optimisers, pools, fabric = make_step(pipeline)
    frozen = []
    model.module.disc_a.register_forward_hook(
        lambda disc, *_: frozen.append(not any(p.requires_grad for p in disc.parameters()))
    )
    training_step(model, optimisers, pools, *clips(), pipeline.losses, fabric=fabric, clip_norm=10)
    assert frozen == [True, False]


def test_loss_names_are_the_weights_keys() -> None:
    pipeline = small(ALL)
    model = RecycleGAN(pipeline).double()
    a, b = clips()
    assert set(generator_losses(model, model(a, b), a, b, pipeline.losses)) == set(LossWeights.model_fields)


def test_without_time_it_is_cyclegan_and_has_no_predictors() -> None:
    pipeline = small(CYCLEGAN, frames=1)
    model = RecycleGAN(pipeline).double()
    assert model.pred_a is None
    assert model.pred_b is None
    a, b = clips(frames=1)
    losses = generator_losses(model, model(a, b), a, b, pipeline.losses)
    fake_b = model.gen_ab(a[:, 0])
    back_a = model.gen_ba(fake_b)
    fake_a = model.gen_ba(b[:, 0])
    back_b = model.gen_ab(fake_a)
    cycle = (a[:, 0] - back_a).abs().mean() + (b[:, 0] - back_b).abs().mean()
    torch.testing.assert_close(losses["cycle"], cycle)
    adversarial = ((model.disc_b(fake_b) - 1) ** 2).mean() + ((model.disc_a(fake_a) - 1) ** 2).mean()
    torch.testing.assert_close(losses["adversarial"], adversarial)


def test_a_loss_that_is_not_finite_is_named_and_changes_nothing() -> None:
    pipeline = small(PAPER)
    model, optimisers, pools, fabric = make_step(pipeline)
    a, b = clips()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    a[0, -1, 0, 3, 3] = float("nan")  # the last frame of a: seen by the recycle and recurrent losses alone
    with pytest.raises(NotFiniteError, match="recycle and recurrent"):
        training_step(model, optimisers, pools, a, b, pipeline.losses, fabric=fabric, clip_norm=10)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_the_pool_gives_back_old_frames_in_about_half_of_the_cases_and_resumes_exactly() -> None:
    pool = FramePool(8, seed=0)
    stream = torch.arange(400.0).reshape(200, 2, 1, 1, 1).expand(200, 2, 3, 2, 2)
    old = sum(int((pool.exchange(clip[None])[0] != clip).flatten(1).any(1).sum()) for clip in stream)
    assert 150 < old < 250
    other = FramePool(8, seed=5)
    other.load_state_dict(pool.state_dict(), torch.device("cpu"))
    for clip in stream[:20] + 1000:
        torch.testing.assert_close(pool.exchange(clip[None]), other.exchange(clip[None]))


def test_an_empty_pool_passes_frames_through() -> None:
    clip = torch.rand(1, 3, 3, 4, 4)
    assert FramePool(0, seed=0).exchange(clip) is clip
