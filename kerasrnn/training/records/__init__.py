"""What a run tells: history, TensorBoard, the display, the report."""
