"""Measures how much models change the inside and the outside of masks, on the last tenth of a folder of frames.

python -m tools.outside FRAMES MASKS --to camel --model runs/plain --model runs/masked --sheet sheet.png
"""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from recycle.translation.translator import Translator
from recycle.video.image_file import read_image
from recycle.video.masks import weights_of
from recycle.video.numbered import numbered_images

SHOWN = 3
"""Number of frames on the sheet."""


def difference(x: NDArray[np.uint8], y: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Mean absolute difference of two pictures (H, W, 3) where `where` (H, W) is true, in levels of 255."""
    return float(np.abs(x[where].astype(int) - y[where]).mean())


def resized(x: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """The picture reduced to `short_side` and enlarged again."""
    scale = short_side / min(x.shape[:2])
    small = cv2.resize(x, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (x.shape[1], x.shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def main(
    frames: Annotated[Path, typer.Argument(help="Folder of numbered frames.")],
    masks: Annotated[Path, typer.Argument(help="Folder of their masks; white is inside.")],
    to: Annotated[str, typer.Option(help="Domain to translate to.")],
    model: Annotated[list[Path], typer.Option(help="Folder of a run (repeatable).")],
    sheet: Annotated[Path | None, typer.Option(help="Picture to write: each source beside its translations.")] = None,
) -> None:
    """Print a row for each model: mean absolute difference from the source inside and outside, in levels of 255.

    The first row is that of a model that changes nothing at the size at which the first model runs.
    """
    pairs = list(zip(numbered_images(frames), numbered_images(masks), strict=True))
    pairs = pairs[-max(1, len(pairs) // 10) :]
    pictures = [np.asarray(read_image(file), dtype=np.uint8) for file, _ in pairs]
    insides = [weights_of(read_image(mask), x.shape[:2], 0) > 0 for (_, mask), x in zip(pairs, pictures, strict=True)]
    translators = [Translator.from_pretrained(folder, device="cpu") for folder in model]
    assert translators[0].bundle is not None
    columns = [pictures, [resized(x, translators[0].bundle.config.short_side) for x in pictures]]
    columns += [[translator(x, to=to) for x in pictures] for translator in translators]
    typer.echo("| model | inside | outside |\n|---|---|---|")
    for name, made in zip(("nothing but the size", *map(str, model)), columns[1:], strict=True):
        found = list(zip(pictures, made, insides, strict=True))
        inside, outside = (np.mean([difference(x, y, w == kept) for x, y, w in found]) for kept in (True, False))
        typer.echo(f"| {name} | {inside:.1f} | {outside:.1f} |")
    if sheet is not None:
        rows = [np.hstack(row) for row in list(zip(*columns, strict=True))[:: -(-len(pictures) // SHOWN)]]
        cv2.imwrite(str(sheet), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    typer.run(main)
