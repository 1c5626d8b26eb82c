"""Reproduction of the paper's Viper tables, in kind, on the procedural street; run by tools/reproduce.py."""
