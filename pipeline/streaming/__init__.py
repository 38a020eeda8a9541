"""Conversion block by block: windows over the newest sound, and joins between their results."""
