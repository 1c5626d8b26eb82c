"""Tiny models and videos, as for the tests of translation."""

from tests.translation.conftest import _few_threads, bundle, make_video

__all__ = ["_few_threads", "bundle", "make_video"]
