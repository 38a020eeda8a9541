"""How well a model converts, measured while it trains, because its own loss does not measure that.

A few held-out utterances are converted to another speaker, or to another key where there is only one. There are no
recordings of these conversions, but their properties are known: the source's sounds, the target's voice and f0, and as
much variance as the target's recordings. Each is scored as a share of what held-out recordings score; the overall score
is their geometric mean.

With formant-shifted columns in the store, there is a conversion whose true result is known: units of a formant-shifted
utterance, converted to its own speaker, should give the recording. The score is then multiplied by the share of the
shift that is inverted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.progress import Progress
from ...common.random import CropStream, NoiseStream, fork_generator
from ...pipeline.diffusion.diffusion import Diffusion
from ...pipeline.diffusion.sampling import sample
from ...pipeline.formant_shift import shift_formants
from ...pipeline.metrics.cepstra import distance_db
from ...pipeline.metrics.mel_classifier import OLD_STATE_NAMES, MelClassifier
from ...pipeline.projection import Codebook
from .. import checkpoint
from ..features import hidden_column
from ..run import Run
from .conversion_tasks import FRAMES, TASKS, ConversionTask, choose_tasks, converted
from .corpus import Corpus
from .crops import Augmentation, Crops, CropSpec, Tensors, completed, to_batch
from .probe_scores import (
    ProbeScores,
    content_share,
    pitch_matches,
    recorded_variance,
    speaker_pieces,
    variance_ratio,
)
from .tensorboard import TensorBoard

STEPS = 10  # evaluations of the sampler: the same for every run
CLASSIFIER_FRAMES = 129  # mel frames of the classifier's training crops, 1.5 s
CLASSIFIER_BATCH = 8
LOUD_DB = 45  # under the loudest frame: softer frames do not count in spectral distances


class ConversionProbe:
    """Converts the same utterances with every given model, and scores the results.

    Args:
        run, corpus: that are trained.
        codebook: the k-means codes that stand for sounds.
        normalise: scales a mel as the model does; it never changes.
        held_out: crops of the held-out clips.
        device: where it computes.
    """

    def __init__(
        self,
        run: Run,
        corpus: Corpus,
        codebook: Codebook,
        normalise: Callable[[Tensor], Tensor],
        held_out: Crops,
        device: str,
    ):
        self.run, self.corpus, self.held_out, self.device = run, corpus, held_out, device
        self.settings, self.normalise = run.config.settings, normalise
        self.codebook = codebook.to(device)
        codes, speakers = len(codebook.centroids), len(corpus.speakers)
        self.classifier = MelClassifier(run.config.shape.bins, codes, speakers).to(device)
        self.tasks = choose_tasks(corpus, [speaker.f0_median for speaker in run.config.speakers])
        coded, units, seed = hidden_column(run.config.code_layer), run.config.unit_column.name, self.settings.seed
        # The clustered layer beside the mel: its codes are the classifier's labels.
        self.labelled = Crops(
            corpus.train, corpus.speakers, coded, CLASSIFIER_FRAMES, CLASSIFIER_BATCH, seed, stream=CropStream.PROBE
        )
        self.sources = Crops(corpus.held_out, corpus.speakers, coded, FRAMES, TASKS, seed)
        formant_shifts = run.begun_with(corpus.formant_shifts(units))
        augmentation = Augmentation({}, 0.0, formant_shifts)
        self.formant_shifted = Crops(corpus.held_out, corpus.speakers, units, FRAMES, TASKS, seed, augmentation)
        self.inversions = _inversions(self.tasks, sorted(formant_shifts))
        self.recorded: ProbeScores | None = None
        self._variances: dict[int, Tensor] = {}

    def prepare(self, progress: Progress) -> None:
        """Train the classifier on the training clips, or load it, and score held-out recordings."""
        if not self.run.classifier.exists():
            self._train_classifier(progress)
            checkpoint.save(self.run.classifier, checkpoint.prefixed("classifier", self.classifier), {})
        tensors, _ = checkpoint.load(self.run.classifier)
        for old, new in OLD_STATE_NAMES.items():
            tensors = {name.replace(f"judges.{old}.", f"classifier.{new}."): value for name, value in tensors.items()}
        checkpoint.restore("classifier", self.classifier, tensors)
        self.classifier.eval().requires_grad_(False)
        # A recording is the perfect conversion to its own speaker and key.
        own = [replace(t, speaker=self.held_out.speaker_ids[t.crop.clip.speaker], key=0) for t in self.tasks]
        inputs = self._collate(self.held_out)
        self.recorded = self._score(inputs["mel"].numpy(), own, (inputs["f0"] * inputs["voiced"]).numpy())
        shown = ", ".join(f"{name} {value:.0%}" for name, value in asdict(self.recorded).items() if name != "variance")
        progress.say(f"held-out recordings score: {shown}")

    def __call__(
        self, model: Diffusion, projection: nn.Module, tensorboard: TensorBoard, step: int
    ) -> dict[str, float]:
        """Convert and score: ProbeScores' fields, `score`, and `formant_inversion` where the store has the columns."""
        assert self.recorded is not None
        tensors = self.held_out.collate([task.crop for task in self.tasks], FRAMES)
        batch = converted(to_batch(tensors, projection, self.device), self.tasks)
        mel = sample(model, batch, fork_generator(self.settings.seed, NoiseStream.PROBE), STEPS).cpu().numpy()
        f0 = (batch.f0 * batch.voiced).cpu().numpy()
        scores = self._score(mel, self.tasks, f0).relative_to(self.recorded)
        if tensorboard.open:
            for number, task in enumerate(self.tasks[:1]):
                frames = task.crop.stop - task.crop.start
                name = f"{task.crop.clip.id} as {self.corpus.speakers[task.speaker]} {task.key:+d}"
                tensorboard.song(step, name, mel[number, :frames], f0[number, :frames])
        if not self.inversions:
            return {**asdict(scores), "score": scores.score}
        inverted = self.formant_inversion(model, projection)
        return {**asdict(scores), "formant_inversion": inverted, "score": scores.score * max(0.0, inverted)}

    def formant_inversion(self, model: Diffusion, projection: nn.Module) -> float:
        """The share of a formant shift that the model inverts.

        Units of formant-shifted held-out utterances are converted to their own speaker: 1 - the distance of the result
        from the recording over that of the formant-shifted recording. 0 is a copy of the input, 1 the recording.
        """
        tensors = self.formant_shifted.collate(self.inversions, FRAMES)
        inputs = {name: value.numpy() for name, value in completed(tensors, "cpu").items()}
        batch = to_batch(tensors, projection, self.device)
        generator = fork_generator(self.settings.seed, NoiseStream.FORMANT_PROBE)
        mel = sample(model, batch, generator, STEPS).cpu().numpy()
        after = before = 0.0
        for number, crop in enumerate(self.inversions):
            span = slice(crop.stop - crop.start)
            truth, f0 = inputs["mel"][number, span], (inputs["f0"] * inputs["voiced"])[number, span]
            loudness = inputs["loudness"][number, span]
            loud = loudness > loudness.max() - LOUD_DB
            after += distance_db(mel[number, span], truth, loud)
            before += distance_db(shift_formants(truth, f0, crop.formant_shift), truth, loud)
        return 1 - after / before

    def _train_classifier(self, progress: Progress) -> None:
        torch.manual_seed(self.settings.seed)
        self.classifier.apply(lambda module: module.reset_parameters() if isinstance(module, nn.Conv1d) else None)
        optimizer = torch.optim.AdamW(self.classifier.parameters(), 1e-3)
        steps = self.settings.unit_steps  # the number of clips for the projection's accuracy is sufficient here too
        with progress.bar("probe classifier", steps, "step") as bar:
            for step in range(steps):
                inputs = completed(self.labelled.batch(step), self.device)
                loss = self.classifier.loss(
                    self.normalise(inputs["mel"]), self._codes(inputs), inputs["speaker"], inputs["mask"]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                bar.advance()

    @torch.no_grad()
    def _score(self, mel: NDArray[np.float32], tasks: list[ConversionTask], f0: NDArray[np.float32]) -> ProbeScores:
        """Score mels (B, M, bins) as results of `tasks` with f0 (B, M) in Hz, 0 where unvoiced."""
        inputs = {name: value.to(self.device) for name, value in self._collate(self.sources).items()}
        codes, speakers = self.classifier(self.normalise(torch.from_numpy(mel).to(self.device)))
        pieces: list[float] = []
        ratios: list[float] = []
        near = voiced = 0
        for number, task in enumerate(tasks):
            frames = task.crop.stop - task.crop.start
            pieces += speaker_pieces(speakers[number, :, :frames], task.speaker)
            ratios.append(variance_ratio(mel[number, :frames], self._variance(task.speaker)))
            counts = pitch_matches(mel[number, :frames], f0[number, :frames], self.run.config.pitch_settings)
            near, voiced = near + counts[0], voiced + counts[1]
        return ProbeScores(
            content=content_share(codes, self._codes(inputs), inputs["mask"].bool()),
            speaker=float(np.mean(pieces)) if pieces else 1.0,
            pitch=near / max(1, voiced),
            variance=float(np.mean(ratios)),
        )

    def _codes(self, inputs: Tensors) -> Tensor:
        """The code at each mel frame: int64 (B, M)."""
        return torch.gather(self.codebook(inputs["hidden"]), 1, (inputs["mel2ph"] - 1).clamp(min=0))

    def _collate(self, crops: Crops) -> Tensors:
        return completed(crops.collate([task.crop for task in self.tasks], FRAMES), "cpu")

    def _variance(self, speaker: int) -> Tensor:
        if speaker not in self._variances:
            own = [clip for clip in self.corpus.train if clip.speaker == self.corpus.speakers[speaker]]
            self._variances[speaker] = recorded_variance(own or self.corpus.train)
        return self._variances[speaker]


def _inversions(tasks: list[ConversionTask], formant_shifts: list[int]) -> list[CropSpec]:
    """The tasks' crops with formant shifts: each in turn takes another one, until each crop had all of them."""
    return [
        replace(task.crop, formant_shift=formant_shifts[(turn + number) % len(formant_shifts)])
        for turn in range(len(formant_shifts))
        for number, task in enumerate(tasks)
    ][:TASKS]
