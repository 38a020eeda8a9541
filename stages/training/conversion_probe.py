"""How well a model converts, measured while it trains: because its own loss does not tell.

A few held-out utterances are sung by another voice, or in another key where there is only one, and the mels that come
out are judged against what would be right of them, which is known without any recording of it: the sounds are the
source's, the voice and the f0 are those asked for, and the mel lives as much as the voice's own do. Each is a share
between 0 and 1 of what the same judges give to held-out recordings; the score is their geometric mean.

Where the store has warped voices (`svc extract --warps`) there is a conversion whose truth is known: a held-out
utterance heard from another throat, sung by its own voice, is the recording. The score is then multiplied by how much
of the warp was undone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.progress import Progress
from ...common.random import CropStream, NoiseStream, fork_generator
from ...pipeline.diffusion.batch import Batch
from ...pipeline.diffusion.diffusion import Diffusion
from ...pipeline.diffusion.sampling import sample
from ...pipeline.formant_shift import shift_formants
from ...pipeline.griffin_lim import griffin_lim
from ...pipeline.metrics.cepstra import cepstrum, distance_db
from ...pipeline.metrics.mel_classifier import MelClassifier
from ...pipeline.pitch import pitch
from ...pipeline.pitch.pitch import PitchSettings
from ...pipeline.projection import Codebook
from .. import checkpoint
from ..run import Run
from .corpus import Corpus
from .crops import Augmentation, Crops, CropSpec, Tensors, completed, to_batch
from .distributed import DistributedContext
from .tensorboard import TensorBoard

SONGS = 8  # conversions, at most
FRAMES = 215  # mel frames of each, 2.5 s
STEPS = 10  # evaluations of the sampler: the same for every run, whatever a render would take
KEY = 4  # semitones up or down where there is only one voice
JUDGE_FRAMES = 129  # mel frames of what the judges are taught on, 1.5 s, 8 at a time
NEAR_CENTS = 50
JUDGED_DB = 45  # under the loudest frame: what is softer is not judged by its spectrum
PIECE = 43  # mel frames that a voice is told from at once, 0.5 s


@dataclass(frozen=True)
class ProbeScores:
    """What the judges say of mels, each a share in 0..1.

    Attributes:
        words: of frames whose sound is told to be the source's.
        voice: of half-second pieces whose voice is told to be the one asked for.
        in_tune: of the frames asked to be voiced that are, within 50 cents of what was asked.
        lively: the smaller over the larger of the mel-cepstra's variance over time and that of the voice's recordings.
    """

    words: float
    voice: float
    in_tune: float
    lively: float

    def of(self, recorded: ProbeScores) -> ProbeScores:
        """As shares of what recordings get."""
        pairs = zip(asdict(self).values(), asdict(recorded).values(), strict=True)
        return ProbeScores(*(min(1.0, mine / max(theirs, 1e-3)) for mine, theirs in pairs))

    @property
    def score(self) -> float:
        return float(np.prod([max(value, 1e-6) for value in asdict(self).values()]) ** 0.25)


@dataclass(frozen=True)
class ConversionTask:
    """A stretch of a held-out utterance, and how it is to be sung: by which voice, how many semitones higher."""

    cut: CropSpec
    voice: int
    key: int


class ConversionProbe:
    """Sings the same conversions with every model it is given, and judges them."""

    def __init__(
        self,
        run: Run,
        corpus: Corpus,
        codebook: Codebook,
        model: Diffusion,
        held_out: Crops,
        distributed: DistributedContext,
    ):
        self.run, self.corpus, self.held_out, self.distributed = run, corpus, held_out, distributed
        self.codebook = codebook.to(distributed.device)
        self.scale = model.normalise  # of the mel: it never changes
        self.judges = MelClassifier(model.shape.bins, len(codebook.centroids), len(corpus.speakers)).to(
            distributed.device
        )
        self.songs = choose_songs(corpus, [speaker.f0_median for speaker in run.config.speakers])
        column = f"hidden/{run.config.code_layer}"
        seed = run.config.settings.seed
        # The codes' layer beside the mel, to learn from and to know the sounds by.
        self.taught = Crops(corpus.train, corpus.speakers, column, JUDGE_FRAMES, 8, seed, stream=CropStream.PROBE)
        self.sounds = Crops(corpus.held_out, corpus.speakers, column, FRAMES, SONGS, seed, stream=CropStream.VALIDATION)
        units = run.config.unit_column.name
        formant_shifts = run.begun_with(corpus.formant_shifts(units))
        augmentation = Augmentation({}, 0.0, formant_shifts)
        self.formant_shifted = Crops(corpus.held_out, corpus.speakers, units, FRAMES, SONGS, seed, augmentation)
        turns = sorted(formant_shifts)
        # Every voice of a turn another warp, until each song had each of them.
        self.mirrors = [
            replace(song.cut, formant_shift=turns[(turn + number) % len(turns)])
            for turn in range(len(turns))
            for number, song in enumerate(self.songs)
        ][:SONGS]
        self.recorded: ProbeScores | None = None
        self._variances: dict[int, Tensor] = {}

    def prepare(self, progress: Progress) -> None:
        """Train the judges on the training utterances, or fetch them, and hear what recordings get."""
        if self.distributed.leads and not self.run.judges.exists():
            self._teach(progress)
            checkpoint.save(self.run.judges, checkpoint.prefixed("judges", self.judges), {})
        self.distributed.wait()
        checkpoint.restore("judges", self.judges, checkpoint.load(self.run.judges)[0])
        self.judges.eval().requires_grad_(False)
        # A recording is the conversion to its own voice and key that could not be better.
        own = [replace(song, voice=self.held_out.speaker_ids[song.cut.clip.speaker], key=0) for song in self.songs]
        arrays = self._collate(self.held_out)
        self.recorded = self._hear(arrays["mel"].numpy(), own, (arrays["f0"] * arrays["voiced"]).numpy())
        told = ", ".join(f"{name} {value:.0%}" for name, value in asdict(self.recorded).items() if name != "lively")
        progress.say(f"the judges grant to held-out recordings: {told}")

    def __call__(
        self, model: Diffusion, projection: nn.Module, tensorboard: TensorBoard, step: int
    ) -> dict[str, float]:
        """Sing and judge; returns the shares and their `score`, and `unwarped` where the store has warped voices."""
        assert self.recorded is not None
        arrays = self.held_out.collate([song.cut for song in self.songs], FRAMES)
        batch = asked(to_batch(arrays, projection, self.distributed.device), self.songs)
        mel = (
            sample(model, batch, fork_generator(self.run.config.settings.seed, NoiseStream.PROBE), STEPS).cpu().numpy()
        )
        f0 = (batch.f0 * batch.voiced).cpu().numpy()
        heard = self._hear(mel, self.songs, f0).of(self.recorded)
        if tensorboard.open:
            for number, song in enumerate(self.songs[:1]):
                frames = song.cut.stop - song.cut.start
                name = f"{song.cut.clip.id} by {self.corpus.speakers[song.voice]} {song.key:+d}"
                tensorboard.song(step, name, mel[number, :frames], f0[number, :frames])
        if not self.mirrors:
            return {**asdict(heard), "score": heard.score}
        unwarped = self.formant_shift_inversion(model, projection)
        return {**asdict(heard), "unwarped": unwarped, "score": heard.score * max(0.0, unwarped)}

    def formant_shift_inversion(self, model: Diffusion, projection: nn.Module) -> float:
        """How much of a warp the model undoes: a conversion of which the truth is known, the recording itself.

        Held-out utterances as sung by another throat go in, to be sung by their own voice: 1 - the distance of the
        result from the recording over that of the warped recording. 0 is a copy of what was put in, 1 the truth.
        """
        collated = self.formant_shifted.collate(self.mirrors, FRAMES)
        arrays = {name: value.numpy() for name, value in completed(collated, "cpu").items()}
        batch = to_batch(collated, projection, self.distributed.device)
        mel = (
            sample(model, batch, fork_generator(self.run.config.settings.seed, NoiseStream.FORMANT_PROBE), STEPS)
            .cpu()
            .numpy()
        )
        off = before = 0.0
        for number, cut in enumerate(self.mirrors):
            span = slice(cut.stop - cut.start)
            truth, f0 = arrays["mel"][number, span], (arrays["f0"] * arrays["voiced"])[number, span]
            loudness = arrays["loudness"][number, span]
            loud = loudness > loudness.max() - JUDGED_DB
            off += distance_db(mel[number, span], truth, loud)
            before += distance_db(shift_formants(truth, f0, cut.formant_shift), truth, loud)
        return 1 - off / before

    def _teach(self, progress: Progress) -> None:
        torch.manual_seed(self.run.config.settings.seed)
        self.judges.apply(lambda module: module.reset_parameters() if isinstance(module, nn.Conv1d) else None)
        optimizer = torch.optim.AdamW(self.judges.parameters(), 1e-3)
        steps = self.run.config.settings.unit_steps  # what the projection needs to tell codes is enough here too
        with progress.bar("judges", steps, "step") as bar:
            for step in range(steps):
                inputs = completed(self.taught.batch(step), self.distributed.device)
                loss = self.judges.loss(
                    self.scale(inputs["mel"]), self._codes(inputs), inputs["speaker"], inputs["mask"]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                bar.advance()

    @torch.no_grad()
    def _hear(self, mel: NDArray[np.float32], songs: list[ConversionTask], f0: NDArray[np.float32]) -> ProbeScores:
        """Judge mels (B, M, bins) that are to be `songs` with f0 (B, M), 0 where unvoiced."""
        inputs = {name: value.to(self.distributed.device) for name, value in self._collate(self.sounds).items()}
        codes, mask = self._codes(inputs), inputs["mask"].bool()
        said, who = self.judges(self.scale(torch.from_numpy(mel).to(self.distributed.device)))
        words = (said.argmax(1) == codes)[mask].float().mean()
        voices: list[float] = []
        lively: list[float] = []
        tuned = asked_voiced = 0
        for number, song in enumerate(songs):
            frames = song.cut.stop - song.cut.start
            pieces = who[number, :, :frames].log_softmax(0).split(PIECE, dim=1)
            voices += [float(piece.sum(1).argmax() == song.voice) for piece in pieces if piece.shape[1] == PIECE]
            mine = cepstrum(torch.from_numpy(mel[number, :frames])).var(0)
            ratio = float((mine / self._variance(song.voice)).log().mean().exp())
            lively.append(min(ratio, 1 / ratio))
            near, voiced = in_tune(mel[number, :frames], f0[number, :frames], self.run.config.pitch_settings)
            tuned, asked_voiced = tuned + near, asked_voiced + voiced
        voice = float(np.mean(voices)) if voices else 1.0
        return ProbeScores(float(words), voice, tuned / max(1, asked_voiced), float(np.mean(lively)))

    def _codes(self, inputs: Tensors) -> Tensor:
        """The code at each mel frame: int64 (B, M)."""
        return torch.gather(self.codebook(inputs["hidden"]), 1, (inputs["mel2ph"] - 1).clamp(min=0))

    def _collate(self, crops: Crops) -> Tensors:
        return completed(crops.collate([song.cut for song in self.songs], FRAMES), "cpu")

    def _variance(self, voice: int) -> Tensor:
        """How much a voice's mel-cepstra vary within an utterance, as recorded: (24,)."""
        if voice not in self._variances:
            own = [clip for clip in self.corpus.train if clip.speaker == self.corpus.speakers[voice]]
            clips = (own or self.corpus.train)[:20]
            mels = [torch.from_numpy(clip.mel.astype(np.float32)) for clip in clips if clip.row.mel_frames > 1]
            pieces = [
                part for mel in mels for part in mel.split(FRAMES) if len(part) > FRAMES // 2 or len(mel) < FRAMES
            ]
            self._variances[voice] = torch.stack([cepstrum(part).var(0) for part in pieces]).mean(0).clamp(min=1e-6)
        return self._variances[voice]


