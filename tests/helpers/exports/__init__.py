"""Exported models, their signatures to ask, and recordings of them."""
