"""The measurements of benchmarks/gpu.py: the speed of each part on a GPU."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from gpu_inputs import acoustic_model, loaded, training_batch
from numpy.typing import NDArray
from svc.common.random import NoiseStream, fork_generator
from svc.pipeline import audio, frames, mel
from svc.pipeline.encoder.batches import batches
from svc.pipeline.encoder.content import ContentEncoder
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.settings import PitchSettings
from svc.stages.extraction.extract import extract
from svc.stages.settings import ExtractSettings
from torch import Tensor

FLOP_PER_SECOND = 13.9e9  # of HuBERT-base, for a second of audio


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
    """Training steps a second of the `base` model."""
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
