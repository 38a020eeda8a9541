"""The Converter of a trained run: encoder, projection, acoustic model and vocoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from ...common.differences import differences
from ...common.errors import UserError
from ...pipeline import audio
from ...pipeline.diffusion.shape import NOISE_STEPS
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.encoder.registry import load_encoder
from ...pipeline.formant_shift import shift_formants
from ...pipeline.pitch.melody import Range
from ..devices import pick_device, pick_precision
from ..run import Run
from ..settings import ConversionSettings, RenderSettings
from .converter import AudioChunk, ConversionPlan, Converter, Samples, audio_chunks
from .mel_predictor import MelPredictor, PredictedMel, Sampling, Voice, joined
from .retrieval import Retrieval
from .source_audio import Phrase
from .speaker_mix import SpeakerMix
from .stopwatch import Stopwatch
from .vocoders import load_vocoder


class RunConverter(Converter):
    """Converts with a run. `settings` are those of every call without its own.

    Raises:
        UserError: the run is not trained, its speaker is not there, or the encoder is another than it was trained on.
        EncoderError: the encoder is not there.
        VocoderError: the vocoder is not there.
    """

    def __init__(self, run: Run, settings: RenderSettings):
        self.run, self.settings, self.stores = run, settings, settings.stores
        self.name = run.name
        self.device = pick_device(settings.device)
        SpeakerMix.parse(settings.speaker or run.speakers[0], run.speakers)
        bf16 = pick_precision(settings.precision, self.device) == "bf16"
        model, self.step = run.load_best(self.device)
        self.content = _load_encoder(run, settings, self.device, bf16)
        projection = run.projection(self.content.head).to(self.device)
        batch = settings.batch or (1 if self.device == "cpu" else 8)
        layer = run.config.unit_column.layer
        self.predictor = MelPredictor(self.content, layer, projection, model, self.device, bf16, batch)
        self.sampling(settings)
        self.vocoder = load_vocoder(settings.vocoder, run, self.device, bf16)
        self.slices = run.config.slices
        self.stored_pitch = run.config.pitch_settings
        self._retrievals: dict[int, Retrieval] = {}
        self._unavailable: str | None = None
        self.voice(settings)

    @cached_property
    def run_hash(self) -> str:
        """sha256 of the weights that it converts with."""
        return audio.file_hash(self.run.best)

    def speaker(self, settings: ConversionSettings | None = None) -> str:
        """The speaker as given: a name, or a mixture."""
        return self._speaker_mix(settings or self.settings).name

    def headline(self) -> str:
        voice = f"voice {self.speaker()}, vocoder {self.vocoder.name}"
        return f"{self.run.source} (step {self.step}): {voice}, on {self.device}"

    def about(self) -> dict[str, str]:
        return {
            "run": self.run.name,
            "step": f"{self.step:,}",
            "voice": self.speaker(),
            "encoder": self.run.config.encoder.origin,
            "vocoder": self.vocoder.name,
        }

    def voice_range(self, settings: ConversionSettings) -> Range | None:
        return self._speaker_mix(settings).range([speaker.range for speaker in self.run.config.speakers])

    def sampling(self, settings: ConversionSettings) -> Sampling:
        """How mels are sampled. Raises UserError for settings that do not suit the run's model."""
        model = self.predictor.model
        known = model.objective.solvers
        method = settings.method or model.objective.default_method
        if method not in known:
            raise UserError(f"method {method!r} does not suit this run; choose {' or '.join(known)}")
        depth = model.shallow_depth
        if settings.k_step is not None:
            if settings.k_step > NOISE_STEPS * model.shallow_depth + 0.5 or model.decoder is None:
                raise UserError(
                    f"this run can start from up to {NOISE_STEPS * model.shallow_depth:.0f} noise steps"
                    + (f", not {settings.k_step}" if model.decoder else " alone: it has no auxiliary decoder")
                )
            depth = settings.k_step / NOISE_STEPS
        return Sampling(settings.steps or model.objective.default_steps(depth), method, depth, settings.seed)

    def voice(self, settings: ConversionSettings) -> Voice:
        """The target voice, and its speakers' units for retrieval.

        Raises UserError if these were requested and are missing.
        """
        speaker_mix, amount = self._speaker_mix(settings), settings.retrieve
        if amount == 0 or (amount is None and self._unavailable):
            return Voice(speaker_mix, {}, 0.0)
        try:
            found = {number: self._retrieval(number) for number in np.flatnonzero(speaker_mix.whole()).tolist()}
        except UserError as error:
            if amount is not None or self.stores or self.run.index.exists():
                raise
            self._unavailable = str(error).splitlines()[0]
            return Voice(speaker_mix, {}, 0.0)
        return Voice(speaker_mix, found, self.content.recommended.retrieve if amount is None else amount)

    def notes(self, settings: ConversionSettings) -> list[str]:
        if settings.retrieve is not None or self._unavailable is None:
            return []
        return [f"no units are retrieved from the target's own: {self._unavailable}"]

    def stream(
        self, plan: ConversionPlan, phrases: Sequence[int] | None = None, watch: Stopwatch | None = None
    ) -> Iterator[AudioChunk]:
        watch = watch or Stopwatch()
        chosen = [p for p in plan.source.phrases if phrases is None or p.number in phrases]
        segments = [segment for phrase in chosen for segment in phrase.segments]
        voice, sampling = self.voice(plan.settings), self.sampling(plan.settings)
        predicted = self.predictor.predict(plan, segments, voice, sampling, watch)
        for phrase in chosen:
            yield from self._phrase(phrase, islice(predicted, len(phrase.segments)), plan, watch)

    def metadata(self, plan: ConversionPlan) -> Mapping[str, Any]:
        sampling = self.sampling(plan.settings)
        return {
            "run": str(self.run.source.absolute()),
            "run_sha256": self.run_hash,
            "step": self.step,
            "settings": {
                **asdict(plan.settings),
                "speaker": self.speaker(plan.settings),
                "steps": sampling.steps,
                "method": sampling.method,
                "retrieve": self.voice(plan.settings).retrieve,
            },
            "encoder_sha256": self.content.fingerprint,
            "vocoder": {"name": self.vocoder.name, **self.vocoder.metadata},
            "precision": "bf16" if self.predictor.bf16 else "fp32",
            "encoder_precision": self.content.precision,
            "device": self.device,
        }

    def _phrase(
        self, phrase: Phrase, predicted: Iterator[PredictedMel], plan: ConversionPlan, watch: Stopwatch
    ) -> Iterator[AudioChunk]:
        mels = self._mels(phrase, predicted, plan)
        return audio_chunks(phrase, self.vocoder.stream(mels, plan.target.f0[phrase.start : phrase.end]), watch)

    def _mels(self, phrase: Phrase, predicted: Iterator[PredictedMel], plan: ConversionPlan) -> Iterator[Samples]:
        """The phrase's mel, piece by piece, with its formants shifted by the settings."""
        at = phrase.start
        for piece in joined(predicted):
            yield shift_formants(piece, plan.target.f0[at : at + len(piece)], plan.settings.formants)
            at += len(piece)

    def _speaker_mix(self, settings: ConversionSettings) -> SpeakerMix:
        return SpeakerMix.parse(settings.speaker or self.run.speakers[0], self.run.speakers)

    def _retrieval(self, number: int) -> Retrieval:
        """A speaker's units for retrieval, loaded once."""
        if number not in self._retrievals:
            self._retrievals[number] = Retrieval.of_run(self.run, number, self.predictor.projection, self.stores)
        return self._retrievals[number]


def _load_encoder(run: Run, settings: RenderSettings, device: str, bf16: bool) -> ContentEncoder:
    """The encoder that the run's store was made with, or an equal one. Raises UserError for another."""
    encoder = run.config.encoder
    precision = encoder.precision
    if bf16 and precision == "fp32":  # half the cost, and hardly any difference (docs/render.md)
        precision = "bf16"
    if not (name := settings.encoder or encoder.origin):
        raise UserError(
            f"{run.source} was trained with an encoder that has no public name", "Name it: --encoder FOLDER"
        )
    # A run may be somebody else's: only a name from the user is downloaded.
    content = load_encoder(name, device, precision, allow_hub=settings.encoder is not None)
    if changed := differences(encoder.description, content.describe(), "in the run", "found"):
        raise UserError(
            f"the encoder {content.name} is not the one that {run.source} was trained on:\n{changed}\n"
            f"Give the right one with --encoder, or extract and train anew with this one"
        )
    return content
