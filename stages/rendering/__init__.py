"""From songs and a run to sung songs."""
