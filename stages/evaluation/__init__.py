"""How well a run converts: compared with the true result if it is known, and with trivial methods."""
