"""The programs that ask, serve and inspect a model."""
