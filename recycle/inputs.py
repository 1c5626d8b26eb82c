"""Every kind of input that ships. Files and folders of images are known to `recycle.video`; the street is added here.

What opens an input above `rendering` imports this, so that the table is the same in every process.
"""

from recycle.street.source import StreetSource
from recycle.video.kinds import open_source as open_source
from recycle.video.source import add_source

add_source(StreetSource)
