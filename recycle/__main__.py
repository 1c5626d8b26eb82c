"""`python -m recycle`."""

from recycle.cli import main

main()
