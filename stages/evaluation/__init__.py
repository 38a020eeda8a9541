"""How well a run converts: against the true result where it is known, and beside trivial methods."""
