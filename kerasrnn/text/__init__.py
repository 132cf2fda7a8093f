"""Text to ids and back, without TensorFlow."""
