"""How well the score by which `svc train` chooses checkpoints agrees with true conversion quality, on parallel singers.

    python benchmarks/probe.py demo --steps 1200 --every 50 [--formant-shifts] [--seed 0]

FOLDER is as benchmarks/units.py makes it. One model is trained; at each validation songs that both sing are converted
to the other voice, and compared with the other's own singing (conversion ratio). The table has the rank correlation
(Spearman) of each measure with that ratio, over all checkpoints and over those of the second half, and the ratio of
the checkpoint that the measure would have chosen. With --formant-shifts training also uses
formant-shifted columns (svc extract --formant-shifts); without, only the measure `formant_inversion` does.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from svc.common.progress import Progress
from svc.stages.run import Run
from svc.stages.settings import PRESETS
from svc.stages.training.acoustic_task import AcousticTask
from svc.stages.training.conversion_probe import ConversionProbe
from svc.stages.training.corpus import Corpus, gather_corpus
from svc.stages.training.distributed import DistributedContext
from svc.stages.training.tensorboard import TensorBoard
from svc.stages.training.train import train
from svc.stages.training.unit_measures import convert, parallel_songs
from svc.store import Clip, open_store
from units import PrintedProgress, material, new_parser, with_formant_shifts


class Watched(AcousticTask):
    """A training whose validations also measure conversions with a known true result."""

    def __init__(self, run: Run, corpus: Corpus, formant_shifted: Corpus, pairs: list[tuple[Clip, Clip]]):
        super().__init__(run, corpus, DistributedContext("cpu"))
        self.pairs: list[tuple[Clip, Clip]] = pairs
        self.seen: list[dict[str, float]] = []
        codebook, _ = run.load_units()
        column = run.config.unit_column.name
        config = dataclasses.replace(run.config, augmented=tuple(formant_shifted.formant_shifts(column).values()))
        self.inversion = ConversionProbe(
            Run(run.path, config), formant_shifted, codebook, self.average.normalise, self.held_out, self.device
        )

    def validate(self, step: int, tensorboard: TensorBoard) -> dict[str, float]:
        line = super().validate(step, tensorboard)
        _, share = convert(self.average, self.run, self.corpus, self.pairs, self.device, Progress())
        inverted = self.inversion.formant_inversion(self.average, self.projection)
        seen = {"step": step, "way": share, "held-out loss": -line["held_out"], **line, "formant_inversion": inverted}
        self.seen.append({name: round(value, 5) for name, value in seen.items() if name not in ("loss", "held_out")})
        print(json.dumps(self.seen[-1]), flush=True)
        return line


def correlations(seen: list[dict[str, Any]]) -> list[str]:
    """The agreement of each measure's order of checkpoints with the true order, as a table."""
    way = np.array([line["way"] for line in seen])
    lines = ["| measure | rank correlation | second half | chooses step | of the way to B |", "|---|---|---|---|---|"]
    for name in (name for name in seen[0] if name != "step"):
        values = np.array([line[name] for line in seen])
        half = len(seen) // 2
        whole, late = (spearmanr(values[part], way[part]).statistic for part in (slice(None), slice(half, None)))
        chosen = int(values.argmax())
        lines.append(f"| {name} | {whole:.2f} | {late:.2f} | {seen[chosen]['step']} | {way[chosen]:.1%} |")
    return lines


def main() -> None:
    parser = new_parser(__doc__, 1_200)
    parser.add_argument("--every", type=int, default=50)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    store, same = material(asked.folder)
    formant_shifted = with_formant_shifts(asked.folder)
    chosen = formant_shifted if asked.formant_shifts else store
    settings = dataclasses.replace(PRESETS["tiny"], steps=asked.steps, validate_every=asked.every, seed=asked.seed)
    out = asked.folder / f"probe-{'formant_shifts' if asked.formant_shifts else 'plain'}-{asked.steps}-{asked.seed}"
    train([chosen], out, settings, "cpu", only="units", progress=PrintedProgress())
    corpora = [gather_corpus([open_store(path)], Progress()) for path in (chosen, formant_shifted)]
    task = Watched(Run.open(out), corpora[0], corpora[1], parallel_songs(str(same), corpora[0]))
    task.loop().fit(PrintedProgress())
    (out / "seen.json").write_text(json.dumps(task.seen))
    print("\n".join(["", *correlations(task.seen)]))


if __name__ == "__main__":
    main()
