"""Small models and trained directories."""
