"""Servers, real and faulty, and what asks them."""
