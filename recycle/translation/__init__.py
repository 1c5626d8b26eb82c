"""Translates frames, streams and videos with a trained bundle."""
