"""Who asks, and how much: keys, limits, and whose turn it is."""
