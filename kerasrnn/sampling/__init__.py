"""Drawing characters from any step function."""
