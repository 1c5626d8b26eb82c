"""A trained bundle applied to video: translator and renderer."""
