"""`svc render`: sing a song with a trained voice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import __version__
from ..pipeline import audio, frames, mel, pitch
from ..pipeline.audio import AudioError, Recording
from ..pipeline.content import Content
from ..pipeline.diffusion import Batch, Diffusion
from ..pipeline.pitch import PitchSettings
from ..pipeline.sampling import methods, sample
from ..pipeline.slicing import SliceSettings, Span, slice_at_silence
from ..pipeline.vocoder.world import World
from ..store.columns import differences
from ..store.files import write_whole
from .errors import UserError
from .features import Waveform
from .picture import Strip, save_comparison
from .progress import Progress
from .run import Run, fork_generator
from .settings import RenderSettings, pick_device
from .sound import Sound, claim

__all__ = ["AudioError", "RenderReport", "Singer"]

CONTEXT = 22  # mel frames, 0.25 s, that slices cut in mid-sound share with their neighbours


@dataclass(frozen=True)
class RenderReport:
    """What was sung. `within_50_cents` is of the frames that both the asked and the sung f0 call voiced, if any."""

    song: Path
    wav: Path
    speaker: str
    seconds: float
    took: float
    median_cents: float | None
    within_50_cents: float | None
    notes: tuple[str, ...]


class Singer:
    """A run, loaded to sing: its encoder, projection, acoustic model and vocoder.

    Raises:
        UserError: the run is not trained, its speaker is not there, or the encoder is another than it was trained on.
        EncoderError: the encoder is not there.
    """

    def __init__(self, run: Run, settings: RenderSettings):
        self.run, self.settings = run, settings
        self.device = pick_device(settings.device)
        self.speaker = settings.speaker or run.speakers[0]
        if self.speaker not in run.speakers:
            raise UserError(f"{run.path} has no speaker {self.speaker!r}; it has {', '.join(run.speakers)}")
        self.method = settings.method or methods(run.facts["settings"]["objective"])[0]
        known = methods(run.facts["settings"]["objective"])
        if self.method not in known:
            raise UserError(f"method {self.method!r} does not suit this run; choose {' or '.join(known)}")
        self.model: Diffusion
        self.model, self.step = run.load_best(self.device)
        self.content = _load_encoder(run, settings, self.device)
        self.projection = run.projection(self.content.head).to(self.device)
        self.vocoder = World()
        facts = run.facts
        self.slices = SliceSettings(**facts["identity"]["slices"])
        self.pitch = PitchSettings(*(facts["pitch"][name] for name in ("method", "f0_min", "f0_max")))
        self.layer = facts["unit_layer"]

    def render(self, song: Path, out: Path, progress: Progress | None = None) -> RenderReport:
        """Sing one song. Writes `out`, and beside it a .png and a .json of the same name.

        Raises:
            AudioError: the song cannot be used.
            UserError: `out` cannot be written, or is a file that svc did not make.
        """
        progress = progress or Progress()
        begun = time.monotonic()
        claim(out, song)
        recording = audio.scan(song)
        spans = slice_at_silence(recording.level_db, self.slices)
        total = frames.resampled_length(recording.samples, recording.sample_rate, frames.MEL_RATE)
        source, result = Strip(recording.frames), Strip(recording.frames)
        asked = np.zeros(recording.frames, np.float32)
        cents: list[NDArray[np.float64]] = []
        sound = Sound(out, total)
        try:
            with progress.bar(song.name, round(frames.mel_seconds(sum(map(len, spans))), 1), "s") as bar:
                for number, region in enumerate(_regions(spans)):
                    sung = self._sing(recording, region, number)
                    start = region[0].start
                    asked[start : start + len(sung.f0)] = sung.f0
                    sound.put(start * frames.MEL_HOP, sung.wav)
                    source.put(start, sung.source_mel, sung.source_f0)
                    # dio is quick, and here only asked whether the vocoder sang what it was asked
                    measured = pitch.track(sung.wav, PitchSettings("dio", self.pitch.f0_min, self.pitch.f0_max))
                    result.put(start, mel.log_mel(torch.from_numpy(sung.wav)).numpy(), measured)
                    both = (measured > 0) & (sung.f0 > 0)
                    cents.append(1200 * np.abs(np.log2(measured[both] / sung.f0[both])))
                    bar.advance(frames.mel_seconds(region[-1].end - start))
            gain = sound.finish()
        except BaseException:
            sound.discard()
            raise
        off = np.concatenate(cents) if cents else np.zeros(0)
        report = RenderReport(
            song,
            out,
            self.speaker,
            recording.seconds,
            round(time.monotonic() - begun, 2),
            float(np.median(off)) if len(off) else None,
            float(np.mean(off <= 50)) if len(off) else None,
            recording.notes + ((f"turned down by {-20 * np.log10(gain):.1f} dB to fit",) if gain < 1 else ()),
        )
        save_comparison(
            out.with_suffix(".png"),
            (song.name, source.mel, source.f0),
            (f"{out.name} ({self.speaker}, {self.settings.key:+g} semitones)", result.mel, result.f0),
            seconds=recording.seconds,
        )
        write_whole(
            out.with_suffix(".json"), (json.dumps(self._facts(report, asked), indent=1, ensure_ascii=False)).encode()
        )
        return report

    def _sing(self, recording: Recording, region: list[Span], number: int) -> Sung:
        """One region: slices that follow each other without silence, sampled each by itself, sung as one."""
        first, last = region[0].start, region[-1].end
        windows = [(span.start - CONTEXT * span.joined, span.end + CONTEXT * (span.end < last)) for span in region]
        waves = [Waveform.read(recording, start, end) for start, end in windows]
        signals = [wave.signal() for wave in waves]
        f0 = np.zeros(last - first, np.float32)
        source = np.zeros((last - first, mel.N_MELS), np.float32)
        for span, (start, _), wave, signal in zip(region, windows, waves, signals, strict=True):
            own = slice(span.start - start, span.end - start)
            f0[span.start - first : span.end - first] = wave.f0(self.pitch)[own]
            source[span.start - first : span.end - first] = signal["mel"][own]
        asked = pitch.repair(f0) * np.float32(2 ** (self.settings.key / 12))
        out = np.zeros((last - first, mel.N_MELS), np.float32)
        for index, ((start, end), wave, signal) in enumerate(zip(windows, waves, signals, strict=True)):
            generator = fork_generator(self.settings.seed, number, index)
            drawn = self._sample(wave, signal, asked[start - first : end - first], generator)
            fade = np.linspace(0, 1, 2 * CONTEXT + 2, dtype=np.float32)[1:-1, None]
            if region[index].joined:
                drawn[: 2 * CONTEXT] *= fade
            if end > region[index].end:
                drawn[-2 * CONTEXT :] *= fade[::-1]
            out[start - first : end - first] += drawn
        return Sung(self.vocoder(out, asked), asked, source, f0)

    def _sample(
        self, wave: Waveform, signal: dict[str, NDArray[Any]], f0: NDArray[np.float32], generator: torch.Generator
    ) -> NDArray[np.float32]:
        hidden = wave.hidden(self.content, [self.layer])[f"hidden/{self.layer}"].astype(np.float32)
        tensors = {
            "mel2ph": signal["mel2ph"].astype(np.int64),
            "f0": pitch.continuous(f0),
            "voiced": (f0 > 0).astype(np.float32),
            "loudness": signal["loudness"],
            "mask": np.ones(len(f0), np.float32),
        }
        batch = Batch(
            units=self.projection(torch.from_numpy(hidden)[None].to(self.device)),
            speaker=torch.tensor([self.run.speakers.index(self.speaker)], device=self.device),
            **{name: torch.from_numpy(value)[None].to(self.device) for name, value in tensors.items()},
        )
        return sample(self.model, batch, generator, self.settings.steps, self.method)[0].float().cpu().numpy()

    def _facts(self, report: RenderReport, asked: NDArray[np.float32]) -> dict[str, Any]:
        return {
            "svc": __version__,
            "made": "svc render",
            "song": str(report.song.absolute()),
            "run": str(self.run.path.absolute()),
            "step": self.step,
            "settings": {**asdict(self.settings), "speaker": self.speaker, "method": self.method},
            "encoder_sha256": self.content.fingerprint,
            "vocoder": self.vocoder.name,
            "seconds": report.seconds,
            "took_seconds": report.took,
            "f0": {
                "median_cents": report.median_cents,
                "within_50_cents": report.within_50_cents,
                "asked_hz": " ".join(f"{hertz:.6g}" for hertz in asked.tolist()),
                "asked_at": f"(m + 0.5) * {frames.MEL_HOP} / {frames.MEL_RATE} s",
            },
            "notes": list(report.notes),
        }


@dataclass(frozen=True)
class Sung:
    """A region: wav float32 (M * 512,), the f0 that was asked, and the source's ln mel (M, 128) and f0 (M,)."""

    wav: NDArray[np.float32]
    f0: NDArray[np.float32]
    source_mel: NDArray[np.float32]
    source_f0: NDArray[np.float32]


def _regions(spans: list[Span]) -> Iterator[list[Span]]:
    """Runs of spans that follow each other in mid-sound."""
    region: list[Span] = []
    for span in spans:
        if region and not span.joined:
            yield region
            region = []
        region.append(span)
    if region:
        yield region


def _load_encoder(run: Run, settings: RenderSettings, device: str) -> Content:
    """The encoder that the run's store was made with, or an equal one. Raises UserError for another."""
    content = Content.load(settings.encoder or run.facts["encoder_origin"], device)
    if changed := differences(run.facts["encoder"], content.describe(), "in the run", "found"):
        raise UserError(
            f"the encoder {content.name} is not the one that {run.path} was trained on:\n{changed}\n"
            f"Give the right one with --encoder, or extract and train anew with this one"
        )
    return content
