"""A GPU compared with the CPU, in one run: whether features and training steps are the same, and the speed of each.

python benchmarks/gpu.py [--device cuda] [--encoder HUBERT] [--seconds 600] [--out gpu.json]

It needs the GPU and svc with its requirements, nothing else: sounds and models are made here (a HuBERT-base shape and a
soft head of random weights, unless --encoder names a real one). It checks, and exits with 1 if one differs by more:

hidden, soft    hidden states and soft units, fp32 and bf16, clips alone and in batches, against fp32 on the CPU
mel, loudness   against the CPU's
f0              SwiftF0's network: frames voiced on one device only, and cents where both are voiced
training        the loss and the gradient's norm of one step of the `base` model, fp32, and bf16 autocast
memory          a batch that does not fit: the budget becomes smaller, and no clip is encoded on the CPU

Then it measures, after warming up and with the device synchronised: each part in seconds of audio per second, the
encoder's FLOP/s over those of a large product in the same dtype, `svc extract` whole, and training steps per
second of `base` in fp32 and under bf16 autocast. It has not been run on a GPU yet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from svc.common.random import NoiseStream, fork_generator
from svc.data.singers import draw_score, draw_voice, sing
from svc.pipeline import audio, frames, mel
from svc.pipeline.diffusion.batch import Batch
from svc.pipeline.diffusion.diffusion import Diffusion
from svc.pipeline.diffusion.rectified_flow import RectifiedFlow
from svc.pipeline.diffusion.shape import ModelShape
from svc.pipeline.encoder.batches import batches
from svc.pipeline.encoder.content import ContentEncoder
from svc.pipeline.encoder.registry import load_encoder
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.settings import PitchSettings
from svc.pipeline.projection import SoftHead, SoftProjection
from svc.stages.extraction.extract import extract
from svc.stages.settings import PRESETS, ExtractSettings
from torch import Tensor

CPU = torch.device("cpu")
FLOP_PER_SECOND = 13.9e9  # of HuBERT-base, for a second of audio
# The most that may differ: relative L2 of states, ln magnitude, dB, share of frames, cents, relative.
LIMITS = {
    "hidden fp32": 1e-4, "hidden bf16": 4e-2, "soft fp32": 1e-4, "mel": 1e-2, "loudness": 1e-2, "voiced frames": 1e-3,
    "cents": 0.5, "loss fp32": 1e-4, "gradient fp32": 1e-3, "loss bf16": 3e-2,
}  # fmt: skip


class Checks:
    """The results of comparisons, printed as they are made."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        self.failed: list[str] = []

    def within(self, name: str, value: float, limit: str) -> None:
        """`value` must not exceed LIMITS[limit]."""
        self.found[name] = value
        good = value <= LIMITS[limit]
        if not good:
            self.failed.append(name)
        print(f"{'ok  ' if good else 'FAIL'}  {name}: {value:.2e}, at most {LIMITS[limit]:.0e}", flush=True)

    def true(self, name: str, good: bool) -> None:
        self.found[name] = float(good)
        if not good:
            self.failed.append(name)
        print(f"{'ok  ' if good else 'FAIL'}  {name}", flush=True)


