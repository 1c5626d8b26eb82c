"""The objective of training: the passes of frames through the networks, and the losses of generators and
discriminators."""
