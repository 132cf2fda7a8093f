"""The repository, read as data."""
