"""The loss of a held-out text, and the units it is told in."""
