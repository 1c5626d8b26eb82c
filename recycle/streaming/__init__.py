"""Translates live video: a camera, a stream or the screen, to a window, a file, a stream or a virtual camera."""
