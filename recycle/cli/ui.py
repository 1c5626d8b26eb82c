"""`recycle ui`: a page in the browser to train, translate and compare."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.output import show
from recycle.cli.task import make_way
from recycle.errors import ConfigError


def ui(
    runs: Annotated[Path, typer.Option(help="Folder of the training runs.")] = Path("runs"),
    host: Annotated[str, typer.Option(help="Address to listen at; others than 127.0.0.1 open it to the network.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen at; 0: any free one.", min=0, max=65535)] = 8472,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Open a page to train, translate and compare in the browser.

    The page runs on this machine and needs no network. Only a browser that opens the printed address, with its key, can
    use it. Work goes on if the browser is closed. Ctrl-C saves the running training and ends.

    Example: recycle ui
    """
    if find_spec("nicegui") is None:
        raise ConfigError("the page needs NiceGUI; run: pip install 'recycle[ui]'")
    show("starting …")
    if (notice := make_way()) is not None:
        show(notice)
    from recycle.ui.server import serve

    serve(runs, host=host, port=port, browser=browser, say=show)
