"""From a SavedModel on disk to a published version."""
