"""The batched step gives the losses and gradients of the paper's frame-by-frame formulas."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from recycle.config import LossWeights, Pipeline, parse_pipeline
from recycle.domains import AB
from recycle.networks.bundle import Bundle, BundleConfig, save_bundle
from recycle.objective.discriminators import Discriminators
from recycle.objective.losses import both, generator_losses
from recycle.objective.passing import Pass
from recycle.objective.sides import discriminator_losses, fake_side, real_side
from recycle.objective.translators import Translators
from recycle.training.pool import FramePool
from recycle.training.step import (
    NotFiniteError,
    Optimisers,
    RecycleGAN,
    training_step,
)

ALL = {"adversarial": 1.0, "cycle": 4.0, "recycle": 10.0, "recurrent": 3.0, "identity": 2.0}
PAPER = {"adversarial": 1.0, "cycle": 0.0, "recycle": 10.0, "recurrent": 10.0, "identity": 0.0}
CYCLEGAN = {"adversarial": 1.0, "cycle": 10.0, "recycle": 0.0, "recurrent": 0.0, "identity": 5.0}


Changes = dict[str, Any]


def small(weights: dict[str, float], distance: str = "l1", predictor: str = "smp", **changes: Changes) -> Pipeline:
    """A pipeline of tiny networks; changes: settings of its groups, such as train={"frames": 5}."""
    groups: dict[str, Changes] = {
        "networks": {
            "generator": {"width": 4, "blocks": 1},
            "discriminator": {"width": 4, "layers": 2} | changes.get("discriminator", {}),
            "predictor": {"kind": predictor, "width": 4, "depth": 3},
        },
        "losses": {"weights": weights, "distance": distance} | changes.get("losses", {}),
        "train": {"frames": 3, "size": [16, 20]} | changes.get("train", {}),
        "footage": changes.get("footage", {}),
    }
    return parse_pipeline(groups, where="test")


def clips(frames: int = 3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    a, b = torch.rand(2, 2, frames, 3, 16, 20, generator=random, dtype=torch.float64) * 2 - 1
    return a, b


def networks(pipeline: Pipeline) -> tuple[Translators, Discriminators]:
    torch.manual_seed(0)
    return Translators(pipeline).double(), Discriminators(pipeline).double()


def all_losses(
    translators: Translators, discriminators: Discriminators, a: Tensor, b: Tensor, pipeline: Pipeline
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    settings = pipeline.losses
    out = Pass(a, b, translators(a, b))
    losses_g = both(generator_losses(translators.terms, discriminators, out, settings))
    shown = discriminators.sees_predictions
    real = real_side(discriminators, out, predictions=shown)
    fake = fake_side(discriminators, out, predictions=shown)
    fake = {name: clip.detach() for name, clip in fake.items()}
    losses_d, _ = discriminator_losses(discriminators, real, fake, settings)
    return losses_g, losses_d


def literal_losses(
    translators: Translators, discriminators: Discriminators, a: Tensor, b: Tensor, pipeline: Pipeline
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The equations of the paper (X = a, Y = b), one frame of one clip at a time.

    With `prediction.judged` the fourth pair of the original code as well: predictions from real frames as fakes.
    """
    judged = pipeline.losses.prediction.judged
    past = 2

    def norm(x: Tensor, y: Tensor) -> Tensor:
        return ((x - y) ** 2).mean() if pipeline.losses.distance == "l2" else (x - y).abs().mean()

    losses_g: dict[str, Tensor] = {name: a.new_zeros(()) for name in ALL}
    losses_d = {"disc_a": a.new_zeros(()), "disc_b": a.new_zeros(())}
    batch, frames = a.shape[:2]
    t = translators
    sides = [("disc_b", a, b, t.gen_ab, t.gen_ba, t.pred_b, t.pred_a)]
    sides += [("disc_a", b, a, t.gen_ba, t.gen_ab, t.pred_a, t.pred_b)]
    for name, xs, ys, gen_y, gen_x, pred_y, pred_x in sides:

        def disc_y(frame: Tensor, name: str = name) -> Tensor:
            (logits,) = discriminators.networks[name](frame).logits
            return logits

        for x, y in zip(xs, ys, strict=True):
            indices = range(frames - 1) if pred_y is not None else range(frames)
            fakes = [gen_y(x[i][None]) for i in indices]
            for i in indices:
                losses_g["cycle"] = losses_g["cycle"] + norm(x[i], gen_x(fakes[i])[0]) / batch
            shown, opposed = list(fakes), []
            if pred_y is not None and pred_x is not None:
                for i in range(past, frames):
                    ahead = pred_y(torch.stack(fakes[i - past : i], dim=1))
                    losses_g["recycle"] = losses_g["recycle"] + norm(x[i], gen_x(ahead)[0]) / batch
                    next_x = pred_x(x[None, i - past : i])
                    losses_g["recurrent"] = losses_g["recurrent"] + norm(x[i], next_x[0]) / batch
                    opposed.append((pred_y(y[None, i - past : i]), y[i]))
                shown.append(ahead)
            for fake in [*shown, *(p for p, _ in opposed if judged == "opposed")]:
                losses_g["adversarial"] = losses_g["adversarial"] + ((disc_y(fake) - 1) ** 2).mean() / batch
            for fake in [*shown, *(p for p, _ in opposed if judged != "no")]:
                losses_d[name] = losses_d[name] + 0.5 * (disc_y(fake.detach()) ** 2).mean() / batch
            for frame in [*y, *(real for _, real in opposed if judged != "no")]:
                losses_d[name] = losses_d[name] + 0.5 * ((disc_y(frame[None]) - 1) ** 2).mean() / batch
            for frame in y:
                losses_g["identity"] = losses_g["identity"] + norm(frame, gen_y(frame[None])[0]) / batch
    return losses_g, losses_d


