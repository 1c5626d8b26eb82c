"""Scores trained models, ranks runs, and writes the report and comparison pages."""
