"""Keras cells and layers with an own loop over time."""
