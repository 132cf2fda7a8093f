"""Step models whose text is known, and the test of a distribution."""
