"""f0: found, mended, and put where a voice can reach."""
