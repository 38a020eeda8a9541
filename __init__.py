"""svc: singing voice conversion in two stages.

`svc extract` runs a frozen HuBERT over a corpus once and keeps what it says in a store,
`svc train` learns a voice from that store alone, `svc render` sings a song with it.
"""

__version__ = "0.1.0"
