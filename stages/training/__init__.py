"""From stores to a run: units, acoustic model and vocoder, and how well they do."""