def gradients(total: Tensor, parameters: list[nn.Parameter]) -> list[Tensor | None]:
    return list(torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=True))


@pytest.mark.parametrize("weights", [ALL, PAPER, CYCLEGAN])
@pytest.mark.parametrize(
    ("distance", "predictor", "judged", "frames"),
    [("l1", "smp", "no", 3), ("l2", "pix2pix", "unopposed", 3), ("l1", "smp", "opposed", 5)],
)
def test_losses_and_gradients_equal_the_equations(
    weights: dict[str, float], distance: str, predictor: str, judged: str, frames: int
) -> None:
    losses = {} if weights is CYCLEGAN else {"prediction": {"judged": judged}}
    pipeline = small(weights, distance, predictor, train={"frames": frames}, losses=losses)
    translators, discriminators = networks(pipeline)
    a, b = clips(frames)
    losses_g, losses_d = all_losses(translators, discriminators, a, b, pipeline)
    literal_g, literal_d = literal_losses(translators, discriminators, a, b, pipeline)

    assert set(losses_g) == {name for name, weight in weights.items() if weight}
    for name, loss in losses_g.items():
        torch.testing.assert_close(loss, literal_g[name], rtol=1e-12, atol=1e-12)
    for name, loss in losses_d.items():
        torch.testing.assert_close(loss, literal_d[name], rtol=1e-12, atol=1e-12)

    for ours, theirs, parameters in (
        (
            sum(weights[n] * x for n, x in losses_g.items()),
            sum(w * literal_g[n] for n, w in weights.items()),
            [*translators.generators(), *translators.predictors()],
        ),
        (sum(losses_d.values()), sum(literal_d.values()), list(discriminators.parameters())),
    ):
        assert isinstance(ours, Tensor)
        assert isinstance(theirs, Tensor)
        for mine, literal in zip(gradients(ours, parameters), gradients(theirs, parameters), strict=True):
            assert mine is not None
            torch.testing.assert_close(
                mine, literal if literal is not None else torch.zeros_like(mine), rtol=1e-9, atol=1e-11
            )


def make_step(pipeline: Pipeline) -> dict[str, Any]:
    """What `training_step` takes beside the clips."""
    fabric = Fabric(accelerator="cpu", devices=1, precision="64-true")
    torch.manual_seed(0)
    translators, discriminators = Translators(pipeline), Discriminators(pipeline)
    groups = [{"params": group} for group in (translators.generators(), translators.predictors()) if group]
    optimisers = Optimisers(
        fabric.setup_optimizers(torch.optim.Adam(groups, 1e-3)),
        fabric.setup_optimizers(torch.optim.Adam(discriminators.parameters(), 1e-3)),
    )
    return {
        "model": RecycleGAN(fabric.setup_module(translators), fabric.setup_module(discriminators)),
        "optimisers": optimisers,
        "pools": {"disc_a": FramePool(4, 0), "disc_b": FramePool(4, 1)},
        "settings": pipeline.losses,
        "fabric": fabric,
        "clip_norm": 10,
    }


