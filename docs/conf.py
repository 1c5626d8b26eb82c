"""How Sphinx builds the documentation: `make docs`."""

from typing import Any

import recycle

project = "recycle"
author = "The recycle maintainers"
copyright = author
release = version = recycle.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "recycle"
html_static_path = ["_static"]
html_css_files = ["wide_tables.css"]
html_show_copyright = False
html_copy_source = False
smartquotes = False  # names of settings and options are quoted as they are written

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

# Docstrings of the project quote names in single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

# The package loads its public names when they are first used; autodoc documents those that are there.
for name in recycle.__all__:
    setattr(recycle, name, getattr(recycle, name))


def _mark_code(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Show an indented block below a line with a colon as code: docstrings are plain text."""
    for number, line in enumerate(lines[:-2]):
        if line.endswith(":") and not lines[number + 1] and lines[number + 2].startswith("    "):
            lines[number] += ":"


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _mark_code)
