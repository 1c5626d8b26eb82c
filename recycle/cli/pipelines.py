"""`recycle pipelines`: lists the pipelines that are included."""

from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.output import show


def pipelines(
    name: Annotated[str | None, typer.Argument(help="Pipeline to print; default: list all.")] = None,
) -> None:
    """List the included pipelines, or print one to copy.

    Example: recycle pipelines signers > my-task.toml
    """
    from recycle.config import description_of, find_pipeline, shipped_pipelines

    if name is None:
        for path in shipped_pipelines():
            show(f"{path.stem:<11}  {description_of(path)}")
    else:
        path = find_pipeline(Path(name))
        schema = path.with_name("pipeline.schema.json").as_uri()  # absolute, because the copy has another folder
        typer.echo(
            path.read_text(encoding="utf-8").replace("#:schema pipeline.schema.json", f"#:schema {schema}"), nl=False
        )
