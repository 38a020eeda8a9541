"""Frozen encoders: found by name, read from files of several frameworks, and run with the same results in any batch."""
