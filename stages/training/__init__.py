"""From stores to a run: units, acoustic model and vocoder, and their measures."""
