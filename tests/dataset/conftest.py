"""Generated footage, as for the tests of video."""

from tests.video.conftest import make_video, moving_frames

__all__ = ["make_video", "moving_frames"]
