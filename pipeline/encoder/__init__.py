"""Frozen encoders: found, read whatever framework they came from, and run exactly in any batch."""
