"""Second step: the whole student learns to give the teacher's states of the unchanged recording.

    python -m svc.data.mini_training.train --data DATA --front RUN/front.pt --out RUN/whole.pt --steps 4000

The last layer's own numbers are to be the target layer's (regression and cosine); linear heads, which are not kept,
predict clusters and, of synthetic singers, phones. What is kept for use is the average of the weights over the last two
hundred steps or so. Can be stopped and continued; files of data that grew are read again at each start.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batches import Batch, Recordings, Singers, batch
from .student import WIDTH, config, normalised, states

PHONES = 56
KEPT = 0.995  # of the average, each step


class StudentWithHeads(nn.Module):
    """The student, with the linear heads of its training."""

    def __init__(self, data: Path, target: int):
        from transformers import HubertModel

        super().__init__()
        self.hubert, self.target = HubertModel(config()), target
        with np.load(data / "clusters.npz") as kept:
            centres = torch.from_numpy(kept["centres"])
        self.code = nn.Linear(WIDTH, len(centres))
        self.phone = nn.ModuleList([nn.Linear(WIDTH, PHONES), nn.Linear(WIDTH, PHONES)])
        self.centres: Tensor
        self.register_buffer("centres", centres)
        with torch.no_grad():
            self.code.weight.copy_(0.1 * centres)
            self.code.bias.copy_(-0.05 * centres.square().sum(1))

    def losses(self, given: Batch, gains: Tensor) -> dict[str, Tensor]:
        """Losses, and shares of right predictions, of a batch: scalars by name. `gains` (B, 1) scale the waveforms."""
        wavs = normalised(torch.from_numpy(given.wavs)) * gains
        with torch.autocast("cpu", torch.bfloat16):
            found = states(self.hubert, wavs)
        wanted = torch.from_numpy(given.targets[self.target])
        real, middle, last = len(wanted), found[-2].float(), found[-1].float()
        found_losses = {"error": F.mse_loss(last[:real], wanted)}
        found_losses["cosine"] = 1 - F.cosine_similarity(last[:real], wanted, dim=-1).mean()
        with torch.no_grad():
            codes = (wanted.flatten(0, 1) @ self.centres.T - 0.5 * self.centres.square().sum(1)).argmax(1)
        logits = self.code(last[:real]).flatten(0, 1)
        found_losses["code"] = F.cross_entropy(logits, codes)
        found_losses["codes right"] = (logits.argmax(1) == codes).float().mean().detach()
        if len(given.phones):
            phones = torch.from_numpy(given.phones).flatten()
            for name, head, state in (("phones", self.phone[0], last), ("middle phones", self.phone[1], middle)):
                logits = head(state[real:]).flatten(0, 1)
                found_losses[name] = F.cross_entropy(logits, phones, label_smoothing=0.05)
                found_losses[f"{name} right"] = (logits.argmax(1) == phones)[phones > 0].float().mean().detach()
        return found_losses


@torch.inference_mode()
def fit_norm(student: StudentWithHeads, batches: list[Batch]) -> None:
    """Begin with that scale and shift of the last layer norm which come nearest to the targets, number by number."""
    norm = student.hubert.encoder.layer_norm
    given, wanted = [], []
    for step_batch in batches:
        target = torch.from_numpy(step_batch.targets[student.target])
        found = states(student.hubert, normalised(torch.from_numpy(step_batch.wavs)))[-1]
        given.append(((found[: len(target)] - norm.bias) / norm.weight).flatten(0, 1))
        wanted.append(target.flatten(0, 1))
    x, y = torch.cat(given), torch.cat(wanted)
    slope = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / (x.var(0) + 1e-6)
    norm.weight.copy_(slope.clamp(min=0.05))
    norm.bias.copy_(y.mean(0) - norm.weight * x.mean(0))
    print(f"error at the beginning: {(x * norm.weight + norm.bias - y).square().mean():.3f}", flush=True)


WEIGHTS = {"error": 1.0, "cosine": 1.0, "code": 0.3, "phones": 0.3, "middle phones": 0.1}


def groups(student: StudentWithHeads) -> list[dict[str, Any]]:
    """Parameters with their share of the learning rate: what begins as Whisper's is moved gently."""
    gentle = list(student.hubert.encoder.parameters())
    known = {id(parameter) for parameter in gentle}
    others = [parameter for parameter in student.parameters() if id(parameter) not in known]
    return [{"params": gentle, "share": 0.5}, {"params": others, "share": 1.0}]


def rate_at(step: int, steps: int, highest: float) -> float:
    """Warm-up, then steady, then down in the last quarter, so that more steps can be asked for before that."""
    down = min(1.0, (steps - step) / (0.25 * steps))
    return highest * min(1.0, (step + 1) / 60) * max(0.02, down)


def main() -> None:
    """The command line: trains from the first step's weights; everything is saved every 100 steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", nargs="+", default=["kerstin", "nathalie"])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.6, 0.4])
    parser.add_argument("--singers", default="singers")
    parser.add_argument("--front", type=Path, required=True, help="weights to begin with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--target", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=32.0, help="of sound in a step")
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    recordings = [Recordings(options.data, name, (options.target,)) for name in options.names]
    singers = Singers(options.data, options.singers) if options.singers else None
    student, average = (StudentWithHeads(options.data, options.target) for _ in range(2))
    optimizer = torch.optim.AdamW(groups(student), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.01)
    begin, path = 0, options.out
    if path.exists():
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        student.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        begin = saved["step"]
    else:
        saved = torch.load(options.front, weights_only=True)
        if "average" in saved:
            student.load_state_dict(saved["average"])
        else:
            student.hubert.load_state_dict(saved["student"])
            draws = [np.random.default_rng([options.seed, number, 43]) for number in range(10)]
            fit_norm(student, [batch(recordings, options.shares, None, 32.0, draw) for draw in draws])
        average.load_state_dict(student.state_dict())
    for each in recordings:
        copies = [f"{copy.name} {len(frames) / 180000:.2f} h" for copy, frames in each.copies]
        print(each.corpus.name, f"{each.frames / 180000:.2f} h", *copies, flush=True)
    started, history = time.time(), []
    for step in range(begin, options.steps):
        generator = np.random.default_rng([options.seed, step, 41])
        step_batch = batch(recordings, options.shares, singers, options.seconds, generator)
        gains = torch.from_numpy(np.exp(generator.uniform(-0.7, 0.7, (len(step_batch.wavs), 1))).astype(np.float32))
        for group in optimizer.param_groups:
            group["lr"] = group["share"] * rate_at(step, options.steps, options.rate)
        losses = student.losses(step_batch, gains)
        loss = torch.stack([WEIGHTS[name] * value for name, value in losses.items() if name in WEIGHTS]).sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        keep = min(KEPT, step / (step + 10))
        with torch.no_grad():
            for mine, new in zip(average.parameters(), student.parameters(), strict=True):
                mine.lerp_(new, 1 - keep)
        history.append({name: value.item() for name, value in losses.items()})
        if (step + 1) % 25 == 0 or step + 1 == options.steps:
            means = {name: round(float(np.mean([each[name] for each in history[-25:]])), 3) for name in history[-1]}
            print(step + 1, means, f"{time.time() - started:.0f} s", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == options.steps:
            state = {"model": student.state_dict(), "average": average.state_dict(), "step": step + 1}
            torch.save({**state, "optimizer": optimizer.state_dict()}, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)


if __name__ == "__main__":
    main()
