"""Inception v3 features, 2048 per picture, with weights from a file of the user."""

from pathlib import Path

from torch import Tensor, nn
from torchvision.models import inception_v3

from recycle.errors import BundleError
from recycle.networks.weights import read_state_dict

_UNUSED = ("AuxLogits.", "fc.")


class InceptionNetwork(nn.Module):
    """Maps uint8 RGB (N, 3, 299, 299) to features (N, 2048) float32: the last average pooling of Inception v3.

    Source: Szegedy et al., CVPR 2016, in torchvision's implementation. Published FIDs use another network of the same
    shape (TensorFlow's of 2015) and another resize, so they are not comparable.
    """

    mid = 0
    """Number of leading features that are from a middle level."""

    def __init__(self) -> None:
        super().__init__()
        self.body = inception_v3(weights=None, aux_logits=False, init_weights=False, transform_input=False)
        self.body.fc = nn.Identity()

    @staticmethod
    def size_for(height: int, width: int) -> tuple[int, int]:
        """Height and width to which a frame is resized, whatever its own."""
        return 299, 299

    def forward(self, frames: Tensor) -> Tensor:
        """Features (N, 2048) of frames (N, 3, 299, 299) uint8."""
        return self.body(frames.float() / 127.5 - 1)


def load_inception(file: Path) -> InceptionNetwork:
    """Load the network with the weights of `file`, in evaluation mode on the CPU.

    `file` is a state dict of torchvision's inception_v3, from torch.save or as .safetensors, with or without the
    classifiers. Raises BundleError if it cannot be read or holds anything else.
    """
    expected = "the state dict of torchvision's inception_v3 (.pth or .safetensors)"
    weights = read_state_dict(file, expected=expected)
    network = InceptionNetwork()
    try:
        network.body.load_state_dict({key: w for key, w in weights.items() if not key.startswith(_UNUSED)})
    except RuntimeError as error:
        raise BundleError(f"{file} holds the weights of another network; expected {expected}") from error
    return network.eval().requires_grad_(False)
