"""HTML pages from arrays, without TensorFlow."""
