"""`recycle pipelines`: lists the pipelines that are included."""

from pathlib import Path
from typing import Annotated

import typer


def pipelines(
    name: Annotated[str | None, typer.Argument(help="Pipeline to print; default: list all.")] = None,
) -> None:
    """List the included pipelines, or print one to copy and change.

    Example: recycle pipelines signers > my-task.toml
    """
    from recycle.config import find_pipeline, shipped_pipelines

    if name is None:
        for path in shipped_pipelines():
            first = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
            typer.echo(f"{path.stem:<12} {first}")
    else:
        path = find_pipeline(Path(name))
        schema = path.with_name("pipeline.schema.json").as_uri()  # absolute, because the copy has another folder
        typer.echo(
            path.read_text(encoding="utf-8").replace("#:schema pipeline.schema.json", f"#:schema {schema}"), nl=False
        )
