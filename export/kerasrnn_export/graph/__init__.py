"""What is inside a SavedModel."""
