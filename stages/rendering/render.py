"""`svc render`: sing a song with a trained voice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ... import __version__
from ...common.differences import differences
from ...common.errors import UserError
from ...common.files import write_whole
from ...common.progress import Bar, Progress
from ...pipeline import audio, frames, mel
from ...pipeline.audio import AudioError
from ...pipeline.diffusion.sampling import enough_steps, methods
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.encoder.registry import load_encoder
from ...pipeline.formant_shift import shift_formants
from ...pipeline.pitch import melody, pitch
from ...pipeline.pitch.melody import Range
from ...pipeline.pitch.pitch import PitchSettings
from ...pipeline.slicing import SliceSettings
from ..devices import pick_device, pick_precision
from ..picture import PooledFeatures, save_song
from ..run import Run
from ..settings import RenderSettings
from .dynamics import volume
from .mel_predictor import MelPredictor, joined
from .output import MADE_BY, Mixer, OutputBuffer, check_writable, choose_format, write_output
from .retrieval import Retrieval
from .separation import Stems, separated
from .source_audio import Segment, SourceAudio
from .speaker_mix import SpeakerMix
from .stopwatch import Stopwatch
from .vocoders import load_vocoder

__all__ = ["AudioError", "Converter", "RenderReport"]

Samples = NDArray[np.float32]
OnAudio = Callable[[float, Samples], None]


@dataclass(frozen=True)
class RenderReport:
    """What was sung. The shares are of the frames that both the asked and the sung f0 call voiced, if any."""

    song: Path
    wav: Path
    speaker: str
    key: float
    seconds: float
    took: float
    median_cents: float | None
    within_20_cents: float | None
    within_50_cents: float | None
    notes: tuple[str, ...]
    timings: dict[str, float]
    first_sound: float | None

    @property
    def picture(self) -> Path:
        return self.wav.with_suffix(".png")

    def lines(self, verbose: bool = False) -> list[str]:
        """What a reader wants to know; `verbose` adds how long each part took."""
        said = [f"  {self.song}: {note}" for note in self.notes]
        in_tune = (
            "nothing in it is voiced"
            if self.within_20_cents is None
            else f"{self.within_20_cents:.1%} of voiced frames within 20 cents of the asked f0 "
            f"({self.within_50_cents:.1%} within 50)"
        )
        said.append(f"{self.wav}: {self.seconds:.1f} s in {self.took:.1f} s; {in_tune}")
        if verbose:
            said += [
                f"  {seconds:8.2f} s  {seconds / self.seconds:6.3f} of real time  {name}"
                for name, seconds in self.timings.items()
            ]
            said += [f"  first sound after {self.first_sound:.2f} s"] if self.first_sound is not None else []
        return said


class Converter:
    """A run, loaded to sing: its encoder, projection, acoustic model and vocoder.

    Raises:
        UserError: the run is not trained, its speaker is not there, or the encoder is another than it was trained on.
        EncoderError: the encoder is not there.
        VocoderError: the vocoder is not there.
    """

    def __init__(self, run: Run, settings: RenderSettings):
        self.run, self.settings = run, settings
        self.device = pick_device(settings.device)
        self.speaker_mix = SpeakerMix.parse(settings.speaker or run.speakers[0], run.speakers)
        metadata = run.metadata
        known = methods(metadata["settings"]["objective"])
        method = settings.method or known[0]
        if method not in known:
            raise UserError(f"method {method!r} does not suit this run; choose {' or '.join(known)}")
        bf16 = pick_precision(settings.precision, self.device) == "bf16"
        model, self.step = run.load_best(self.device)
        if settings.k_step is not None:
            if settings.k_step > 1000 * model.depth + 0.5 or model.decoder is None:
                raise UserError(
                    f"this run can start from up to {1000 * model.depth:.0f} noise steps"
                    + (f", not {settings.k_step}" if model.decoder else " alone: it has no auxiliary decoder")
                )
            model.depth = settings.k_step / 1000
        self.content = _load_encoder(run, settings, self.device, bf16)
        projection = run.projection(self.content.head).to(self.device)
        self.vocoder = load_vocoder(settings.vocoder, run, self.device, bf16)
        self.slices = SliceSettings(**metadata["identity"]["slices"])
        self.pitch = settings.pitch(
            PitchSettings(*(metadata["pitch"][name] for name in ("method", "f0_min", "f0_max")))
        )
        self.range = self.speaker_mix.range([_range(speaker) for speaker in metadata["speakers"]])
        layer = metadata["unit_layer"]
        retrievals, self.amount, self.notes = self._retrievals(projection)
        self.acoustic = MelPredictor(
            self.content,
            layer,
            projection,
            model,
            self.speaker_mix,
            retrievals,
            self.amount,
            settings.steps or enough_steps(model.objective, model.depth),
            method,
            settings.seed,
            self.device,
            bf16,
            settings.batch or (1 if self.device == "cpu" else 8),
        )

    def _retrievals(self, projection: torch.nn.Module) -> tuple[dict[int, Retrieval], float, list[str]]:
        """What each voice that sings has said, how much of it to sing, and a word where that is not as it could be."""
        metadata, amount = self.run.metadata, self.settings.retrieve
        if amount == 0:
            return {}, 0.0, []
        sing = np.flatnonzero(self.speaker_mix.whole()).tolist()
        try:
            said = {
                number: Retrieval(metadata["stores"], [self.run.speakers[number]], metadata["unit_column"], projection)
                for number in sing
            }
        except UserError as error:
            if amount is not None:
                raise
            return {}, 0.0, [f"the song's own units are sung, not the target's: {str(error).splitlines()[0]}"]
        return said, 1.0 if amount is None else amount, []

    @property
    def speaker(self) -> str:
        """As it was asked for: a name, or a mixture."""
        return self.speaker_mix.name

    def render(
        self, song: Path, out: Path, progress: Progress | None = None, listener: OnAudio | None = None
    ) -> RenderReport:
        """Sing one song. Writes `out`, and beside it a .png and a .json of the same name.

        Args:
            song: any recording that libsndfile reads.
            out: ends in one of `sound.FORMATS`.
            progress: told what happens.
            listener: given (seconds from the song's start, samples at 44.1 kHz) as they are sung, for who cannot wait;
                what lies between is silent. Loudness, mixing and turning down come later.

        Raises:
            AudioError: the song cannot be used.
            UserError: `out` cannot be written, or is a file that svc did not make.
        """
        progress, watch = progress or Progress(), Stopwatch()
        check_writable(out, song)
        original = audio.scan(song)
        choose_format(out, self.settings.depth, self.settings.rate or original.sample_rate)
        with separated(song, out.parent, self.device, progress) if self.settings.separate else nullcontext() as stems:
            voice = stems.voice if stems else song
            with watch("decoding and slicing"):
                opened = SourceAudio.open(voice, self.slices)
            total = frames.resampled_length(original.samples, original.sample_rate, frames.MEL_RATE)
            take = OutputBuffer(out, total)
            try:
                with progress.bar(song.name, round(1.1 * opened.seconds_sung, 1), "s") as bar:
                    with watch("f0"):
                        opened.track(self.pitch, _Tenth(bar))
                    sung = self._sing(opened, take, watch, bar, listener)
                with watch("writing"):
                    gain = self._write_output(take, out, sung, opened, stems, original)
            finally:
                take.discard()
        notes = [*original.notes, *self.notes, *self._range_warnings(sung.asked)]
        if gain < 1:
            notes.append(f"turned down by {-20 * np.log10(gain):.1f} dB to fit")
        if sung.key_note:
            notes.insert(0, sung.key_note)
        with watch("picture"):
            asked = PooledFeatures(opened.recording.frames)
            asked.put(0, None, sung.asked)
            title = f"{out.name} ({self.speaker}, {sung.key:+g} semitones)"
            save_song(out.with_suffix(".png"), (song.name, sung.source), (title, sung.result), asked, original.seconds)
        report = self._report(song, out, sung, original.seconds, notes, watch)
        told = json.dumps(self._facts(report, sung), indent=1, ensure_ascii=False)
        write_whole(out.with_suffix(".json"), told.encode())
        return report

    def ask(self, f0: Samples) -> tuple[Samples, float, str | None]:
        """The song's f0 -> the f0 to sing, the key, and a word about how the key was chosen."""
        asked = pitch.repair(f0)
        if self.settings.fix_octaves:
            asked = melody.fix_octaves(asked)
        asked = melody.smoothed(asked, self.settings.smooth_ms)
        if self.settings.key != "auto":
            key, note = float(self.settings.key), None
        elif self.range is None:
            key, note = 0.0, f"the key is left: of {self.speaker} no range is known"
        else:
            key = float(melody.choose_key(asked, self.range))
            note = (
                f"key {key:+g}: {self.speaker} was heard from {self.range.low:.0f} to {self.range.high:.0f} Hz, "
                f"mostly around {self.range.middle:.0f}"
            )
        return melody.transposed(asked, key), key, note

    def _sing(
        self, song: SourceAudio, take: OutputBuffer, watch: Stopwatch, bar: Bar, listener: OnAudio | None
    ) -> ConversionState:
        asked, key, note = self.ask(song.f0)
        sung = ConversionState(asked, key, note, song.recording.frames)
        drawn = self.acoustic.draw(song, asked, watch)
        for region in song.regions():
            start, end = region[0].span.start, region[-1].span.end
            mels = self._mels(region, drawn, song, sung)
            at = start
            pieces = self.vocoder.stream(mels, asked[start:end])
            while True:
                with watch("vocoder"):
                    wav = next(pieces, None)
                if wav is None:
                    break
                count = len(wav) // frames.MEL_HOP
                take.put(at * frames.MEL_HOP, wav, rises=at == start, falls=at + count == end)
                watch.sounded()
                if listener is not None:
                    listener(frames.mel_seconds(at), wav)
                with watch("measuring"):
                    self._measure(sung, at, wav)
                at += count
                bar.advance(frames.mel_seconds(count))
        return sung

    def _mels(
        self, region: list[Segment], drawn: Iterator[Any], song: SourceAudio, sung: ConversionState
    ) -> Iterator[Samples]:
        """The region's mel, piece by piece, with its formants where they are wanted; the source is noted on the way."""

        def noted() -> Iterator[Any]:
            for one in islice(drawn, len(region)):
                span, own = one.window.span, slice(one.window.span.start - one.window.start, None)
                mel_of, loudness = one.source_mel[own][: len(span)], one.loudness[own][: len(span)]
                sung.source.put(span.start, mel_of, song.f0[span.start : span.end], loudness)
                sung.source_db[span.start : span.end] = loudness
                yield one

        at = region[0].span.start
        for piece in joined(noted()):
            yield shift_formants(piece, sung.asked[at : at + len(piece)], self.settings.formants)
            at += len(piece)

    def _measure(self, sung: ConversionState, start: int, wav: Samples) -> None:
        """What came out: its mel, and its f0 against the asked one."""
        if len(wav) < mel.N_FFT:
            return
        # whatever tracked the song, the result is heard by what proved best (docs/f0.md)
        measured = pitch.track(wav, PitchSettings(f0_min=self.pitch.f0_min, f0_max=self.pitch.f0_max))
        signal = torch.from_numpy(wav)
        sung.result.put(start, mel.log_mel(signal).numpy(), measured, mel.loudness(signal).numpy())
        sung.cents.append(pitch.cents_off(measured, sung.asked[start:]))

    def _write_output(
        self,
        take: OutputBuffer,
        out: Path,
        sung: ConversionState,
        song: SourceAudio,
        stems: Stems | None,
        original: audio.Recording,
    ) -> float:
        loud = volume(sung.source_db[: len(take.power)], take.power, self.settings)
        if stems is not None:  # as loud in the mix as it was there
            loud = loud / np.float32(song.recording.mixdown.gain)
        mixer = Mixer(take, loud, stems.backing if stems else None)
        return write_output(mixer, out, self.settings, original.samples, original.sample_rate)

    def _range_warnings(self, asked: Samples) -> list[str]:
        """A warning where notes lie beyond the voice."""
        if self.range is None or (found := melody.range_violation(asked, self.range)) is None:
            return []
        sides = [f"{found.highest:.0f} semitones above"] if found.highest > 0 else []
        sides += [f"{-found.lowest:.0f} below"] if found.lowest < 0 else []
        places = ", ".join(f"{_clock(start)}-{_clock(end)}" for start, end in found.spots)
        better = melody.choose_key(asked, self.range)
        hint = f"; {better:+d} semitones from here they would lie better (-k auto)" if better else ""
        return [
            f"{found.share:.0%} of the notes lie up to {' and '.join(sides)} what {self.speaker} reaches "
            f"({self.range.low:.0f} to {self.range.high:.0f} Hz was heard): at {places}{hint}"
        ]

    def _report(
        self, song: Path, out: Path, sung: ConversionState, seconds: float, notes: list[str], watch: Stopwatch
    ) -> RenderReport:
        off = np.concatenate(sung.cents) if sung.cents else np.zeros(0)
        known = len(off) > 0
        return RenderReport(
            song=song,
            wav=out,
            speaker=self.speaker,
            key=sung.key,
            seconds=seconds,
            took=round(watch.total, 2),
            median_cents=float(np.median(off)) if known else None,
            within_20_cents=float(np.mean(off <= 20)) if known else None,
            within_50_cents=float(np.mean(off <= 50)) if known else None,
            notes=tuple(notes),
            timings=watch.table(),
            first_sound=watch.first_sound and round(watch.first_sound, 2),
        )

    def _facts(self, report: RenderReport, sung: ConversionState) -> dict[str, Any]:
        return {
            "svc": __version__,
            "made": MADE_BY,
            "song": str(report.song.absolute()),
            "song_sha256": audio.file_hash(report.song),
            "result": report.wav.name,
            "result_sha256": audio.file_hash(report.wav),
            "run": str(self.run.path.absolute()),
            "run_sha256": audio.file_hash(self.run.best),
            "step": self.step,
            "settings": {
                **asdict(self.settings),
                "speaker": self.speaker,
                "steps": self.acoustic.steps,
                "method": self.acoustic.method,
                "retrieve": self.amount,
            },
            "key": report.key,
            "encoder_sha256": self.content.fingerprint,
            "vocoder": {"name": self.vocoder.name, **self.vocoder.metadata},
            "precision": "bf16" if self.acoustic.bf16 else "fp32",
            "encoder_precision": self.content.precision,
            "device": self.device,
            "seconds": report.seconds,
            "took_seconds": report.took,
            "first_sound_seconds": report.first_sound,
            "timings": report.timings,
            "f0": {
                "median_cents": report.median_cents,
                "within_20_cents": report.within_20_cents,
                "within_50_cents": report.within_50_cents,
                "asked_hz": " ".join(f"{hertz:.6g}" for hertz in sung.asked.tolist()),
                "asked_at": f"(m + 0.5) * {frames.MEL_HOP} / {frames.MEL_RATE} s",
            },
            "notes": list(report.notes),
        }


class ConversionState:
    """What is known of a song while it is sung: the f0 asked for, and what pictures and figures are made of."""

    def __init__(self, asked: Samples, key: float, key_note: str | None, count: int):
        self.asked, self.key, self.key_note = asked, key, key_note
        self.source, self.result = PooledFeatures(count), PooledFeatures(count)
        self.source_db = np.full(count, mel.LOUDNESS_FLOOR_DB, np.float32)
        self.cents: list[NDArray[np.float64]] = []


class _Tenth:
    """A bar on which something quick counts a tenth."""

    def __init__(self, bar: Bar):
        self._bar = bar

    def advance(self, amount: float = 1) -> None:
        self._bar.advance(amount / 10)

    def note(self, text: str) -> None:
        self._bar.note(text)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"


def _range(speaker: dict[str, Any]) -> Range | None:
    """A speaker's range, as a run has it."""
    low, middle, high = (speaker.get(name) for name in ("f0_low", "f0_median", "f0_high"))
    return Range(low, middle, high) if low and middle and high else None


def _load_encoder(run: Run, settings: RenderSettings, device: str, bf16: bool) -> ContentEncoder:
    """The encoder that the run's store was made with, or an equal one. Raises UserError for another."""
    name, precision = settings.encoder or run.metadata["encoder_origin"], run.metadata.get("encoder_precision", "fp32")
    if bf16 and precision == "fp32":  # half the cost, and nobody hears the difference (docs/render.md)
        precision = "bf16"
    content = load_encoder(name, device, precision)
    if changed := differences(run.metadata["encoder"], content.describe(), "in the run", "found"):
        raise UserError(
            f"the encoder {content.name} is not the one that {run.path} was trained on:\n{changed}\n"
            f"Give the right one with --encoder, or extract and train anew with this one"
        )
    return content
