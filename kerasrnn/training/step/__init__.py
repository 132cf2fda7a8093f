"""One training step's arithmetic: no files, no clock."""
