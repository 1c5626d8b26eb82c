"""Generators, discriminators, predictors, frozen feature networks, and the bundle in which a model is saved."""
