"""First step: the convolutions alone learn to give what Whisper's convolutions give.

    python -m svc.data.mini_training.front --whisper FOLDER --data DATA --names kerstin nathalie --out RUN/front.pt

Teacher and student are given the same crop, so the recordings need no labels. The loss is the squared error of the
input of Whisper's first layer, each channel divided by its standard deviation. Can be stopped and continued.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .augment import faster, spoilt
from .corpus import HOP, RATE, Corpus, Samples
from .student import embedded, from_whisper, normalised

CROP = 3 * RATE


def crop(corpora: list[Corpus], generator: np.random.Generator) -> Samples:
    """A drawn crop of a drawn corpus, augmented seven times of ten: float32 (CROP,) at 16 kHz."""
    shares = np.array([corpus.frames for corpus in corpora], float) ** 0.5
    corpus = corpora[int(generator.choice(len(corpora), p=shares / shares.sum()))]
    start = int(generator.integers(len(corpus.pcm) - 2 * CROP))
    wav = corpus.part(start, 2 * CROP)
    wav = faster(wav, float(np.exp(generator.uniform(-0.3, 0.3))))[:CROP]
    return spoilt(wav, generator) if generator.random() < 0.7 else wav


class Embedding:
    """The input of Whisper's first layer without the position: waveforms (B, T) -> (B, T // 320, width)."""

    def __init__(self, folder: Path):
        from transformers import WhisperFeatureExtractor, WhisperModel

        extractor: Any = WhisperFeatureExtractor.from_pretrained(str(folder))
        self.encoder: Any = WhisperModel.from_pretrained(str(folder), dtype=torch.float32).encoder.eval()
        self.filters = torch.from_numpy(np.asarray(extractor.mel_filters, np.float32))  # [201, 80]
        self.window = torch.hann_window(400)

    @torch.inference_mode()
    def __call__(self, wavs: Tensor) -> Tensor:
        padded = F.pad(wavs[:, HOP // 2 :], (0, HOP // 2))
        power = torch.stft(padded, 400, 160, window=self.window, return_complex=True)[..., :-1].abs().square()
        mel = (self.filters.T @ power).clamp(min=1e-10).log10()
        mel = (torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8.0) + 4.0) / 4.0
        x = F.gelu(self.encoder.conv2(F.gelu(self.encoder.conv1(mel))))
        return x.transpose(1, 2)


def main() -> None:
    """The command line: trains the convolutions; weights and optimizer are saved every 100 steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whisper", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--rate", type=float, default=1e-3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    corpora = [Corpus(options.data, name) for name in options.names]
    teacher, student = Embedding(options.whisper), from_whisper(options.whisper)
    own = [*student.feature_extractor.parameters(), *student.feature_projection.parameters()]
    optimizer = torch.optim.AdamW(own, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.01)
    begin, deviation = 0, torch.ones(1)
    if options.out.exists():
        kept = torch.load(options.out, weights_only=True)
        student.load_state_dict(kept["student"])
        optimizer.load_state_dict(kept["optimizer"])
        begin, deviation = kept["step"], kept["deviation"]
    started, history = time.time(), []
    for step in range(begin, options.steps):
        generator = np.random.default_rng([step, 31])
        wavs = torch.from_numpy(np.stack([crop(corpora, generator) for _ in range(options.batch)]))
        truth = teacher(wavs).clone()
        if step == 0:
            deviation = truth.flatten(0, 1).std(0) + 0.02
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min((step + 1) / 50, 1 - 0.95 * step / options.steps)
        gains = torch.from_numpy(np.exp(generator.uniform(-0.7, 0.7, (options.batch, 1))).astype(np.float32))
        with torch.autocast("cpu", torch.bfloat16):
            found = embedded(student, normalised(wavs) * gains)
        loss = ((found.float() - truth) / deviation).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        optimizer.step()
        history.append(loss.item())
        if (step + 1) % 25 == 0 or step + 1 == options.steps:
            print(step + 1, f"{np.mean(history[-25:]):.4f}", f"{time.time() - started:.0f} s", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == options.steps:
            kept = {"student": student.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save({**kept, "deviation": deviation}, options.out.with_suffix(".new"))
            options.out.with_suffix(".new").replace(options.out)


if __name__ == "__main__":
    main()
