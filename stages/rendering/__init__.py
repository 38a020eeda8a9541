"""Rendering: songs converted with a run or with a clip."""
