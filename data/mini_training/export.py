"""The trained student as a folder that `HubertModel.from_pretrained` reads: float16, replaced at once.

    python -m svc.data.mini_training.export --weights RUN/whole.pt --data DATA --names kerstin nathalie --out EXPORT

The position goes into the positional convolution, whose kernel depends on the mean of its input, which is measured on
some of the recordings.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .corpus import RATE, Corpus
from .student import config, embedded, normalised, with_position

CLIPS = 40  # of each corpus, for the mean


@torch.inference_mode()
def embedding_mean(model: Any, corpora: list[Corpus]) -> Tensor:
    """Mean over frames of the positional convolution's input, float32 (width,)."""
    found = []
    for corpus in corpora:
        for clip in corpus.clips[:: max(1, len(corpus) // CLIPS)]:
            found.append(embedded(model, normalised(torch.from_numpy(corpus.samples(clip))[None]))[0])
    return torch.cat(found).mean(0)


def main() -> None:
    """The command line: writes the folder; one that is there is replaced when the new one is complete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    from transformers import HubertModel

    saved: dict[str, Any] = torch.load(options.weights, weights_only=True)
    prefix = "hubert."
    weights = {key.removeprefix(prefix): value for key, value in saved["average"].items() if key.startswith(prefix)}
    model: Any = HubertModel(config())
    model.load_state_dict(weights)
    with_position(model, embedding_mean(model, [Corpus(options.data, name) for name in options.names]))
    new = options.out.with_name(options.out.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    model.half().save_pretrained(new)
    (new / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": RATE}) + "\n")
    (new / "training.json").write_text(json.dumps({"step": saved["step"]}) + "\n")
    (new / "model.safetensors").chmod(0o644)
    old = options.out.with_name(options.out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if options.out.exists():
        for note in options.out.glob("*.md"):
            shutil.copy(note, new)
        options.out.rename(old)
    new.rename(options.out)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    main()