def songs(seconds: float) -> list[NDArray[np.float32]]:
    """Synthetic singing: float32 (T,) at 44.1 kHz, clips of 2 to 14 s."""
    found: list[NDArray[np.float32]] = []
    voices = [draw_voice(seed, high=bool(seed % 2), name=str(seed)) for seed in range(2)]
    lengths = (2.0, 5.0, 9.0, 14.0)
    made = [sing(draw_score("en", lengths[n % 4], n), voices[n % 2], n).astype(np.float32) for n in range(8)]
    while sum(map(len, found)) < seconds * frames.MEL_RATE:
        found.append(made[len(found) % len(made)] * np.float32(1 - 0.01 * (len(found) // len(made) % 20)))
    return found


def apart(one: Tensor, other: Tensor) -> float:
    """Relative L2 difference."""
    one, other = one.float().cpu(), other.float().cpu()
    return float((one - other).norm() / other.norm().clamp(min=1e-12))


def loaded(folder: str, device: str, precision: str) -> ContentEncoder:
    """The encoder, with a soft head if it has none: the same one on every device."""
    found = load_encoder(folder, device, precision)
    if found.head is None:
        torch.manual_seed(0)
        found.head = SoftHead(SoftProjection(found.hidden_size)).to(found.device, torch.float32)
    return found


def check_encoder(checks: Checks, folder: str, device: str, wavs: list[Tensor]) -> None:
    exact = loaded(folder, "cpu", "fp32")
    layers = (max(1, round(exact.layers * 7 / 12)), exact.layers)
    truth = [exact.start([wav], layers, units=True, dtype=torch.float32)()[0] for wav in wavs]
    for precision in ("fp32", "bf16"):
        encoder = loaded(folder, device, precision)
        for way, found in (
            ("together", encoder.start(wavs, layers, units=True)()),
            ("alone", [encoder.start([wav], layers, units=True)()[0] for wav in wavs]),
        ):
            checks.true(f"every clip encoded, {precision}, {way}", not any(clip.problem for clip in found))
            for layer in layers:
                off = max(
                    apart(clip.states[layer], true.states[layer]) for clip, true in zip(found, truth, strict=True)
                )
                # Results are float16, whose own rounding is 3e-4.
                checks.within(f"hidden/{layer}, {precision}, {way}", max(0.0, off - 5e-4), f"hidden {precision}")
            if precision == "fp32":
                pairs = [(clip.units, true.units) for clip, true in zip(found, truth, strict=True)]
                off = max(apart(one, other) for one, other in pairs if one is not None and other is not None)
                checks.within(f"soft, fp32, {way}", max(0.0, off - 5e-4), "soft fp32")


def check_signal(checks: Checks, device: torch.device, wavs: list[NDArray[np.float32]]) -> None:
    settings = PitchSettings()
    off, louder, flips, total, cents = 0.0, 0.0, 0, 0, [0.0]
    for wav in wavs:
        here = torch.from_numpy(wav)
        off = max(off, float((mel.log_mel(here.to(device)).cpu() - mel.log_mel(here)).abs().max()))
        louder = max(louder, float((mel.loudness(here.to(device)).cpu() - mel.loudness(here)).abs().max()))
        one, other = pitch.track(wav, settings, device), pitch.track(wav, settings)
        flips, total = flips + int(((one > 0) != (other > 0)).sum()), total + len(one)
        cents += pitch.cents_off(one, other).tolist()
    checks.within("mel, ln magnitude", off, "mel")
    checks.within("loudness, dB", louder, "loudness")
    checks.within("f0, share of frames voiced on one device only", flips / total, "voiced frames")
    checks.within("f0, cents", max(cents), "cents")


def training_batch(device: torch.device, size: int = 32, length: int = 172) -> Batch:
    """Random features of crops of 2 s."""
    g = torch.Generator().manual_seed(0)
    units = torch.randn(size, length, 256, generator=g)
    tensors = {
        "units": units, "mel2ph": torch.arange(1, length + 1).repeat(size, 1),
        "f0": 220 * 2 ** torch.rand(size, length, generator=g), "voiced": torch.ones(size, length),
        "loudness": -20 * torch.rand(size, length, generator=g), "mask": torch.ones(size, length),
        "speaker": torch.zeros(size, dtype=torch.int64), "mel": -4 + 2 * torch.randn(size, length, 128, generator=g),
    }  # fmt: skip
    return Batch(**{name: tensor.to(device) for name, tensor in tensors.items()})


def acoustic_model(device: torch.device) -> Diffusion:
    torch.manual_seed(0)
    shape = ModelShape(256, 1, mel.N_MELS, architecture=PRESETS["base"].architecture)
    model = Diffusion(shape, RectifiedFlow())
    with torch.no_grad():
        for parameter in model.parameters():  # its last layer begins as zeros, which would hide differences
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.to(device)


def training_step(model: Diffusion, batch: Batch, autocast: bool) -> tuple[float, float]:
    """The loss, and the norm of its gradient."""
    device = batch.mask.device
    model.zero_grad()
    with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        loss = model.loss(batch, fork_generator(0, NoiseStream.TRAINING, 0))
    loss.backward()
    return loss.item(), float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9))


def check_training(checks: Checks, device: torch.device) -> None:
    truth = training_step(acoustic_model(CPU), training_batch(CPU, 4), False)
    model, batch = acoustic_model(device), training_batch(device, 4)
    found, coarse = training_step(model, batch, False), training_step(model, batch, True)
    checks.within("training, loss, fp32", abs(found[0] / truth[0] - 1), "loss fp32")
    checks.within("training, gradient's norm, fp32", abs(found[1] / truth[1] - 1), "gradient fp32")
    checks.within("training, loss, bf16", abs(coarse[0] / truth[0] - 1), "loss bf16")


def check_memory(checks: Checks, folder: str, device: torch.device, wavs: list[Tensor]) -> None:
    """Fill the GPU's memory, so that only half of what the encoder needs for this batch is free."""
    encoder = loaded(folder, str(device), "bf16")
    encoder.start(wavs[:1], (encoder.layers,))()
    before = encoder.budget
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    network = encoder.network(device, torch.bfloat16)
    longest = max(map(len, wavs))
    filled = torch.empty(max(0, int(free - 0.5 * network.bytes_per_sample * longest * len(wavs))), dtype=torch.uint8)
    filled = filled.to(device)
    found = encoder.start(wavs, (encoder.layers,))()
    del filled
    checks.true("out of memory: every clip is encoded or refused", all(clip.states or clip.problem for clip in found))
    checks.true("out of memory: a smaller budget is kept", encoder.budget <= before)
    on_cpu = [place for place, _ in encoder._networks if place.type == "cpu"]
    checks.true("out of memory: nothing is encoded on the CPU", not on_cpu)


def timed(work: Callable[[], object], device: torch.device, rounds: int = 5) -> float:
    """Seconds of a round, median, after one that does not count."""
    took = []
    for _ in range(rounds + 1):
        torch.cuda.synchronize(device)
        begun = time.perf_counter()
        work()
        torch.cuda.synchronize(device)
        took.append(time.perf_counter() - begun)
    return statistics.median(took[1:])


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a product of two matrices of 8192 x 8192."""
    a = torch.randn(8192, 8192, device=device).to(dtype)
    return 2 * 8192**3 / timed(lambda: a @ a, device)


def speeds(folder: str, device: torch.device, sung: list[NDArray[np.float32]], wavs: list[Tensor]) -> dict[str, float]:
    """Seconds of audio per second of each part, alone."""
    seconds = sum(map(len, wavs)) / frames.CONTENT_RATE
    found: dict[str, float] = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        encoder = loaded(folder, str(device), precision)
        groups = [[wavs[i] for i in group] for group in batches([len(wav) for wav in wavs], encoder.budget)]

        def encode(encoder: ContentEncoder = encoder, groups: list[list[Tensor]] = groups) -> None:
            for finish in [encoder.start(group, (7, 12), units=True) for group in groups]:
                finish()

        took = timed(encode, device)
        found[f"encoder {precision}, x real time"] = seconds / took
        found[f"encoder {precision}, share of peak"] = FLOP_PER_SECOND * seconds / took / peak(device, dtype)
    settings, some = PitchSettings(), sung[:16]
    part = sum(map(len, some)) / frames.MEL_RATE
    there = [torch.from_numpy(wav).to(device) for wav in some]
    found["mel, x real time"] = part / timed(lambda: [mel.log_mel(wav) for wav in there], device)
    found["f0, one thread, x real time"] = part / timed(
        lambda: [pitch.track(wav, settings, device) for wav in some], device
    )
    found["f0 on the CPU, one thread, x real time"] = part / timed(
        lambda: [pitch.track(wav, settings) for wav in some], device, 2
    )
    return found


def whole(folder: str, device: str, sung: list[NDArray[np.float32]]) -> dict[str, float]:
    """`svc extract`, everything counted but loading the libraries; a first run, which does not count, warms up."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for number, wav in enumerate(sung):
            (place / "corpus" / "a").mkdir(parents=True, exist_ok=True)
            audio.write(place / "corpus" / "a" / f"{number}.wav", wav)
        took = []
        for run in range(2):
            begun = time.perf_counter()
            extract([place / "corpus"], place / f"{run}.zarr", ExtractSettings(folder, device=device, precision="bf16"))
            took.append(time.perf_counter() - begun)
    seconds = sum(map(len, sung)) / frames.MEL_RATE
    return {"svc extract, bf16, x real time": seconds / took[-1]}


def training_speed(device: torch.device) -> dict[str, float]:
    model, batch = acoustic_model(device), training_batch(device)
    found = {}
    for name, autocast in (("fp32", False), ("bf16", True)):
        optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
        generator = fork_generator(0, NoiseStream.TRAINING, 0)

        def step(
            autocast: bool = autocast,
            optimizer: torch.optim.Optimizer = optimizer,
            generator: torch.Generator = generator,
        ) -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
                loss = model.loss(batch, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        found[f"training base, batch 32 x 2 s, {name}, steps/s"] = 1 / timed(step, device, 30)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--encoder", help="a HuBERT of base shape; random weights without")
    parser.add_argument("--seconds", type=float, default=600, help="of audio that speeds are measured with")
    parser.add_argument("--out", type=Path, help="write everything found to this JSON file")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no GPU is here: nothing was checked or measured")
    device = torch.device(asked.device)
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}\n")
    torch.set_num_threads(1)
    sung = songs(asked.seconds)
    wavs = [
        torch.from_numpy(audio.resample(w, frames.MEL_RATE, frames.CONTENT_RATE, len(w) * 160 // 441)) for w in sung
    ]
    checks = Checks()
    with tempfile.TemporaryDirectory() as name:
        folder = asked.encoder or random_hubert(Path(name) / "hubert")
        check_encoder(checks, folder, asked.device, wavs[:5])
        check_signal(checks, device, sung[:5])
        check_training(checks, device)
        check_memory(checks, folder, device, wavs[:64])
        print()
        measured: dict[str, Any] = {
            **speeds(folder, device, sung, wavs), **whole(folder, asked.device, sung), **training_speed(device),
        }  # fmt: skip
    for name, value in measured.items():
        print(f"{name}: {value:,.2f}")
    if asked.out:
        asked.out.write_text(
            json.dumps({"checks": checks.found, "failed": checks.failed, "speeds": measured}, indent=1)
        )
    if checks.failed:
        sys.exit(f"{len(checks.failed)} checks failed: {', '.join(checks.failed)}")


def random_hubert(folder: Path) -> str:
    import transformers

    torch.manual_seed(0)
    transformers.HubertModel(transformers.HubertConfig()).save_pretrained(folder)
    return str(folder)


if __name__ == "__main__":
    main()
