"""A folder for each large command, and the code that they share. It combines tensors and disk."""