def weights_of(model: RecycleGAN) -> dict[str, Tensor]:
    """Every parameter and buffer, by the network's name and its own."""
    state = {**model.translators.state_dict(), **model.discriminators.state_dict()}
    return {key.removeprefix("networks."): value.clone() for key, value in state.items()}


def changed_networks(before: dict[str, Tensor], model: RecycleGAN) -> set[str]:
    return {key.split(".")[0] for key, value in weights_of(model).items() if not torch.equal(value, before[key])}


def test_a_step_makes_ten_network_calls() -> None:
    task = make_step(small(PAPER))
    translators, discriminators = task["model"].translators.module, task["model"].discriminators.module
    calls: Counter[str] = Counter()
    for name, network in {**dict(translators.named_children()), **discriminators.networks}.items():
        network.register_forward_hook(lambda *_, name=name: calls.update([name]))
    training_step(a=clips()[0], b=clips()[1], **task)
    assert calls == {"gen_ab": 2, "gen_ba": 2, "pred_a": 1, "pred_b": 1, "disc_a": 2, "disc_b": 2}


@pytest.mark.parametrize("form", ["least_squares", "minimax", "non_saturating", "hinge", "wasserstein"])
def test_every_network_learns_and_only_by_its_own_loss(form: str) -> None:
    task = make_step(small(PAPER, losses={"adversarial": form}))
    before = weights_of(task["model"])
    report = training_step(a=clips()[0], b=clips()[1], **task)
    assert set(report.losses) == {"adversarial", "recycle", "recurrent", "disc_a", "disc_b"}
    assert changed_networks(before, task["model"]) == {"gen_ab", "gen_ba", "pred_a", "pred_b", "disc_a", "disc_b"}


def test_the_generators_step_does_not_touch_the_discriminators() -> None:
    task = make_step(small(PAPER))
    frozen = []
    task["model"].discriminators.module.networks["disc_a"].register_forward_hook(
        lambda disc, *_: frozen.append(not any(p.requires_grad for p in disc.parameters()))
    )
    training_step(a=clips()[0], b=clips()[1], **task)
    assert frozen == [True, False]


def test_without_time_it_is_cyclegan_and_has_no_predictors() -> None:
    pipeline = small(CYCLEGAN, train={"frames": 1})
    translators, discriminators = networks(pipeline)
    assert translators.predictors() == []
    a, b = clips(frames=1)
    losses, _ = all_losses(translators, discriminators, a, b, pipeline)
    fake_b = translators.gen_ab(a[:, 0])
    back_a = translators.gen_ba(fake_b)
    fake_a = translators.gen_ba(b[:, 0])
    back_b = translators.gen_ab(fake_a)
    cycle = (a[:, 0] - back_a).abs().mean() + (b[:, 0] - back_b).abs().mean()
    torch.testing.assert_close(losses["cycle"], cycle)
    (logits_b,), (logits_a,) = (
        discriminators.networks[name](fake).logits for name, fake in (("disc_b", fake_b), ("disc_a", fake_a))
    )
    torch.testing.assert_close(losses["adversarial"], ((logits_b - 1) ** 2).mean() + ((logits_a - 1) ** 2).mean())


def test_a_loss_that_is_not_finite_is_named_and_changes_nothing() -> None:
    task = make_step(small(PAPER))
    a, b = clips()
    before = weights_of(task["model"])
    a[0, -1, 0, 3, 3] = float("nan")  # the last frame of a: seen by the recycle and recurrent losses alone
    with pytest.raises(NotFiniteError, match="the loss recycle and recurrent is not finite"):
        training_step(a=a, b=b, **task)
    assert changed_networks(before, task["model"]) == set()


