"""The cost of rendering, part by part, compared with the peers' settings and loop, in one run.

    python benchmarks/render.py [--seconds 6] [--repeats 3] [--out table.json]
    python benchmarks/render.py --run RUN --song SONG    # whole renders: loading, retrieval and picture included

All weights are random: cost does not depend on them. Figures are process CPU-seconds per second of audio on one thread,
the median of some repeats, parts taking turns; a song's total is their sum. Peers:

Diff-SVC        HuBERT-base a file at a time, harvest, 51 evaluations (PNDM, speed-up 20) of 20 x 384 layers whose
                condition is convolved anew at each of them, NSF-HiFiGAN; all in fp32
Diffusion-SVC   the same with 100 evaluations (DPM-Solver++) of 20 x 512 layers

Ours are the presets as `svc render` runs them: as many steps as suffice, condition convolved once, bf16 if the machine
supports it. The measurement of the result's mel and f0, which only svc has, has a column of its own. Parts that both
have are measured in turn, so ratios are valid on a busy machine; absolute figures are not.

These totals are of the conversion alone. With --run and --song whole commands are measured, each a process of its own,
in CPU-seconds from its start to its end, so that imports, loading, retrieval and picture are in them.
"""

# ruff: noqa: E402  # torch reads the number of threads when it is imported: it is set before the imports
from __future__ import annotations

import os

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_threads] = "1"

import argparse
import copy
import json
import math
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from svc.data.singers.harmonic import VOICES, Note, sing
from svc.pipeline.diffusion.batch import Batch
from svc.pipeline.diffusion.diffusion import Diffusion
from svc.pipeline.diffusion.registry import new_objective
from svc.pipeline.diffusion.sampling import sample
from svc.pipeline.diffusion.shape import ModelShape
from svc.pipeline.encoder.hubert import Hubert
from svc.pipeline.encoder.network import EncoderSettings
from svc.pipeline.frames import CONTENT_RATE, MEL_FRAME_RATE, MEL_HOP, MEL_RATE
from svc.pipeline.mel import N_MELS, log_mel, loudness
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.settings import PitchSettings
from svc.pipeline.vocoder import nsf_hifigan, source_filter
from svc.pipeline.vocoder.pulse_noise import PulseNoise
from svc.pipeline.vocoder.vocoder import Vocoder
from svc.pipeline.vocoder.world import World
from svc.stages.devices import pick_precision
from svc.stages.settings import PRESETS, VOCODER_PRESETS
from torch import Tensor, nn

SONG_SECONDS = 180
UNITS = 256
MEASURED = ("f0: swift-f0 (ours, of song and result)", "mel and loudness (ours, of song and result)")