def choose_songs(corpus: Corpus, medians: list[float | None]) -> list[ConversionTask]:
    """The middles of held-out utterances, the voices taking turns, each to be sung by another voice in its range."""
    by_voice = [[clip for clip in corpus.held_out if clip.speaker == name] for name in corpus.speakers]
    turns = [(place, voice) for place in range(SONGS) for voice, clips in enumerate(by_voice) if place < len(clips)]
    songs = []
    for number, (place, voice) in enumerate(turns[:SONGS]):
        clip = by_voice[voice][place]
        frames = min(FRAMES, clip.row.mel_frames)
        start = (clip.row.mel_frames - frames) // 2
        cut = CropSpec(clip, start, start + frames)
        target = (voice + 1 + place) % len(by_voice)
        if target == voice and len(by_voice) > 1:
            target = (target + 1) % len(by_voice)
        if target == voice:
            key = KEY if number % 2 else -KEY
        else:
            mine, theirs = medians[voice], medians[target]
            key = round(12 * np.log2(theirs / mine)) if mine and theirs else 0
        songs.append(ConversionTask(cut, target, key))
    return songs


def asked(batch: Batch, songs: list[ConversionTask]) -> Batch:
    """A batch of the songs' cuts, as they are to be sung."""
    device = batch.f0.device
    ratio = torch.tensor([2 ** (song.key / 12) for song in songs], device=device)
    return replace(
        batch, f0=batch.f0 * ratio[:, None], speaker=torch.tensor([song.voice for song in songs], device=device)
    )


def in_tune(mel: NDArray[np.float32], f0: NDArray[np.float32], settings: PitchSettings) -> tuple[int, int]:
    """How many frames of a mel (M, bins) are within 50 cents of f0 (M,), and how many are asked to be voiced."""
    sung = pitch.track(griffin_lim(torch.from_numpy(mel)).numpy(), settings)
    return int((pitch.cents_off(sung, f0) <= NEAR_CENTS).sum()), int((f0 > 0).sum())
