"""Publishes a model on the Hugging Face Hub, with a model card."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from recycle.errors import ConfigError
from recycle.evaluation.table import STEP, score_lines
from recycle.networks.bundle import DISCRIMINATORS, BundleConfig, load_bundle
from recycle.run_folder import CONFIG, WEIGHTS, RunFolder, model_in
from recycle.safe_text import shown
from recycle.system.hub import Published, upload

PREVIEW = "preview.png"
_TAGS = ["recycle", "recycle-gan", "unpaired-translation", "video"]
_NOT_STATED = "not stated"


def publish(
    model: Path, name: str, *, public: bool, licence: str | None, footage: str | None, preview: bool
) -> Published:
    """Upload a run's best model, or a bundle, to the model `name` on the Hub.

    The card states `licence` and `footage`, which are required for a public model. With `preview`, the latest preview
    of the run is part of it. Raises ConfigError if they are missing, BundleError if there is no usable model, and the
    errors of `recycle.system.hub.upload`.
    """
    if public and not (licence and footage):
        raise ConfigError(
            "a public model needs --licence, such as cc-by-4.0, and --footage, a sentence that says what footage it "
            "learned from and who agreed to that"
        )
    folder = model_in(model)
    config = load_bundle(folder).config
    files: dict[str, Path | bytes] = {
        each: folder / each for each in (CONFIG, WEIGHTS, DISCRIMINATORS) if (folder / each).is_file()
    }
    picture = latest_preview(RunFolder(model), config.step) if preview else None
    if picture is not None:
        files[PREVIEW] = picture
    scores = scores_of(RunFolder(model), config.step)
    card = model_card(config, name, licence=licence, footage=footage, scores=scores, picture=picture is not None)
    return upload({"README.md": card.encode(), **files}, name, public=public)


def latest_preview(where: RunFolder, step: int) -> Path | None:
    """The last preview of a run up to `step`, that of its model; None if there is none."""
    found = [file for file in where.preview_images() if file <= where.preview(step).with_suffix(".png")]
    return max(found, default=None)


def scores_of(where: RunFolder, step: int) -> dict[str, float]:
    """The scores of a run's test videos, if they are those of the model of this step; otherwise {}."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        scores = json.loads(where.metrics.read_text(encoding="utf-8"))
        if scores[STEP] == step:
            return {str(name): float(value) for name, value in scores.items()}
    return {}


def model_card(
    config: BundleConfig,
    name: str,
    *,
    licence: str | None,
    footage: str | None,
    scores: Mapping[str, float],
    picture: bool,
) -> str:
    """The text of README.md, Markdown with metadata in YAML, as the Hub expects it."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(license=licence, library_name="recycle", pipeline_tag="video-to-video", tags=_TAGS)
    names = config.domains
    ways = " and ".join(names.way(d) for d in config.directions)
    generator = config.networks.generator
    target = names.of(config.directions[0].target)
    table = ["## Scores", "", "```", *score_lines(scores, names), "```", ""] if scores else []
    lines = [
        "---",
        data.to_yaml(),
        "---",
        "",
        f"# {shown(config.name)}",
        "",
        f"Translates video {ways}, learned from footage never filmed together, with `recycle` (ReCycle-GAN, Bansal et "
        "al., ECCV 2018).",
        "",
        *([f"![Held-out frames and their translations]({PREVIEW})", ""] if picture else []),
        "## Use",
        "",
        "```sh",
        f"recycle translate INPUT OUTPUT --model {name} --to {target}",
        "```",
        "",
        "## Model",
        "",
        f"- Domains: a is {names.a}, b is {names.b}",
        f"- Generators: {generator.kind}, {generator.description}",
        f"- Short side of the training frames: {config.short_side} pixels",
        f"- Training steps: {config.step}",
        f"- Smoothing by predictors: {'yes' if config.predictors else 'no'}",
        "",
        *table,
        "## Footage and consent",
        "",
        shown(footage or _NOT_STATED),
        "",
        "The output of this model is generated. Say so where you show it. Do not use the model to show people in a way "
        "to which they have not agreed.",
        "",
        "## Licence",
        "",
        shown(licence or _NOT_STATED),
    ]
    return "\n".join(lines) + "\n"
