"""The encoder's speed and error, compared with the usual use of transformers: a file at a time, in float32.

    python benchmarks/encoder.py [--encoder FOLDER] [--device cuda] [--json table.json]

Without an encoder it is a HuBERT-base of random weights, whose errors in bfloat16 and float16 differ from those of
trained weights. The clips are noise shaped like speech, so that anyone can run it. On a CPU time is process CPU time on
one thread; on a GPU it is the clock's, between synchronisations. Figures are medians of interleaved runs, so that
ratios are valid on a busy machine too. Peak is the measured speed of one large matrix product in that dtype.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import argparse
import copy
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from svc.pipeline.encoder.batches import batches
from svc.pipeline.encoder.content import ContentEncoder
from svc.pipeline.encoder.hubert import Hubert
from svc.pipeline.encoder.network import PRECISIONS, EncoderSettings
from svc.pipeline.encoder.registry import load_encoder
from svc.pipeline.encoder.waveform_transformer import WaveformEncoder
from svc.pipeline.frames import CONTENT_HOP, CONTENT_PAD, CONTENT_RATE, UNIT_RATE
from torch import Tensor

SECONDS = (4.0, 6.5, 9.0, 15.0)  # clips as extract cuts them
TINY = 100, 0.2  # clips, seconds each
BUDGETS = (20, 60, 180, 600, 1800)  # seconds, tried on a GPU

Row = dict[str, Any]


def clips(seconds: Sequence[float]) -> list[Tensor]:
    """Low noise whose loudness moves four times a second, as that of syllables does: float32 at 16 kHz."""
    generator, made = torch.Generator().manual_seed(0), []
    for length in seconds:
        count = round(CONTENT_RATE * length)
        noise = torch.randn(count, generator=generator)
        syllables = (torch.arange(count) / CONTENT_RATE * 2 * torch.pi * 2).sin().square()
        made.append(0.1 * F.avg_pool1d(noise[None], 5, 1, 2)[0] * syllables)
    return made


def flops_per_second(config: Any, frames: float) -> float:
    """Floating-point operations per second of audio, for clips of `frames` unit frames; a multiply-add is two."""
    rate, inputs, total = float(CONTENT_RATE), 1, 0.0
    for outputs, kernel, stride in zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True):
        rate /= stride
        total += rate * inputs * outputs * kernel
        inputs = outputs
    width = config.hidden_size
    total += UNIT_RATE * inputs * width
    total += UNIT_RATE * width * width * config.num_conv_pos_embeddings / config.num_conv_pos_embedding_groups
    layer = 4 * width * width + 2 * width * config.intermediate_size + 2 * frames * width
    return 2 * (total + UNIT_RATE * config.num_hidden_layers * layer)


class Clock:
    """Seconds that a call takes: of process CPU time, or between synchronisations of the GPU."""

    def __init__(self, device: torch.device):
        self.cuda = device.type == "cuda"

    def __call__(self, work: Callable[[], object]) -> float:
        if not self.cuda:
            start = time.process_time()
            work()
            return time.process_time() - start
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    def in_turns(self, ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
        """Each way's median over rounds in which all take turns, after one that does not count."""
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, work in ways.items():
                seconds = self(work)
                if number:
                    times[name].append(seconds)
        return {name: statistics.median(taken) for name, taken in times.items()}


