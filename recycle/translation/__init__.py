"""A trained bundle applied to frames: the translator, and what keeps a device busy."""
