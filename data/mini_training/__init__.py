"""How the encoder in data/mini was trained: a small HuBERT that imitates Whisper's encoder. See README.md."""
