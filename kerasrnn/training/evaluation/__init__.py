"""The loss of a held-out text, and the units in which it is reported."""
