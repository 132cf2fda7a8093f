"""The version, where the wheel and what the programs write take it from."""

__version__ = "0.1.0"
