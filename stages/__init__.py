"""A folder for each large command, and what they share. Here tensors meet disk."""
