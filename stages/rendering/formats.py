"""The formats that results are written in."""

from __future__ import annotations

from ...common.errors import UserError

# suffix -> (libsndfile's format, its subtype for each bit depth)
FORMATS: dict[str, tuple[str, dict[str, str]]] = {
    ".wav": ("WAV", {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}),
    ".flac": ("FLAC", {"16": "PCM_16", "24": "PCM_24"}),
    ".mp3": ("MP3", {"16": "MPEG_LAYER_III"}),
    ".ogg": ("OGG", {"16": "VORBIS"}),
}
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # Hz


def parse_format(text: str) -> str:
    """`wav` or `.WAV` -> `.wav`. Raises UserError for a format that is not written."""
    suffix = "." + text.lower().lstrip(".")
    if suffix not in FORMATS:
        raise UserError(f"format {suffix[1:]!r} is not written; choose {', '.join(name[1:] for name in FORMATS)}")
    return suffix


def choose_format(suffix: str, bit_depth: str, rate: int) -> tuple[str, str]:
    """libsndfile's format and subtype. Raises UserError where a format does not have a bit depth or sample rate."""
    form, subtypes = FORMATS[suffix.lower()]
    if bit_depth not in subtypes:
        raise UserError(
            f"{suffix} files have no bit depth {bit_depth!r}; choose {' or '.join(subtypes)}, or write a .wav"
        )
    if form == "MP3" and rate and rate not in MP3_RATES:
        raise UserError(f"MP3 has no sample rate of {rate} Hz; choose 44100 Hz or another format")
    return form, subtypes[bit_depth]
