"""The acoustic model: units, pitch, loudness and speaker in, log mel out."""