@pytest.mark.parametrize("weights", [ALL, PAPER, {**CYCLEGAN, "temporal": 0.5}])
def test_a_batch_in_portions_gives_the_same_step(weights: dict[str, float]) -> None:
    """Out of memory, a batch is worked through clip by clip; the result is that of the whole."""
    results = []
    for parts in (1, 2):
        task = make_step(small(weights))
        task["pools"] = {}
        report = training_step(a=clips()[0], b=clips()[1], parts=parts, **task)
        results.append((report, weights_of(task["model"])))
    (one, after_one), (two, after_two) = results
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(after_one, after_two, rtol=1e-6, atol=1e-8)


EXTRA = {
    "temporal": {"clip_disc_a", "clip_disc_b"},
    "unsupervised_spatial": set(),
    "unsupervised_recycle": set(),
    "patch_nce": {"project_ab", "project_ba"},
    "feature_matching": set(),
    "perceptual": set(),
}


@pytest.mark.parametrize("name", EXTRA)
def test_a_further_loss_reaches_the_generators_and_brings_only_its_own_networks(name: str) -> None:
    pipeline = small({**PAPER, name: 1.0})
    translators, discriminators = networks(pipeline)
    plain = {*networks(small(PAPER))[0].state_dict(), *networks(small(PAPER))[1].state_dict()}
    brought = {key for key in {*translators.state_dict(), *discriminators.state_dict()} if key not in plain}
    assert {key.removeprefix("networks.").split(".")[0] for key in brought} == EXTRA[name]
    a, b = clips()
    losses, losses_d = all_losses(translators, discriminators, a, b, pipeline)
    assert float(losses[name]) > 0
    for generator in (translators.gen_ab, translators.gen_ba):
        assert all(g is not None for g in gradients(losses[name], list(generator.parameters())[-2:]))
    assert set(losses_d) == {"disc_a", "disc_b"} | {key for key in EXTRA[name] if "disc" in key}
    task = make_step(pipeline)
    before = weights_of(task["model"])
    report = training_step(a=a, b=b, **task)
    assert set(report.losses) == {name, "adversarial", "recycle", "recurrent", *losses_d}
    assert changed_networks(before, task["model"]) >= {"gen_ab", "gen_ba", "disc_a", "disc_b"} | EXTRA[name]


def test_loss_names_are_the_weights_keys(tmp_path: Path) -> None:
    teacher = small(PAPER)
    save_bundle(Bundle(BundleConfig(networks=teacher.networks)), tmp_path)
    names: set[str] = set()
    for pipeline in (
        small(dict.fromkeys(LossWeights.model_fields.keys() - {"paired", "distillation", "conservation"}, 1.0)),
        small({"conservation": 1.0}, footage={"a": ["a"], "mask_a": ["m"]}),
        small({}, footage={"paired": True}),
        small({"distillation": 1.0}, train={"teacher": str(tmp_path)}),
    ):
        names |= set(all_losses(*networks(pipeline), *clips(), pipeline)[0])
    assert names == set(LossWeights.model_fields)


def test_predictors_that_learn_from_real_frames_alone_get_only_the_recurrent_gradient() -> None:
    pipeline = small(PAPER, losses={"prediction": {"learns_from": "real"}})
    translators, discriminators = networks(pipeline)
    losses, _ = all_losses(translators, discriminators, *clips(), pipeline)
    others = losses["adversarial"] + losses["recycle"]
    assert all(gradient is None for gradient in gradients(others, translators.predictors()))
    assert all(gradient is not None for gradient in gradients(others, translators.generators()))
    both = small(PAPER)
    usual, _ = all_losses(*networks(both), *clips(), both)
    torch.testing.assert_close(losses, usual, rtol=1e-12, atol=1e-12)


def test_without_reliance_predictors_see_real_frames_alone() -> None:
    pipeline = small(PAPER, losses={"prediction": {"wait": True}})
    translators, discriminators = networks(pipeline)
    a, b = clips()
    out = Pass(a, b, translators(a, b, recycle=False))
    losses = both(generator_losses(translators.terms, discriminators, out, pipeline.losses))
    assert set(losses) == {"adversarial", "recurrent"}
    torch.testing.assert_close(out.shown(AB)[:, -1], translators.gen_ab(a[:, -1]))
    assert all(gradient is None for gradient in gradients(losses["adversarial"], translators.predictors()))


