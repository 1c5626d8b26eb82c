"""The procedural street: its scenes, painters, light, weather and sound."""
