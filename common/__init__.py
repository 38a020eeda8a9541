"""Modules that every layer uses: errors, files, progress, random numbers, text."""
