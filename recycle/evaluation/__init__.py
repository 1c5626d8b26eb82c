"""Scores of a trained model and the report page."""
