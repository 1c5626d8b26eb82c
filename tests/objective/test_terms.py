"""Terms: one from outside, weights per direction, what a term costs, and the losses of a frozen network."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.config import Pipeline, parse_pipeline
from recycle.config.losses import FURTHER
from recycle.dataset.shots import find_shots
from recycle.domains import AB, BA, DIRECTIONS, Direction
from recycle.errors import ConfigError
from recycle.events import Step
from recycle.losses.features import content_loss, self_similarity_loss
from recycle.objective.discriminators import Discriminators
from recycle.objective.losses import both, generator_losses, weighed
from recycle.objective.passing import Pass
from recycle.objective.terms import TERMS, Frames, Seen, Term, add_term
from recycle.objective.translators import Translators
from recycle.training.loop import train
from tests.jobs import stepping
from tests.training.test_loop import write_frames

pytestmark = pytest.mark.usefixtures("small_looks")


def task(weights: dict[str, Any], **losses: Any) -> Pipeline:
    """Tiny networks."""
    groups = {
        "networks": {
            "generator": {"width": 4, "blocks": 1},
            "discriminator": {"width": 4, "layers": 2},
            "predictor": {"encoder": "tu-test_resnet", "width": 4, "depth": 3},
        },
        "losses": {"weights": weights, **losses},
        "train": {"frames": 3, "size": [32, 32], "steps": 3, "precision": "fp32", "device": "cpu", "preview_every": 3},
    }
    return parse_pipeline(groups, where="test")


def passed(pipeline: Pipeline) -> tuple[Translators, Discriminators, Pass]:
    """The networks, and one pass of random clips."""
    torch.manual_seed(0)
    translators, discriminators = Translators(pipeline), Discriminators(pipeline)
    a, b = torch.rand(2, 1, 3, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return translators, discriminators, Pass(a, b, translators(a, b))


class Brightness(Term):
    """The translation of a brightened frame is as bright as the target."""

    name = "brightness"

    def there(self, p: Pass, d: Direction) -> Frames:
        """Brightened frames."""
        return {"bright": (p.real(d.source) + 0.1).clamp(-1, 1)}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """Difference of the means."""
        made: Tensor = seen.p.get(d, "bright")
        return (made.mean() - seen.p.real(d.target).mean()).abs()


@pytest.fixture
def brightness() -> Iterator[type[Term]]:
    add_term(Brightness)
    yield Brightness
    del TERMS["brightness"]
    FURTHER.discard("brightness")


def test_a_loss_from_outside_is_one_class_and_one_entry(brightness: type[Term], tmp_path: Path) -> None:
    pipeline = task({"adversarial": 0, "brightness": {"ab": 5, "ba": 1}})
    shots = [
        find_shots(write_frames(tmp_path / name, 24, seed=n, size=(32, 40)).parent / name)
        for n, name in enumerate("ab")
    ]
    seen: list[Step] = []
    train(pipeline, shots[0], shots[1], tmp_path / "run", job=stepping(seen.append))
    assert any("brightness" in step.losses for step in seen)
    translators, discriminators, p = passed(pipeline)
    losses = generator_losses(translators.terms, discriminators, p, pipeline.losses)
    parts = losses["brightness"]
    torch.testing.assert_close(weighed(losses, translators.terms)["brightness"], 5 * parts[AB] + parts[BA])
    assert Pipeline.model_validate_json(pipeline.model_dump_json()) == pipeline


def test_a_taken_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="a loss named 'cycle' exists already"):
        add_term(type("Other", (Term,), {"name": "cycle"}))


def test_without_its_entry_the_loss_is_unknown() -> None:
    with pytest.raises(ConfigError, match="unknown loss 'brightness'"):
        task({"brightness": 1})


EVERY = {
    "cycle": 1.0,
    "recycle": 1.0,
    "recurrent": 1.0,
    "identity": 1.0,
    "unsupervised_spatial": 1.0,
    "unsupervised_recycle": 1.0,
    "content": 1.0,
    "self_similarity": 1.0,
    "temporal": 1.0,
    "feature_matching": 1.0,
    "perceptual": 1.0,
    "patch_nce": 1.0,
}


@pytest.mark.parametrize("name", EVERY)
def test_a_weight_in_one_direction_gives_that_directions_loss(name: str) -> None:
    """With noise off and the same draws it is the loss in that direction of the objective with both."""
    base: dict[str, Any] = {"cycle": 1.0} if name == "perceptual" else {}
    whole = {**base, name: 1.0}
    one_way = {**base, name: {"ab": 1.0, "ba": 0.0}}
    found = []
    for weights in (whole, one_way):
        translators, discriminators, p = passed(task(weights))
        torch.manual_seed(5)
        losses = generator_losses(translators.terms, discriminators, p, task(weights).losses)
        found.append((losses[name], both(losses)[name]))
    (parts, total), (alone, only) = found
    assert set(parts) == set(DIRECTIONS)
    assert set(alone) == {AB}
    torch.testing.assert_close(total, parts[AB] + parts[BA])
    torch.testing.assert_close(only, alone[AB])
    if name not in ("unsupervised_spatial", "unsupervised_recycle", "patch_nce", "temporal"):  # these draw
        torch.testing.assert_close(alone[AB], parts[AB])


def test_a_direction_without_weight_makes_no_call_and_no_network() -> None:
    pipeline = task({"adversarial": {"ab": 1.0, "ba": 0.0}, "cycle": {"ab": 10.0, "ba": 0.0}})
    translators, discriminators = Translators(pipeline), Discriminators(pipeline)
    assert set(discriminators.networks) == {"disc_b"}
    calls: Counter[str] = Counter()
    for name in ("gen_ab", "gen_ba"):
        getattr(translators, name).register_forward_hook(lambda *_, name=name: calls.update([name]))
    a, b = torch.rand(2, 1, 3, 3, 32, 32) * 2 - 1
    translators(a, b)
    assert calls == {"gen_ab": 1, "gen_ba": 2}  # there both ways, back one way


def test_terms_without_weight_add_nothing() -> None:
    plain = Translators(task({"cycle": 1}))
    assert plain.eyes is None
    assert {key.split(".")[0] for key in plain.state_dict()} == {"gen_ab", "gen_ba"}


@pytest.mark.parametrize(
    ("weights", "losses"),
    [
        ({"content": 1.0}, {}),
        ({"self_similarity": 1.0}, {}),
        ({"cycle": 1.0, "perceptual": 1.0}, {"perceptual_by": "features"}),
        ({"patch_nce": 1.0}, {"patch_nce_by": "features"}),
    ],
)
def test_losses_of_the_frozen_network_teach_the_generators_alone(weights: dict[str, float], losses: Any) -> None:
    pipeline = task({"adversarial": 0, **weights}, **losses)
    translators, discriminators, p = passed(pipeline)
    assert translators.eyes is not None
    assert not any(key.startswith("eyes") for key in translators.state_dict())
    name = list(weights)[-1]
    loss = both(generator_losses(translators.terms, discriminators, p, pipeline.losses))[name]
    loss.backward()
    for generator in (translators.gen_ab, translators.gen_ba):
        gradient = list(generator.parameters())[-1].grad
        assert gradient is not None
        assert float(gradient.abs().sum()) > 0
    assert sum(p.numel() for p in translators.generators()) == sum(p.numel() for p in translators.parameters())


def test_frozen_features_are_computed_once_for_all_terms() -> None:
    pipeline = task({"content": 1.0, "patch_nce": 1.0}, patch_nce_by="features")
    translators = Translators(pipeline)
    calls: list[int] = []
    assert isinstance(translators.eyes, nn.Module)
    translators.eyes.register_forward_hook(lambda *_: calls.append(1))
    a, b = torch.rand(2, 1, 3, 3, 32, 32) * 2 - 1
    translators(a, b)
    assert len(calls) == 4  # x and G(x), both ways


def test_content_is_the_distance_of_instance_normalised_features() -> None:
    x, y = (torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(n)) * 3 + n for n in (1, 2))
    exact = (F.instance_norm(x, eps=1e-2) - F.instance_norm(y, eps=1e-2)).square().mean()
    torch.testing.assert_close(content_loss([x], [y]), exact)
    assert float(content_loss([x], [4 * x + 7])) < 1e-3  # another mean and deviation are another style


def test_self_similarity_compares_how_each_place_resembles_all_others() -> None:
    x, y = (torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(n)).double() for n in (1, 2))
    distances = []
    for frame in range(2):
        maps = []
        for layer in (x[frame], y[frame]):
            places = [layer[:, i // 4, i % 4] - layer.mean((1, 2)) for i in range(12)]
            maps.append(torch.tensor([[F.cosine_similarity(u, v, dim=0) for v in places] for u in places]))
        distances += [1 - F.cosine_similarity(maps[0][i].double(), maps[1][i].double(), dim=0) for i in range(12)]
    torch.testing.assert_close(self_similarity_loss([x], [y]), torch.stack(distances).mean(), atol=1e-6, rtol=1e-6)
    turned = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(3)).double()).Q
    other_looks = 2 * torch.einsum("ij,njhw->nihw", turned, x) + 7
    assert float(self_similarity_loss([x], [other_looks])) < 1e-9  # what looked alike does so still


def test_a_feature_network_without_a_loss_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"'losses\.patch_nce_by' has no effect without"):
        task({"cycle": 1}, patch_nce_by="features")
