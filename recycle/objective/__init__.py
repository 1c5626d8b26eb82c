"""The objective of training: what the networks are shown, and what they are told to make better."""
