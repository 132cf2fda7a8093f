"""Ids to batches: streams to train on, streams to score (no TensorFlow)."""
