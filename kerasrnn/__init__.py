"""kerasrnn: character-level recurrent networks, from text to server."""

__version__ = "0.1.0"
