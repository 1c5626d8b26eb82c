"""The Typer application with all commands, in the order in which help lists them."""

from typing import Annotated

import typer

from recycle.cli.compare import compare
from recycle.cli.distill import distill
from recycle.cli.doctor import doctor
from recycle.cli.evaluate import evaluate
from recycle.cli.export import export
from recycle.cli.extract import extract
from recycle.cli.importing import import_model
from recycle.cli.live import live
from recycle.cli.pipelines import pipelines
from recycle.cli.probe import probe
from recycle.cli.push import push
from recycle.cli.run import demo, run
from recycle.cli.street import street
from recycle.cli.train import train
from recycle.cli.translate import translate
from recycle.cli.tune import tune
from recycle.cli.ui import ui

app = typer.Typer(
    name="recycle",
    help="Translate video between two domains, learned from footage never filmed together (ReCycle-GAN).",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"recycle {version('recycle')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """The options of `recycle` itself. Its help text is the `help` of `app`."""


_VERBS = (
    *(probe, extract, street, train, distill, tune, translate, live, evaluate, export),
    *(run, demo, compare, ui, doctor, pipelines),
)
for _verb in _VERBS:
    app.command()(_verb)
app.command("import")(import_model)
app.command()(push)
