"""How well a run converts: beside the truth where it is known, and beside what trivial methods reach."""
