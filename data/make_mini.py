"""Make the embedded encoder, `mini`: a small HubertModel that knows phones, trained on singers that the project makes.

    python -m svc.data.make_mini --real RECORDINGS --out data/mini

Two lessons in every batch. Of synthetic singers all is known, so each frame is told its true phone, from a middle layer
and from the last. Of real recordings nothing is known, so they teach what HuBERT's own recipe teaches (Hsu et al.,
2021): stretches of a clip are hidden, and the cluster of each hidden frame is to be guessed: clusters of MFCCs first,
and of the network's own layer from halfway on. All is heard through made-up microphones, rooms and noise, faster and
slower.

`--real` is a folder with a `files.tsv` (file, licence, kind); only what may be redistributed in a derived model is
used. The same arguments on the same machine give the same weights.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.fft import dct
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from ..pipeline import audio
from ..pipeline.frames import CONTENT_HOP, CONTENT_PAD, CONTENT_RATE, MEL_RATE, UNIT_RATE
from .singers import NAMES, Score, draw_score, draw_voice, sing

LANGUAGES = ("en", "ko", "ja")
CLUSTERS = 100
CROP = 4 * CONTENT_RATE  # samples of a clip in a batch
SYNTHETIC, REAL = 6, 2  # clips of each in a batch
MIDDLE, LAST = 4, 6  # layers that are told phones; those that `svc extract` keeps of six
FREE = ("Public domain", "MIT", "CC BY 4.0", "CC BY 3.0", "CC0")
HELD_BACK = ("vctk", "vocadito", "mix_")  # for probes; of unclear licence; not a voice alone
FIRST_PROBE_SEED = 900_000  # voices from here on are never trained on

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """Samples at 16 kHz, int16; of a singer the score, of a recording the clusters, at 50 frames/s."""

    wav: NDArray[np.int16]
    labels: NDArray[np.int64]


def config() -> Any:
    from transformers import HubertConfig

    return HubertConfig(
        hidden_size=256,
        num_hidden_layers=LAST,
        num_attention_heads=4,
        intermediate_size=1024,
        conv_dim=[96] * 7,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        hidden_dropout=0.05,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.05,  # so that there is an embedding for what is hidden; what is hidden is chosen here
        apply_spec_augment=True,
    )


def drawn(seed: int, seconds: float) -> tuple[Samples, Score]:
    """A drawn singer with a drawn phrase: sung or as quick and flat as speech, in any language and register. The sound,
    float32 (T,) at 44.1 kHz, and what is sung."""
    generator = np.random.default_rng([seed, 11])
    voice = draw_voice(seed)
    spoken = generator.random() < 0.5
    score = draw_score(
        LANGUAGES[int(generator.integers(3))],
        seconds,
        seed,
        midi=voice.midi + generator.uniform(-7, 5) - 4 * spoken,
        reach=generator.uniform(1.5, 3) if spoken else generator.uniform(4, 9),
        pace=generator.uniform(0.13, 0.22) if spoken else generator.uniform(0.25, 0.55),
    )
    return sing(score, voice), score


def sing_clip(seed: int, seconds: float) -> Clip:
    wav, score = drawn(seed, seconds)
    return Clip(_int16(at_16k(wav, MEL_RATE)), _labels(score))


def _labels(score: Score) -> NDArray[np.int64]:
    return score.unit_labels(int(score.samples / MEL_RATE * UNIT_RATE))


def at_16k(wav: Samples, rate: int) -> Samples:
    return np.asarray(soxr.resample(wav, rate, CONTENT_RATE), np.float32)


def read(path: Path) -> Samples:
    """A recording at 16 kHz."""
    found = audio.scan(path)
    return at_16k(audio.read(found, 0, found.frames), found.sample_rate)


def _int16(wav: Samples) -> NDArray[np.int16]:
    return (np.clip(wav, -1, 1) * 32767).astype(np.int16)


def recordings(folder: Path) -> Iterator[Path]:
    """Those of `files.tsv` whose licence lets a derived model be passed on, but for those held back."""
    with (folder / "files.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            path = row["file"]
            held_back = path.startswith("odd/") or any(word in path for word in HELD_BACK)
            if row["licence"].startswith(FREE) and not held_back:
                yield folder / path


def mfcc(wav: Samples) -> Samples:
    """13 MFCCs with two differences of a clip at 16 kHz: float32 (T // 320, 39), frames as HuBERT's."""
    padded = F.pad(torch.from_numpy(wav), ((512 - CONTENT_HOP) // 2,) * 2)
    power = torch.stft(padded, 512, CONTENT_HOP, 400, torch.hann_window(400), center=False, return_complex=True)
    mel = melscale_fbanks(257, 20.0, 8000.0, 40, CONTENT_RATE).T @ power.abs().square()
    still = dct(mel.clamp(min=1e-8).log().T.numpy(), norm="ortho")[:, :13]
    first = np.gradient(still, axis=0)
    return np.concatenate([still, first, np.gradient(first, axis=0)], axis=1).astype(np.float32)


def cluster(features: Sequence[Samples], seed: int) -> list[NDArray[np.int64]]:
    """k-means over clips' frames, each clip's own mean and deviation taken out: codes of each."""
    normed = [(f - f.mean(0)) / (f.std(0) + 1e-3) for f in features]
    means = MiniBatchKMeans(CLUSTERS, random_state=seed, n_init=3, batch_size=4096).fit(np.concatenate(normed))
    return [means.predict(frames).astype(np.int64) for frames in normed]


def augment(clip: Clip, generator: np.random.Generator) -> tuple[Samples, NDArray[np.int64]]:
    """CROP samples of a clip as some microphone in some room had them, and its labels; faster or slower, too."""
    speed = float(np.exp(generator.uniform(-0.16, 0.16))) if generator.random() < 0.7 else 1.0
    need = int(CROP * speed) + 2
    start = int(generator.integers(max(1, len(clip.wav) - need)))
    piece = clip.wav[start : start + need].astype(np.float32) / 32767
    piece = np.pad(piece, (0, need - len(piece)))
    wav = np.interp(np.arange(CROP) * speed, np.arange(need), piece) if speed != 1 else piece[:CROP]
    at = (start + (np.arange(CROP // CONTENT_HOP) + 0.5) * CONTENT_HOP * speed) / CONTENT_HOP
    labels = np.pad(clip.labels, (0, CROP // CONTENT_HOP * 2))[at.astype(int)]
    spectrum = np.fft.rfft(wav, CROP + CONTENT_RATE // 2)
    hertz = np.fft.rfftfreq(CROP + CONTENT_RATE // 2, 1 / CONTENT_RATE)
    knots = np.log([60, 200, 500, 1000, 2000, 3500, 5500, 8000])
    decibels = np.interp(np.log(hertz + 1), knots, generator.normal(0, generator.uniform(0, 5), len(knots)))
    spectrum *= 10 ** (decibels / 20)
    if generator.random() < 0.15:  # a telephone's band, or some codec's
        spectrum[hertz > generator.uniform(3000, 6500)] *= 0.01
    if generator.random() < 0.5:
        count = CONTENT_RATE // 2
        fall = np.exp(-np.arange(count) / CONTENT_RATE * 6.9 / generator.uniform(0.1, 0.7))
        room = generator.standard_normal(count) * fall
        room *= generator.uniform(0.05, 0.5) / np.sqrt(np.sum(room**2))
        room[0] = 1.0
        spectrum *= np.fft.rfft(room, CROP + count)
    wav = np.fft.irfft(spectrum)[:CROP]
    if generator.random() < 0.7:
        colour = np.fft.rfft(generator.standard_normal(CROP))
        colour *= np.maximum(np.fft.rfftfreq(CROP, 1 / CONTENT_RATE), 30.0) ** -generator.uniform(0, 1)
        noise = np.fft.irfft(colour, CROP)
        ratio = 10 ** (-generator.uniform(5, 45) / 20)
        wav = wav + noise * ratio * np.std(wav) / (np.std(noise) + 1e-9)
    wav = wav / (np.std(wav) + 1e-5)
    return wav.astype(np.float32), labels


def hidden_spans(frames: int, share: float, span: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """HuBERT's masking: about `share` of the frames, in stretches of `span`."""
    out = np.zeros(frames, bool)
    for start in generator.integers(0, max(1, frames - span), max(1, round(share * frames / span))):
        out[start : start + span] = True
    return out


class Student(nn.Module):
    """The encoder and, while it learns, its heads."""

    def __init__(self) -> None:
        from transformers import HubertModel

        super().__init__()
        self.hubert = HubertModel(config())
        self.phones = nn.ModuleDict({str(layer): nn.Linear(256, len(NAMES)) for layer in (MIDDLE, LAST)})
        self.codes = nn.Linear(256, CLUSTERS)

    def forward(self, wavs: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        padded = F.pad(wavs, (CONTENT_PAD, CONTENT_PAD))
        out = self.hubert(padded, mask_time_indices=mask, output_hidden_states=True)
        return tuple(out.hidden_states)


def training_losses(
    student: Student, clips: list[Clip], real: list[Clip], generator: np.random.Generator
) -> dict[str, Tensor]:
    """Losses of one batch."""
    chosen = [clips[i] for i in generator.integers(len(clips), size=SYNTHETIC)]
    chosen += [real[i] for i in generator.integers(len(real), size=REAL)] if real else []
    heard = [augment(clip, generator) for clip in chosen]
    wavs = torch.from_numpy(np.stack([wav for wav, _ in heard]))
    labels = torch.from_numpy(np.stack([label for _, label in heard]))
    frames = labels.shape[1]
    spans = [(0.15, 5)] * SYNTHETIC + [(0.55, 10)] * (len(chosen) - SYNTHETIC)
    mask = torch.from_numpy(np.stack([hidden_spans(frames, *span, generator) for span in spans]))
    with torch.autocast("cpu", torch.bfloat16):
        states = student(wavs, mask)
    told = labels[:SYNTHETIC].flatten()
    losses = {}
    for layer, head in student.phones.items():
        logits = head(states[int(layer)][:SYNTHETIC].float()).flatten(0, 1)
        losses[f"phones {layer}"] = F.cross_entropy(logits, told, label_smoothing=0.05)
        if int(layer) == LAST:
            sounds = told > 0
            losses["right"] = (logits.argmax(-1) == told)[sounds].float().mean().detach()
    if real:
        logits = student.codes(states[LAST][SYNTHETIC:].float())[mask[SYNTHETIC:]]
        losses["masked"] = F.cross_entropy(logits, labels[SYNTHETIC:][mask[SYNTHETIC:]])
    return losses


def second_look(student: Student, real: list[Clip], seed: int) -> list[Clip]:
    """HuBERT's second iteration: the clusters are now of the network's own middle layer."""
    student.eval()
    features = []
    with torch.inference_mode():
        for clip in real:
            wav = torch.from_numpy(clip.wav.astype(np.float32))[None]
            padded = F.pad((wav - wav.mean()) / (wav.std() + 1e-5), (CONTENT_PAD, CONTENT_PAD))
            features.append(student.hubert(padded, output_hidden_states=True).hidden_states[MIDDLE][0].numpy())
    student.train()
    return [Clip(clip.wav, codes) for clip, codes in zip(real, cluster(features, seed), strict=True)]


def save(average: Student, out: Path, metadata: dict[str, Any]) -> None:
    """As a hub download would be, in float16; and beside it how far training came."""
    from transformers import HubertModel

    out.mkdir(parents=True, exist_ok=True)
    model = HubertModel(config())
    model.load_state_dict(average.hubert.state_dict())
    model.half().save_pretrained(out)
    (out / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": CONTENT_RATE}))
    (out / "training.json").write_text(json.dumps(metadata, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, help="folder with recordings and files.tsv")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--singers", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)  # another number sums in another order
    begun = time.process_time()
    clips = [sing_clip(seed, asked.seconds) for seed in range(asked.singers)]
    print(f"{asked.singers} singers, {time.process_time() - begun:.0f} CPU-s", flush=True)
    real: list[Clip] = []
    if asked.real:
        wavs = [read(path) for path in recordings(asked.real)]
        codes = cluster([mfcc(wav) for wav in wavs], asked.seed)
        real = [Clip(_int16(wav), code) for wav, code in zip(wavs, codes, strict=True)]
        # Long recordings are not to be rarer than short ones: one place a 4 s.
        real = [clip for clip in real for _ in range(max(1, round(len(clip.wav) / CROP)))]
        print(f"{len(wavs)} recordings, {sum(map(len, wavs)) / CONTENT_RATE / 60:.1f} minutes", flush=True)
    student, average = Student(), Student()
    average.load_state_dict(student.state_dict())
    optimizer = torch.optim.AdamW(student.parameters(), lr=asked.rate, betas=(0.9, 0.98), weight_decay=0.01)
    warm = max(1, asked.steps // 12)
    for step in range(asked.steps):
        if step == asked.steps // 2 and real:
            real = second_look(average, real, asked.seed)
        losses = training_losses(student, clips, real, np.random.default_rng([asked.seed, step, 5]))
        right = losses.pop("right")
        loss = losses[f"phones {LAST}"] + 0.5 * losses[f"phones {MIDDLE}"] + 0.3 * losses.get("masked", 0.0)
        for group in optimizer.param_groups:
            group["lr"] = asked.rate * min((step + 1) / warm, 1 - (step - warm) / (asked.steps - warm) * 0.97)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        keep = min(0.99, step / (step + 10))
        with torch.no_grad():
            for mine, new in zip(average.parameters(), student.parameters(), strict=True):
                mine.lerp_(new, 1 - keep)
        if (step + 1) % 25 == 0:
            told = {name: round(value.item(), 3) for name, value in losses.items()}
            seconds = round(time.process_time() - begun)
            print(step + 1, told, f"right {right:.3f}", f"{seconds} CPU-s", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == asked.steps:
            arguments = {name: str(value) for name, value in vars(asked).items() if name not in ("real", "out")}
            done = {"step": step + 1, "of": asked.steps, "cpu_seconds": round(time.process_time() - begun)}
            save(average, asked.out, {**done, **arguments, "real_recordings": bool(real)})


if __name__ == "__main__":
    main()
