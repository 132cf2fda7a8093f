"""Small models, trained directories and signatures to ask."""
