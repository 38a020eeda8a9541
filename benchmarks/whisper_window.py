"""The loss by a shortened window with Whisper as an encoder: `python benchmarks/whisper_window.py WHISPER RECORDING...`

Whisper was trained on windows of 30 s. For each amount of silence after a clip, beside the whole window:

time     seconds of audio per second of one core
error    RMS difference of a middle and of the last layer, each channel in units of its standard deviation
nearest  share of frames whose nearest frame in the whole window's features, by cosine, is the same one or its neighbour
decoded  character error rate of Whisper's own decoder on the window, against its words from the whole one; at most 1 a
         clip, since a decoder without the silence of its training may repeat itself endlessly
probe    the same after a linear map from the clip's features to the whole window's, fitted on the other half of the
         clips, and followed by the whole window's silence: the information in the features, independent of the
         decoder's expectations
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from svc.pipeline.checkpoints.model_folder import ModelFolder
from svc.pipeline.encoder.network import EncoderSettings
from svc.pipeline.encoder.whisper import Whisper
from svc.pipeline.frames import CONTENT_HOP
from svc.pipeline.metrics.transcriber import Transcriber, character_error_rate
from torch import Tensor

SILENCES = (1500, 0, 10, 25, 50, 100, 150, 250, 500)  # frames of 20 ms; the first is the whole window
MOST_SECONDS = 12


def read(path: Path) -> Tensor:
    """float32 (T,) at 16 kHz, the first `MOST_SECONDS`."""
    wav, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(soxr.resample(wav.mean(1), rate, 16_000)[: MOST_SECONDS * 16_000].astype(np.float32))


def encoded(base: Whisper, silence: int, wavs: Sequence[Tensor]) -> tuple[list[dict[int, Tensor]], float]:
    """The middle and last layer of every window, and the seconds of one core that a second of audio takes."""
    encoder = Whisper(base.model, EncoderSettings("whisper", "whisper"), silence)
    network = encoder.network(torch.device("cpu"), torch.float32)
    layers = (round(encoder.layers * 7 / 12), encoder.layers)
    network(wavs[0][None], torch.tensor([len(wavs[0])]), layers)
    start = time.process_time()
    found = [network(wav[None], torch.tensor([len(wav)]), layers) for wav in wavs]
    spent = time.process_time() - start
    windows = [{layer: state[0].clone() for layer, state in states.items()} for states in found]
    return windows, spent / sum(len(wav) / 16_000 for wav in wavs)


def text(judge: Transcriber, states: Tensor) -> str:
    """The decoder's words for states (U, hidden)."""
    from transformers.modeling_outputs import BaseModelOutput

    options: dict[str, Any] = {"language": "en", "task": "transcribe"} if judge.multilingual else {}
    with torch.inference_mode():
        tokens = judge.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states[None]), max_new_tokens=120, **options
        )
    return str(judge.tokenizer.batch_decode(tokens, skip_special_tokens=True)[0])


def linear_map(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Ridge regression with a bias: (N, D), (N, E) -> (D + 1, E)."""
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], 1).double()
    gram = inputs.T @ inputs + 1e-3 * len(inputs) * torch.eye(inputs.shape[1])
    return torch.linalg.solve(gram, inputs.T @ outputs.double()).float()


def row(
    judge: Transcriber,
    windows: list[dict[int, Tensor]],
    whole: list[dict[int, Tensor]],
    counts: list[int],
    words: list[str],
) -> str:
    def own(some: list[dict[int, Tensor]]) -> list[dict[int, Tensor]]:
        """The clips' frames, without the silence."""
        pairs = zip(some, counts, strict=True)
        return [{layer: state[:count] for layer, state in states.items()} for states, count in pairs]

    cells, found, true_own = [], own(windows), own(whole)
    for layer in found[0]:
        truth = torch.cat([states[layer] for states in true_own])
        apart = (torch.cat([states[layer] for states in found]) - truth) / truth.std(0)
        cells.append(f"{float(apart.square().mean().sqrt()):.2f}")
    last, near = max(found[0]), []
    for got, true in zip(found, true_own, strict=True):
        mean = true[last].mean(0)
        one, other = (torch.nn.functional.normalize(states[last] - mean, dim=1) for states in (got, true))
        near.append((((one @ other.T).argmax(1) - torch.arange(len(one))).abs() <= 1).float().mean())
    cells.append(f"{float(torch.stack(near).mean()):.1%}")
    cells.append(f"{errors([text(judge, states[last]) for states in windows], words):.3f}")
    said = [""] * len(words)
    for half in (0, 1):
        weight = linear_map(*(torch.cat([states[last] for states in some[half::2]]) for some in (found, true_own)))
        for index in range(1 - half, len(words), 2):
            state = found[index][last]
            mapped = torch.cat([state, torch.ones(len(state), 1)], 1) @ weight
            said[index] = text(judge, torch.cat([mapped, whole[index][last][counts[index] :]]))
    cells.append(f"{errors(said, words):.3f}")
    return " | ".join(cells)


def errors(found: Sequence[str], truth: Sequence[str]) -> float:
    """Mean character error rate, at most 1 each."""
    rates = [character_error_rate(one, other) for one, other in zip(found, truth, strict=True)]
    return float(np.nanmean(np.minimum(rates, 1.0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whisper", type=Path, help="A folder with a Whisper.")
    parser.add_argument("recordings", type=Path, nargs="+")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    judge = Transcriber(str(asked.whisper))
    wavs = [wav for path in asked.recordings if len(wav := read(path)) > 16_000]
    base = Whisper.from_folder(ModelFolder(asked.whisper), EncoderSettings("whisper", "whisper"))
    print(f"{len(wavs)} clips of {np.mean([len(wav) / 16_000 for wav in wavs]):.1f} s on average")
    print("| silence after the clip | x real time | error, middle | error, last | nearest | decoded | probe |")
    print("|---|---|---|---|---|---|---|", flush=True)
    whole, words, counts = [], [], [len(wav) // CONTENT_HOP for wav in wavs]
    for silence in SILENCES:
        found, factor = encoded(base, silence, wavs)
        if not whole:
            whole, words = found, [text(judge, states[max(states)]) for states in found]
        name = "to 30 s" if silence == SILENCES[0] else f"{silence / 50:g} s"
        print(f"| {name} | {1 / factor:.0f} | {row(judge, found, whole, counts, words)} |", flush=True)


if __name__ == "__main__":
    main()
