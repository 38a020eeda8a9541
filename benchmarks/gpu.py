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
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from gpu_checks import Checks, check_encoder, check_memory, check_signal, check_training
from gpu_inputs import random_hubert, songs
from gpu_speeds import speeds, training_speed, whole
from svc.pipeline import audio, frames


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


if __name__ == "__main__":
    main()
