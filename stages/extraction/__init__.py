"""From recordings to a store: which are there, what is missing, and who computes it."""
