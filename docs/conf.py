"""How Sphinx builds the documentation: `make docs`."""

from importlib.metadata import version as version_of

project = "recycle"
author = "The recycle maintainers"
copyright = author
release = version = version_of("recycle")

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