def peak(clock: Clock, device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large product of matrices."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / clock.in_turns({"product": lambda: a @ b}, 9)["product"]


def naive(model: Any, device: torch.device, normalize: bool) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """transformers on one clip, all hidden states, as usual scripts run it."""

    def states(wav: Tensor) -> tuple[Tensor, ...]:
        if normalize:
            wav = (wav - wav.mean()) / torch.sqrt(wav.var(correction=0) + 1e-7)
        with torch.inference_mode():
            out = model(F.pad(wav[None].to(device), (CONTENT_PAD, CONTENT_PAD)), output_hidden_states=True)
        return tuple(state[0].cpu() for state in (*out.hidden_states[:-1], out.last_hidden_state))

    return states


def apart(got: Tensor, truth: Tensor) -> float:
    """Relative L2 distance."""
    return float((got - truth).norm() / truth.norm())


def whole_clips(encoder: WaveformEncoder, device: torch.device, precisions: Sequence[str], rounds: int) -> list[Row]:
    """One clip at a time: real-time factor, error, and FLOP/s beside the peak."""
    clock, config = Clock(device), encoder.model.config
    last, middle = config.num_hidden_layers, round(config.num_hidden_layers * 7 / 12)
    contents = {precision: placed(encoder, device, precision) for precision in precisions}
    plain = naive(reference(encoder, device), device, encoder.normalize)
    peaks = {name: peak(clock, device, PRECISIONS[name]) for name in {"fp32", *precisions}}
    taken: dict[str, list[float]] = {}
    errors: dict[str, list[tuple[float, float]]] = {}
    flops: list[float] = []
    for seconds, wav in zip(SECONDS, clips(SECONDS), strict=True):
        ways: dict[str, Callable[[], object]] = {"transformers fp32": partial(plain, wav)}
        for name, content in contents.items():
            ways[f"svc {name}"] = partial(content.encode, wav, (middle, last))
        truth = plain(wav)
        for name, content in contents.items():
            states = content.encode(wav, (middle, last))
            pair = apart(states[middle], truth[middle]), apart(states[last], truth[last])
            errors.setdefault(f"svc {name}", []).append(pair)
        for name, spent in clock.in_turns(ways, rounds).items():
            taken.setdefault(name, []).append(spent / seconds)
        flops.append(flops_per_second(config, seconds * UNIT_RATE))
    rows = []
    for name, factors in taken.items():
        reached = statistics.median(flop / factor for flop, factor in zip(flops, factors, strict=True))
        rows.append(
            {
                "way": name,
                "RTF": statistics.median(factors),
                "x naive": statistics.median(n / f for n, f in zip(taken["transformers fp32"], factors, strict=True)),
                f"error, layer {middle}": max((pair[0] for pair in errors.get(name, [])), default=0.0),
                f"error, layer {last}": max((pair[1] for pair in errors.get(name, [])), default=0.0),
                "GFLOP/s": reached / 1e9,
                "of peak": reached / peaks[name.split()[-1]],
            }
        )
    return rows


def reference(encoder: WaveformEncoder, device: torch.device) -> Any:
    """The transformers model there. A GPU's own copy, since `Content` keeps the weights on the CPU."""
    return encoder.model if device.type == "cpu" else copy.deepcopy(encoder.model).to(device)


def planned(content: ContentEncoder, wavs: Sequence[Tensor], budget: int, layer: int) -> None:
    for together in batches([len(wav) for wav in wavs], budget):
        content.encode_batch([wavs[index] for index in together], (layer,))


def tiny_clips(encoder: WaveformEncoder, device: torch.device, precisions: Sequence[str], rounds: int) -> list[Row]:
    """Many clips of a fifth of a second: one by one, and in batches of the default budget."""
    number, seconds = TINY
    clock, last = Clock(device), encoder.model.config.num_hidden_layers
    wavs = clips([seconds * (0.8 + 0.4 * index / number) for index in range(number)])
    total = sum(len(wav) for wav in wavs) / CONTENT_RATE
    plain = naive(reference(encoder, device), device, encoder.normalize)
    ways: dict[str, Callable[[], object]] = {"transformers fp32, one by one": lambda: [plain(wav) for wav in wavs]}
    for name in precisions:
        content = placed(encoder, device, name)
        ways[f"svc {name}, one by one"] = partial(planned, content, wavs, 0, last)
        ways[f"svc {name}, batches"] = partial(planned, content, wavs, content.budget, last)
    found = clock.in_turns(ways, max(1, rounds // 2))
    first = next(iter(found.values()))
    return [{"way": name, "RTF": spent / total, "x naive": first / spent} for name, spent in found.items()]


def budgets(encoder: WaveformEncoder, device: torch.device, precisions: Sequence[str], rounds: int) -> list[Row]:
    """An hour of clips of all lengths, in batches of several budgets and of the default one."""
    clock, last = Clock(device), encoder.model.config.num_hidden_layers
    wavs = clips([2 + index % 14 for index in range(420)])
    total = sum(len(wav) for wav in wavs) / CONTENT_RATE
    flops = statistics.mean(flops_per_second(encoder.model.config, len(wav) / CONTENT_HOP) for wav in wavs)
    rows = []
    for name in precisions:
        content, best = placed(encoder, device, name), peak(clock, device, PRECISIONS[name])
        sizes = {f"{seconds} s": seconds * CONTENT_RATE for seconds in BUDGETS}
        sizes[f"default, {content.budget / CONTENT_RATE:.0f} s"] = content.budget
        ways = {label: partial(planned, content, wavs, size, last) for label, size in sizes.items()}
        for label, spent in clock.in_turns(ways, max(1, rounds // 2)).items():
            share = flops * total / spent / best
            rows.append({"way": f"svc {name}, {label}", "x real time": total / spent, "of peak": share})
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """One table, columns as in its rows."""
    forms = {"RTF": ".4f", "x naive": ".2f", "GFLOP/s": ".0f", "of peak": ".0%", "x real time": ",.0f"}
    lines = ["| " + " | ".join(rows[0]) + " |", "| " + " | ".join("---" for _ in rows[0]) + " |"]
    for row in rows:
        cells = [value if isinstance(value, str) else format(value, forms.get(k, ".1e")) for k, value in row.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def placed(encoder: WaveformEncoder, device: torch.device, precision: str) -> WaveformEncoder:
    """The same weights, to compute there in that precision."""
    settings = EncoderSettings(encoder.name, encoder.origin, device, precision)
    return type(encoder)(encoder.model, encoder.normalize, settings)


def random_encoder() -> WaveformEncoder:
    """HuBERT-base with transformers' random initialisation."""
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    return Hubert(HubertModel(HubertConfig()), True, EncoderSettings("HuBERT-base, random weights", "random"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", help="a short name, hub id or path; default: random weights")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16", "fp16"], choices=list(PRECISIONS))
    parser.add_argument("--rounds", type=int, default=5, help="times that each way is measured")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(settings.device)
    encoder = load_encoder(settings.encoder) if settings.encoder else random_encoder()
    if not isinstance(encoder, WaveformEncoder):
        parser.error("the reference here is transformers' wav2vec 2.0 family; give an encoder of it")
    machine = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU, one thread"
    gflop = flops_per_second(encoder.model.config, 10 * UNIT_RATE) / 1e9
    print(f"{encoder.name} on {machine}, torch {torch.__version__}: {gflop:.1f} GFLOP per second of audio\n")
    measures = {"whole clips": whole_clips, f"{TINY[0]} clips of {TINY[1]} s": tiny_clips}
    if device.type == "cuda":
        measures["batch budgets"] = budgets
    found = {}
    for title, measure in measures.items():
        found[title] = measure(encoder, device, settings.precision, settings.rounds)
        print(f"### {title}\n\n{markdown(found[title])}\n")
    if settings.json:
        metadata = {"encoder": encoder.name, "machine": machine, "torch": torch.__version__, "gflop_per_second": gflop}
        settings.json.write_text(json.dumps({**metadata, **found}, indent=1))


if __name__ == "__main__":
    main()