def test_paired_discriminators_judge_a_frame_with_its_source() -> None:
    pipeline = small({}, footage={"paired": True})
    assert pipeline.losses.weights == LossWeights(paired=100)
    translators, discriminators = networks(pipeline)
    a, b = clips()
    losses, losses_d = all_losses(translators, discriminators, a, b, pipeline)
    adversarial, l1, loss_d = 0.0, 0.0, 0.0
    for x, y in zip(a, b, strict=True):
        for t in range(3):
            fake = translators.gen_ab(x[t][None])
            judged = discriminators.networks["disc_b"](torch.cat((x[t][None], fake), dim=1)).logits[0]
            real = discriminators.networks["disc_b"](torch.cat((x[t], y[t]))[None]).logits[0]
            adversarial += float(((judged - 1) ** 2).mean()) / 2
            loss_d += float(((real - 1) ** 2).mean() + (judged**2).mean()) / 4
            l1 += float((y[t] - fake[0]).abs().mean()) / 2
    assert float(losses_d["disc_b"]) == pytest.approx(loss_d, rel=1e-10)
    other = small({}, footage={"paired": True})  # the other direction adds its own
    mirrored, _ = all_losses(_mirrored(translators), _swapped(discriminators), b, a, other)
    torch.testing.assert_close(mirrored, losses)
    assert adversarial < float(losses["adversarial"])
    assert l1 < float(losses["paired"])


def _mirrored(translators: Translators) -> Translators:
    translators.gen_ab, translators.gen_ba = translators.gen_ba, translators.gen_ab
    return translators


def _swapped(discriminators: Discriminators) -> Discriminators:
    networks = discriminators.networks
    networks["disc_a"], networks["disc_b"] = networks["disc_b"], networks["disc_a"]
    return discriminators


def test_r1_comes_at_every_sixteenth_step() -> None:
    pipeline = small(PAPER, losses={"r1": 1.0})
    translators, discriminators = networks(pipeline)
    a, b = clips()
    out = Pass(a, b, translators(a, b))
    real = real_side(discriminators, out, predictions=False)
    fake = fake_side(discriminators, out, predictions=False)
    fake = {name: clip.detach() for name, clip in fake.items()}
    with_penalty, without = (
        discriminator_losses(discriminators, real, fake, pipeline.losses, step=step)[0]["disc_a"] for step in (16, 17)
    )
    frames = a.flatten(0, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(
        discriminators.networks["disc_a"](frames).logits[0].flatten(1).mean(1).sum(), frames
    )
    expected = 16 * 0.5 * float(gradient.square().flatten(1).sum(1).mean())
    assert float(with_penalty - without) == pytest.approx(expected, rel=1e-9)


def test_sides_that_may_not_share_a_batch_go_through_one_by_one() -> None:
    pipeline = small(PAPER, discriminator={"minibatch_std": True})
    translators, discriminators = networks(pipeline)
    a, b = clips()
    out = Pass(a, b, translators(a, b))
    real = real_side(discriminators, out, predictions=False)
    fake = fake_side(discriminators, out, predictions=False)
    together, (alone,) = discriminators(real, fake), discriminators(real)
    torch.testing.assert_close(together[0], alone)


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


def test_noise_on_the_way_back_is_on_nothing_else() -> None:
    """With networks back that change nothing, what comes back is the translation and the noise."""
    weights = {"cycle": 1.0, "recycle": 1.0, "recurrent": 1.0}
    a, b = clips()
    outs = []
    for noise in (0.0, 0.1):
        translators, _ = networks(small(weights, losses={"noise_back": noise}))
        translators.add_module("gen_ba", nn.Identity())
        outs.append(Pass(a, b, translators(a, b)))
    exact, noisy = outs
    assert torch.equal(exact.shown(AB), noisy.shown(AB))
    assert torch.equal(exact.get(AB, "cycle"), exact.clip(AB))
    for name in ("cycle", "recycled"):
        error = noisy.get(AB, name) - exact.get(AB, name)
        assert abs(float(error.mean())) < 0.01
        assert 0.09 < float(error.std()) < 0.11
