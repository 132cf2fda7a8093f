"""CharRNN, its weights, and text from it in this process."""
