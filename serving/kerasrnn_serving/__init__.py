"""The client and the local server."""
