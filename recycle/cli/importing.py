"""`recycle import`: makes a model of checkpoints that other projects trained."""

from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.options import AsJson, Domains, names
from recycle.cli.output import watched


def import_model(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="Generators, such as latest_net_G_A.pth latest_net_G_B.pth, predictors, discriminators.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the model bundle to write.")],
    domains: Domains = None,
    short_side: Annotated[
        int, typer.Option(metavar="PIXELS", help="Short side of the frames that the networks were trained on.")
    ] = 256,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing model bundle.")] = False,
    as_json: AsJson = False,
) -> None:
    """Convert checkpoints of CycleGAN, CUT or Recycle-GAN.

    The files are those that pytorch-CycleGAN-and-pix2pix, contrastive-unpaired-translation and Recycle-GAN write. One
    generator alone makes a model that translates in one direction.

    Example: recycle import latest_net_G_A.pth latest_net_G_B.pth --out horse2zebra --domains horse,zebra
    """
    with watched(as_json) as job:
        from recycle.api import import_model as make
        from recycle.networks.bundle import read_config

        model = make(files, out, domains=names(domains), short_side=short_side, overwrite=overwrite, job=job)
        config = read_config(model)
        ways = " and ".join(config.domains.way(d) for d in config.directions)
        job.say(f"wrote {model}, which translates {ways}")
