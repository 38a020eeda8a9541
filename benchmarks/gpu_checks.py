"""The checks of benchmarks/gpu.py: a GPU's results compared with the CPU's."""

from __future__ import annotations

import numpy as np
import torch
from gpu_inputs import acoustic_model, loaded, training_batch
from numpy.typing import NDArray
from svc.common.random import NoiseStream, fork_generator
from svc.pipeline import mel
from svc.pipeline.diffusion.batch import Batch
from svc.pipeline.diffusion.diffusion import Diffusion
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.settings import PitchSettings
from torch import Tensor

CPU = torch.device("cpu")
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
        """Record whether a condition holds."""
        self.found[name] = float(good)
        if not good:
            self.failed.append(name)
        print(f"{'ok  ' if good else 'FAIL'}  {name}", flush=True)


def apart(one: Tensor, other: Tensor) -> float:
    """Relative L2 difference."""
    one, other = one.float().cpu(), other.float().cpu()
    return float((one - other).norm() / other.norm().clamp(min=1e-12))


def check_encoder(checks: Checks, folder: str, device: str, wavs: list[Tensor]) -> None:
    """Hidden states and soft units against float32 on the CPU, clips alone and in batches."""
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
    """Mel, loudness and f0 against the CPU's."""
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


def training_step(model: Diffusion, batch: Batch, autocast: bool) -> tuple[float, float]:
    """The loss, and the norm of its gradient."""
    device = batch.mask.device
    model.zero_grad()
    with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        loss = model.loss(batch, fork_generator(0, NoiseStream.TRAINING, 0))
    loss.backward()
    return loss.item(), float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9))


def check_training(checks: Checks, device: torch.device) -> None:
    """Loss and gradient of a training step against the CPU's."""
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
