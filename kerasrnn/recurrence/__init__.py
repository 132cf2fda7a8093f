"""Loops over time, the same for all cells, and the rules of what runs where."""
