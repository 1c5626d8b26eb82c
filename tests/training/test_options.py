"""Every accepted pipeline trains, and settings without effect are rejected."""

import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recycle.config import Adversarial, Differentiable, LossWeights, Pipeline, parse_pipeline
from recycle.errors import ConfigError
from recycle.training.fabric import make_fabric
from recycle.training.loop import take_step
from recycle.training.run import Run

WEIGHTS = sorted(LossWeights.model_fields.keys() - {"distillation"})
NETWORKS = {"generator": {"width": 4, "blocks": 1}, "predictor": {"kind": "pix2pix", "width": 4, "depth": 3}}


def some_of(**choices: Any) -> st.SearchStrategy[dict[str, Any]]:
    """A table with each of the keys or without it."""
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in choices.items()})


PIPELINES = st.fixed_dictionaries(
    {
        "networks": st.builds(
            lambda generator, discriminator: {
                **NETWORKS,
                "generator": {"width": 4, "blocks": 1, **generator},
                "discriminator": {"width": 4, "layers": 1, **discriminator},
            },
            some_of(skip=[False, True], blur=[False, True]),
            some_of(norm=["instance", "spectral"], scales=[1, 2], minibatch_std=[False, True]),
        ),
        "losses": st.fixed_dictionaries(
            {"weights": some_of(**{name: [0.0, 0.5] for name in WEIGHTS})},
            optional={
                "adversarial": st.sampled_from(get_args(Adversarial)),
                "distance": st.sampled_from(["l1", "l2"]),
                "r1": st.just(1.0),
                "noise_back": st.sampled_from([0.0, 0.1]),
                "augment": st.lists(st.sampled_from(get_args(Differentiable)), min_size=1, max_size=2, unique=True),
                "prediction": some_of(
                    learns_from=["both", "real"], judged=["no", "unopposed", "opposed"], wait=[False, True]
                ),
            },
        ),
        "train": some_of(frames=[1, 3, 4], batch_size=[1, 2], pool_size=[0, 3], stride=[1, 2]),
        "footage": some_of(paired=[False, True]),
    }
)


PREDICTING = st.fixed_dictionaries(
    {
        "networks": st.just({**NETWORKS, "discriminator": {"width": 4, "layers": 1}}),
        "losses": st.fixed_dictionaries(
            {
                "weights": some_of(adversarial=[0.0, 1.0], cycle=[0.0, 1.0], temporal=[0.0, 1.0]).map(
                    lambda own: {"recycle": 1.0, "recurrent": 1.0, **own}
                ),
                "prediction": some_of(
                    learns_from=["both", "real"], judged=["no", "unopposed", "opposed"], wait=[False, True]
                ),
            }
        ),
        "train": some_of(batch_size=[1, 2], pool_size=[0, 3], stride=[1, 2]).map(lambda own: {"frames": 3, **own}),
        "footage": some_of(paired=[False, True]),
    }
)
"""Those with predictors, few of which would be drawn above."""


def accepted(groups: dict[str, Any]) -> Pipeline | None:
    try:
        return parse_pipeline(groups, where="test")
    except ConfigError:
        return None


def with_losses(weights: dict[str, float], prediction: dict[str, Any], *, paired: bool = False) -> dict[str, Any]:
    losses = {"weights": weights, "prediction": prediction}
    networks = {**NETWORKS, "discriminator": {"width": 4, "layers": 1}}
    return {"networks": networks, "losses": losses, "train": {"frames": 3}, "footage": {"paired": paired}}


@settings(max_examples=80)
@example(with_losses({"recycle": 1, "recurrent": 1, "perceptual": 1}, {"wait": True}), 1)
@example(with_losses({"recycle": 1, "recurrent": 1, "feature_matching": 1}, {"judged": "unopposed"}, paired=True), 1)
@example(
    {
        "networks": {**NETWORKS, "generator": {"width": 4, "blocks": 1, "skip": True}, "discriminator": {"layers": 1}},
        "losses": {},
        "train": {},
    },
    1,
)
@given(groups=PIPELINES | PREDICTING, parts=st.integers(1, 2))
def test_accepted_settings_can_be_trained(groups: dict[str, Any], parts: int) -> None:
    own = {"size": [16, 16], "precision": "fp32", "device": "cpu"}
    pipeline = accepted({**groups, "train": groups["train"] | own})
    if pipeline is None:
        return
    run = Run(pipeline, Path("never-written"), make_fabric("cpu", "fp32"), short_side=16)
    shape = (pipeline.train.batch_size, pipeline.train.frames, 3, 16, 16)
    a, b = (torch.rand(2, *shape) * 2.4 - 1.2).clamp(-1, 1)  # black and white are frequent, as in footage
    for number in range(2):  # the first with R1, and before predictors are relied on
        report = take_step(run, a, b, number, parts=min(parts, len(a)))
        losses = {name for name in report.losses if "disc" not in name}
        weighed = {name for name, weight in pipeline.losses.weights.model_dump().items() if weight}
        assert losses == weighed if run.reliance.on else losses <= weighed
        assert all(map(math.isfinite, report.losses.values()))
        run.step += 1
        run.reliance.on = True


VAIN: dict[str, dict[str, Any]] = {
    "there is nothing to learn": {"losses": {"weights": {"adversarial": 0}}},
    r"'losses\.r1' has an effect only on discriminators": {
        "losses": {"r1": 1, "weights": {"adversarial": 0, "cycle": 1}}
    },
    r"'losses\.augment' has an effect only on discriminators": {
        "losses": {"augment": ["noise"], "weights": {"adversarial": 0, "cycle": 1}}
    },
    r"'losses\.noise_back' has an effect only on frames that are translated back": {
        "losses": {"noise_back": 0.1, "weights": {"identity": 1}}
    },
    "minibatch_std' compares the frames of a batch": {"networks": {"discriminator": {"minibatch_std": True}}},
    r"'train\.stride' has an effect only on clips with several frames": {"train": {"stride": [1, 3]}},
    r"'train\.predictor_rate' has an effect only on predictors": {"train": {"predictor_rate": 2}},
    r"'translate\.smoothing' needs predictors": {"translate": {"smoothing": True}},
    r"set both 'evaluate\.palette' and 'evaluate\.label_domain'": {"evaluate": {"label_domain": "b"}},
}


@pytest.mark.parametrize("told", VAIN)
def test_a_setting_without_effect_is_an_error(told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_pipeline(VAIN[told], where="test")
