"""svc: singing voice conversion in two stages.

`svc extract` runs a frozen content encoder (HuBERT, Whisper, ...) over a corpus once and stores its features,
`svc train` trains a voice from that store alone, `svc render` converts a song to that voice.
"""

__version__ = "0.2.0"
