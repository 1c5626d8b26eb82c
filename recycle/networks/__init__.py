"""Generator, discriminator, predictor, and the bundle they are saved in."""
