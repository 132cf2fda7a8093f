"""How calls get to a server: addresses, channels, deadlines, retries."""
