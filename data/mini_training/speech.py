"""Synthetic speech of many voices and languages: Kokoro-82M, with mixed voice styles, as a corpus at 16 kHz.

    python -m svc.data.mini_training.speech --kokoro FOLDER --texts TEXTS --out DATA --hours 3

`--kokoro` is a folder with `kokoro.onnx`, `vocab.json` and `voices_ja.npz` (Apache-2.0). `--texts` is a folder with a
file of sentences, one a line, for each language: `en.txt`, `de.txt`, `es.txt`, `it.txt`, `pt.txt`. Where a language has
no file (Japanese, Korean), pseudo-words of drawn syllables are spoken. Needs `espeak-ng`, for its phones, and
onnxruntime. Stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from .corpus import RATE, CorpusWriter, Samples
from .recordings import trimmed

KOKORO_RATE = 24_000
SHARES = {"en-us": 0.45, "en-gb": 0.1, "de": 0.05, "es": 0.1, "it": 0.08, "pt-br": 0.06, "ja": 0.1, "ko": 0.06}
MALE = "jm_kumo"  # the one man among the voices: half of the mixes lean on him
# Phones as espeak-ng writes them, and the symbols that Kokoro's vocabulary has for them
REPLACED = {
    "tʃ": "ʧ",
    "dʒ": "ʤ",
    "ts": "ʦ",
    "dz": "ʣ",
    "tɕ": "ʨ",
    "dʑ": "ʥ",
    "ɫ": "l",
    "ɬ": "l",
    "ʏ": "y",
    "g": "ɡ",
    "ɭ": "l",
    "ä": "a",
    "o̞": "o",
    "ɵ": "ø",
    "e̞": "e",
    "ɱ": "m",
    "ʉ": "u",
    "ɝ": "ɜɹ",
}
KANA = [
    *"あいうえおかきくけこがぎぐげごさしすせそざじずぜぞたちつてとだでどなにぬねのはひふへほばびぶべぼまみむめもやゆよらりるれろわん",
    *("きゃ", "しゅ", "ちょ", "りょ"),
]


class Kokoro:
    """Kokoro-82M (Apache-2.0) as an ONNX model: speech from phones and a voice style.

    Args:
        folder: holds `kokoro.onnx`, `vocab.json` and `voices_ja.npz`.
    """

    def __init__(self, folder: Path):
        import onnxruntime  # an extra's

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(folder / "kokoro.onnx"), options)
        self.vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text("utf-8"))["vocab"]
        with np.load(folder / "voices_ja.npz") as voices:
            self.voices = {name: voices[name] for name in voices.files}

    def __call__(self, phones: str, weights: dict[str, float], speed: float) -> Samples:
        """Speak IPA phones in the mean of voice styles by their weights: float32 (T,) at 24 kHz."""
        for found, known in REPLACED.items():
            phones = phones.replace(found, known)
        tokens = [self.vocabulary[phone] for phone in phones if phone in self.vocabulary][:500]
        style = np.sum([weight * self.voices[name][len(tokens)] for name, weight in weights.items()], 0)
        given = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style.astype(np.float32),
            "speed": np.array([speed], np.float32),
        }
        return np.asarray(self.session.run(None, given)[0], np.float32).reshape(-1)

    def weights(self, generator: np.random.Generator) -> dict[str, float]:
        """Draw a mixed voice: weights of the voice styles, which sum to 1."""
        others = [name for name in self.voices if name != MALE]
        mix = generator.dirichlet([0.5] * len(others))
        male = generator.uniform(0.65, 1) if generator.random() < 0.5 else generator.uniform(0, 0.5)
        return {MALE: male, **{name: float(w) * (1 - male) for name, w in zip(others, mix, strict=True)}}


def phones_of(text: str, language: str) -> str:
    """Write a text as IPA phones, by espeak-ng."""
    command = ["espeak-ng", "-q", "--ipa", "-v", language, text]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.replace("\n", " ").strip()


def drawn_text(language: str, generator: np.random.Generator) -> str:
    """Draw 4 to 10 pseudo-words of 2 to 5 syllables: Japanese kana, or Korean for any other language."""

    def syllable() -> str:
        if language == "ja":
            return str(generator.choice(KANA))
        final = int(generator.choice([0, 0, 0, 1, 4, 8, 16, 17, 21]))
        return chr(0xAC00 + (int(generator.integers(19)) * 21 + int(generator.integers(21))) * 28 + final)

    words = ["".join(syllable() for _ in range(generator.integers(2, 6))) for _ in range(generator.integers(4, 11))]
    return " ".join(words)


def sentences(path: Path) -> list[str]:
    """Read the sentences of a file, one a line, of 25 to 220 letters without digits or markup; none without a file."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [line for line in lines if 25 <= len(line) <= 220 and not re.search(r"[\d@_/\\|<>{}=*#]", line)]


def main() -> None:
    """The command line: appends the clips that the corpus lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kokoro", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="kokoro")
    parser.add_argument("--hours", type=float, default=3.0)
    options = parser.parse_args()
    kokoro, writer = Kokoro(options.kokoro), CorpusWriter(options.out, options.name)
    texts = {language: sentences(options.texts / f"{language[:2]}.txt") for language in SHARES}
    number = 0
    while writer.end < options.hours * 3600 * RATE:
        generator = np.random.default_rng([number, 17])
        number += 1
        language = str(generator.choice(list(SHARES), p=np.array(list(SHARES.values())) / sum(SHARES.values())))
        own = texts[language]
        text = str(own[generator.integers(len(own))]) if own else drawn_text(language, generator)
        weights, speed = kokoro.weights(generator), float(generator.uniform(0.75, 1.15))
        if f"{number:06d}" in writer.done:
            continue
        phones = phones_of(text, language)
        wav: NDArray[np.float32] = kokoro(phones, weights, speed)
        wav = np.asarray(soxr.resample(wav, KOKORO_RATE, RATE), np.float32)
        metadata = {"language": language, "text": text, "phones": phones, "male": round(weights[MALE], 2)}
        writer.add(f"{number:06d}", trimmed(wav), **metadata)


if __name__ == "__main__":
    main()
