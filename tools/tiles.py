"""Measure how much a frame that is translated in two tiles differs from the whole frame.

Usage, from the repository's folder: python -m tools.tiles MODEL [--reach 66 --reach 32]

MODEL is the folder of a run or of a bundle. The frame is one of the procedural street by day, 768 × 384 pixels.
"""

import argparse
from pathlib import Path

import torch

from recycle.domains import AB
from recycle.networks.bundle import load_bundle
from recycle.networks.generator import at_any_size
from recycle.run_folder import model_in
from recycle.street.film import Street
from recycle.translation.tiles import RAMP, WithinMemory

HEIGHT, WIDTH = 384, 768


def main() -> None:
    """Print a line for each reach: the largest difference in grey levels, and that of the steps at the border."""
    parser = argparse.ArgumentParser("python -m tools.tiles", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--reach", type=int, action="append", help="pixels; default: that of the generator")
    chosen = parser.parse_args()
    generator = load_bundle(model_in(chosen.model)).generator(AB)
    ready = generator.for_inference(torch.device("cpu"), torch.float32)
    picture = next(iter(Street(1, WIDTH, HEIGHT, 25, 0.1).frames("day")))
    frame = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1

    def network(frames: torch.Tensor) -> torch.Tensor:
        if frames.shape[-1] == WIDTH:
            raise torch.OutOfMemoryError("pretended")
        return at_any_size(ready, frames, multiple=generator.multiple, least=generator.least_side)

    with torch.inference_mode():
        whole = at_any_size(ready, frame, multiple=generator.multiple, least=generator.least_side)
        for reach in chosen.reach or [generator.reach]:
            multiple = max(generator.multiple, generator.pads_to)
            difference = 127.5 * (WithinMemory(network, reach=reach, multiple=multiple)(frame) - whole)
            border = difference[..., (WIDTH - RAMP) // 2 : (WIDTH + RAMP) // 2]
            steps = float(border.diff(dim=-1).abs().max())
            print(f"reach {reach}: at most {float(difference.abs().max()):.3f} grey levels, steps {steps:.3f}")


if __name__ == "__main__":
    main()
