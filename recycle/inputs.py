"""Registers the kinds of input that `recycle.video` does not know: the procedural street.

`recycle.video` knows files and folders of images. Packages above `recycle.rendering` import this module if they open
inputs, so that the table of kinds is the same in every process.
"""

from recycle.street.source import StreetSource
from recycle.video.kinds import open_source as open_source
from recycle.video.source import add_source

add_source(StreetSource)
