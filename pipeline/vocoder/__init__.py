"""From mel and f0 to a waveform."""