class PeersBlock(nn.Module):
    """A residual block as Diff-SVC's DiffNet has it: its condition is convolved in every evaluation."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.dilated = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.step = nn.Linear(channels, channels)
        self.condition = nn.Conv1d(UNITS, 2 * channels, 1)
        self.output = nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x: Tensor, condition: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        y = self.dilated(x + self.step(step)[..., None]) + self.condition(condition)
        gate, filtered = y.chunk(2, dim=1)
        residual, skip = self.output(torch.sigmoid(gate) * torch.tanh(filtered)).chunk(2, dim=1)
        return (x + residual) / math.sqrt(2.0), skip


class PeersDenoiser(nn.Module):
    def __init__(self, layers: int, channels: int, dilations: int):
        super().__init__()
        self.channels = channels
        self.input, self.skip = nn.Conv1d(128, channels, 1), nn.Conv1d(channels, channels, 1)
        self.step = nn.Sequential(nn.Linear(channels, 4 * channels), nn.Mish(), nn.Linear(4 * channels, channels))
        self.blocks = nn.ModuleList(PeersBlock(channels, 2 ** (i % dilations)) for i in range(layers))
        self.output = nn.Conv1d(channels, 128, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x, step = F.relu(self.input(x)), self.step(torch.zeros(1, self.channels))
        skips = torch.zeros_like(x)
        for block in self.blocks:
            x, skip = block(x, condition, step)
            skips = skips + skip
        return self.output(F.relu(self.skip(skips / math.sqrt(len(self.blocks)))))


def peers_nsf(generator: nsf_hifigan.Generator, mel: Tensor, sines: Tensor) -> Tensor:
    """NSF-HiFiGAN's generator as in OpenVPI's forward pass: 1-d convolutions, branches summed, a mean."""
    source, x = generator.m_source(sines), generator.conv_pre(mel)
    kernels = len(generator.shape.block_kernels)
    for stage, up in enumerate(generator.ups):
        x = up(F.leaky_relu(x, nsf_hifigan.SLOPE)) + generator.noise_convs[stage](source)
        total = None
        for block in generator.resblocks[stage * kernels : (stage + 1) * kernels]:
            y = x
            for dilated, plain in zip(block.convs1, block.convs2, strict=True):
                y = plain(F.leaky_relu(dilated(F.leaky_relu(y, nsf_hifigan.SLOPE)), nsf_hifigan.SLOPE)) + y
            total = y if total is None else total + y
        x = total / kernels
    return torch.tanh(generator.conv_post(F.leaky_relu(x, nsf_hifigan.LAST_SLOPE)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--song", type=Path)
    given = parser.parse_args()
    if given.run and given.song:
        print_whole(whole_renders(given.run, given.song, given.repeats), soundfile.info(given.song).duration)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    costs = measure(parts(given.seconds), given.seconds, given.repeats)
    songs, measuring = totals(costs), SONG_SECONDS * sum(costs[part] for part in MEASURED)
    bf16 = pick_precision("auto", "cpu") == "bf16"
    print(f"{platform.machine()}, one thread, {'bf16' if bf16 else 'fp32'} for our networks\n")
    print("| part | CPU-s per s |\n|---|---|")
    for name, cost in costs.items():
        print(f"| {name} | {cost:.4f} |")
    theirs = songs["Diff-SVC"]
    print(f"\n| a song of {SONG_SECONDS} s | CPU-s | Diff-SVC / this | with the result measured | x real time |")
    print("|---|---|---|---|---|")
    for name, seconds in songs.items():
        more = f"{theirs / (seconds + measuring):.1f}" if name.startswith("svc") else ""
        print(f"| {name} | {seconds:.0f} | {theirs / seconds:.1f} | {more} | {seconds / SONG_SECONDS:.3f} |")
    if given.out:
        given.out.write_text(json.dumps({"parts": costs, "songs": songs, "bf16": bf16}, indent=1))


def whole_renders(run: Path, song: Path, repeats: int) -> dict[str, float]:
    """CPU-seconds of whole commands by name, the median of some repeats that take turns."""
    with tempfile.TemporaryDirectory() as folder:
        render = ["render", str(song), "-m", str(run), "-o", f"{folder}/result.wav"]
        commands = {
            "imports": ["--version"],
            "f0 only": [*render[:-1], f"{folder}/result.f0.csv", "--f0-only"],
            "without retrieval and picture": [*render, "--retrieve", "0", "--no-picture"],
            "without a picture": [*render, "--no-picture"],
            "as it is": render,
        }
        spent: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(repeats):
            for name, arguments in commands.items():
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run([sys.executable, "-m", "svc.cli", *arguments], check=True, capture_output=True)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                spent[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {name: float(np.median(times)) for name, times in spent.items()}


def print_whole(costs: dict[str, float], seconds: float) -> None:
    """A table of whole commands, and what retrieval and the picture add."""
    print(f"| svc render of {seconds:.1f} s | CPU-s | CPU-s per s |\n|---|---|---|")
    rows = {
        **costs,
        "of this, retrieval": costs["without a picture"] - costs["without retrieval and picture"],
        "of this, the picture": costs["as it is"] - costs["without a picture"],
    }
    for name, cost in rows.items():
        print(f"| {name} | {cost:.2f} | {cost / seconds:.3f} |")


def parts(seconds: float) -> dict[str, Callable[[], Any]]:
    """Name -> one run of it over `seconds` of a synthetic singer."""
    from transformers import HubertConfig, HubertModel

    score = [Note(60 + number % 5, 0.5) for number in range(int(2 * seconds) + 2)]
    wav = sing(score, VOICES[0], 0)[0][: int(seconds * MEL_RATE)].astype(np.float32)
    mel, f0 = log_mel(torch.from_numpy(wav)).numpy(), pitch.track(wav, PitchSettings("dio"))
    wide = pick_precision("auto", "cpu") == "bf16"
    hubert = HubertModel(HubertConfig()).eval()
    content = Hubert(hubert, True, EncoderSettings("base", "base", "cpu", "bf16" if wide else "fp32"))
    sound_16k = torch.randn(1, int(seconds * CONTENT_RATE))
    length = torch.tensor([sound_16k.shape[1]])
    shape = nsf_hifigan.Shape((8, 8, 2, 2, 2), (16, 16, 4, 4, 4), 512, (3, 7, 11), ((1, 3, 5),) * 3, 128, MEL_RATE)
    generator = nsf_hifigan.Generator(shape).eval().requires_grad_(False)
    frames = round(seconds * MEL_FRAME_RATE)
    sines = torch.randn(1, nsf_hifigan.OVERTONES + 1, len(mel) * MEL_HOP)
    mel_in = torch.from_numpy(mel.T.copy())[None]
    condition, noisy = torch.randn(1, UNITS, frames), torch.randn(1, 128, frames)
    made: dict[str, Callable[[], Any]] = {
        "HuBERT-base, fp32 (peers)": lambda: hubert(sound_16k),
        "HuBERT-base, as we run it": lambda: content.hidden(sound_16k, length, [12]),
        "f0: harvest (peers)": lambda: pitch.track(wav, PitchSettings("harvest")),
        "f0: swift-f0 (ours, of song and result)": lambda: pitch.track(wav, PitchSettings()),
        "mel and loudness (ours, of song and result)": lambda: mel_and_loudness(wav),
    }
    for name, denoiser in (
        ("20 x 384, one evaluation (Diff-SVC)", PeersDenoiser(20, 384, 4)),
        ("20 x 512, one evaluation (Diffusion-SVC)", PeersDenoiser(20, 512, 1)),
    ):
        made[name] = lambda denoiser=denoiser: denoiser(noisy, condition)
    for preset in ("tiny", "base", "large"):
        model = our_model(preset)
        made[f"{preset}: whole sampling"] = lambda model=model: draw(model, frames, wide)
    made["NSF-HiFiGAN, fp32 (peers)"] = lambda: peers_nsf(generator, mel_in, sines)
    vocoders: dict[str, Vocoder] = {
        "NSF-HiFiGAN, as we run it": nsf_hifigan.NsfHifiGan(copy.deepcopy(generator), {}, bf16=wide),
        "plain": PulseNoise(),
        "WORLD": World(),
    }
    for preset in ("tiny", "base"):
        own = VOCODER_PRESETS[preset]
        network = source_filter.SourceFilterNet(source_filter.Shape(own.channels, own.layers))
        vocoders[f"own vocoder, {preset}"] = source_filter.SourceFilter(network, {}, bf16=wide)
    for name, vocoder in vocoders.items():
        made[name] = lambda vocoder=vocoder: vocoder(mel, f0)
    return made


def mel_and_loudness(wav: np.ndarray) -> None:
    signal = torch.from_numpy(wav)
    log_mel(signal), loudness(signal)


def our_model(preset: str) -> Diffusion:
    settings = PRESETS[preset]
    shape = ModelShape(settings.unit_dim, 1, N_MELS, architecture=settings.architecture)
    return Diffusion(shape, new_objective(settings.objective), settings.shallow_depth).eval()


def draw(model: Diffusion, frames: int, bf16: bool) -> None:
    units = torch.randn(1, round(frames / MEL_FRAME_RATE * 50), model.shape.unit_dim)
    batch = Batch(
        units=units,
        mel2ph=torch.linspace(1, units.shape[1], frames).long()[None],
        f0=torch.full((1, frames), 220.0),
        voiced=torch.ones(1, frames),
        loudness=torch.full((1, frames), -20.0),
        mask=torch.ones(1, frames),
        speaker=torch.zeros(1, dtype=torch.int64),
    )
    with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
        sample(model, batch, torch.Generator().manual_seed(0), model.objective.default_steps(model.shallow_depth))


def measure(parts: dict[str, Callable[[], Any]], seconds: float, repeats: int) -> dict[str, float]:
    """CPU-seconds per second of audio, by part."""
    spent: dict[str, list[float]] = {name: [] for name in parts}
    with torch.inference_mode():
        for number in range(repeats + 1):
            for name, run in parts.items():
                begun = time.process_time()
                run()
                if number:  # the first is to warm up
                    spent[name].append((time.process_time() - begun) / seconds)
    return {name: float(np.median(times)) for name, times in spent.items()}


def totals(costs: dict[str, float]) -> dict[str, float]:
    """CPU-seconds for a song, by program and settings."""
    peers = costs["HuBERT-base, fp32 (peers)"] + costs["f0: harvest (peers)"] + costs["NSF-HiFiGAN, fp32 (peers)"]
    ours = costs["HuBERT-base, as we run it"] + sum(costs[part] for part in MEASURED)
    rates = {
        "Diff-SVC": peers + 51 * costs["20 x 384, one evaluation (Diff-SVC)"],
        "Diffusion-SVC": peers + 100 * costs["20 x 512, one evaluation (Diffusion-SVC)"],
    }
    for preset in ("tiny", "base", "large"):
        drawn = ours + costs[f"{preset}: whole sampling"]
        own = costs["own vocoder, tiny" if preset == "tiny" else "own vocoder, base"]
        for vocoder, cost in (
            ("NSF-HiFiGAN", costs["NSF-HiFiGAN, as we run it"]),
            ("own vocoder", own),
            ("plain", costs["plain"]),
            ("WORLD", costs["WORLD"]),
        ):
            rates[f"svc {preset} + {vocoder}"] = drawn + cost
    return {name: rate * SONG_SECONDS for name, rate in rates.items()}


if __name__ == "__main__":
    main()
