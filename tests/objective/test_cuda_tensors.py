"""Networks and losses stay on the device: tensors without values stand for those of a GPU.

An operation on tensors of two devices raises an error, as on a GPU.
"""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from recycle.config import GENERATORS, NetworkSettings, parse_pipeline
from recycle.networks.features import FeatureNetwork
from recycle.networks.generator import at_any_size
from recycle.networks.inference import layout
from recycle.networks.registry import make_generator
from recycle.objective.discriminators import Discriminators
from recycle.objective.terms import TERMS
from recycle.objective.translators import Translators
from recycle.training.memory import _kept_of_a_clip

CUDA, META = torch.device("cuda"), torch.device("meta")
OTHERS = {"distillation", "paired", "conservation", "adversarial"}
"""Losses that need a teacher, pairs or masks, and the one that is always there."""
WEIGHTS = (
    ("recycle", "recurrent", "cycle", "identity", "perceptual", "content", "colours", "self_similarity"),
    ("unsupervised_recycle", "unsupervised_spatial", "temporal", "feature_matching", "patch_nce"),
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("kind", list(GENERATORS.classes))
def test_a_generator_translates_on_the_gpu(kind: str, dtype: torch.dtype) -> None:
    settings = NetworkSettings.model_validate({"generator": {"kind": kind, "width": 8}})
    generator = make_generator(settings.generator)
    ready = generator.for_inference(META, dtype)  # as on every device that is not a CPU
    fake = FakeTensorMode()
    move(fake, ready)

    def network(padded: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = ready(padded.contiguous(memory_format=layout(CUDA, dtype)))
        return out.float()

    with fake:
        frames = torch.empty(2, 3, 67, 93, device=CUDA)
        made = at_any_size(network, frames, multiple=generator.multiple, least=generator.least_side)
    assert (made.device.type, made.shape, made.dtype) == ("cuda", frames.shape, torch.float32)


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor:UserWarning")
@pytest.mark.parametrize("names", WEIGHTS)
def test_a_step_of_all_losses_stays_on_the_gpu(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)  # or autocast is off
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    pipeline = parse_pipeline(
        {
            "networks": {
                "generator": {"blocks": 1, "width": 4},
                "discriminator": [{"width": 4, "by_kind": True}, {"kind": "projected", "width": 4, "by_kind": True}],
                "predictor": {"kind": "pix2pix", "width": 4, "depth": 4},
            },
            "losses": {"weights": dict.fromkeys(names, 1)},
            "train": {"frames": 3, "size": [32, 32]},
        },
        where="test",
    )
    translators, discriminators = Translators(pipeline), Discriminators(pipeline)
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    move(fake, translators, discriminators)
    with fake, torch.autocast("cuda", torch.bfloat16):
        assert _kept_of_a_clip(pipeline, translators, discriminators, CUDA) > 0
    with pytest.raises(RuntimeError, match="same device"), fake:  # the proof is one that can fail
        translators(*(torch.empty(1, 3, 3, 32, 32, device="cpu") for _ in range(2)))


def test_all_losses_are_tried() -> None:
    assert {name for names in WEIGHTS for name in names} | OTHERS == TERMS.keys()


def move(fake: FakeTensorMode, *networks: nn.Module) -> None:
    """Replace all weights by ones without values on a GPU."""
    modules = [module for network in networks for module in network.modules()]
    modules += [own for module in modules if isinstance(module, FeatureNetwork) for own in module._frozen[0].modules()]
    for module in modules:
        held = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in held:
            with fake:
                there = torch.empty(tensor.shape, dtype=tensor.dtype, device=CUDA)
            learns = isinstance(tensor, nn.Parameter)
            setattr(module, name, nn.Parameter(there, requires_grad=tensor.requires_grad) if learns else there)
