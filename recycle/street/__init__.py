"""Footage of our own making: a procedural street, its scenes, its painters and its light."""
