"""Experiments like the paper's Viper tables, on the procedural street and on real footage; run by
tools/reproduce.py."""
