"""Frozen encoders: found by name, read from files of several frameworks, and run with results independent of batching."""
