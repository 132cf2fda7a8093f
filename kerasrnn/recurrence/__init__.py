"""Loops over time that know no cell, and the rules of what runs where."""
