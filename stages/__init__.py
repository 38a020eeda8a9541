"""One module a command, and what the commands share. Here tensors meet disk."""
