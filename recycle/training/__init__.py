"""The six networks, the training step, the loop around it, checkpoints and previews."""
