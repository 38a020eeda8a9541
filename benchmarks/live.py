"""The loss of quality by low latency: streams of several timings compared with the render of the same song.

    python benchmarks/live.py RUN SONG [--seconds 8] [--speaker NAME] [--ears] [--out table.md]

Every row is a stream of the whole song, which is what live conversion gives, to the sample; the first row is `svc
render`'s conversion with the same settings. Columns:

latency     hop + lookahead, ms: what the stream itself adds; computing and the device come to it
mel         mean |difference| of ln mel to the render, over the song's audible frames
f0          median |difference| of the result's f0 to the song's (in the key asked for), cents, where both are voiced
voicing     share of frames that are voiced in the result as in the song
phones      share of audible frames whose group of phones is the song's (pipeline/metrics/phone_agreement.py)
SECS        cosine of speaker embeddings, result and the target's recordings (--ears)
DNSMOS      naturalness, about 1 to 5 (--ears)
cpu         CPU-ms that a hop takes, median, one thread; and its share of the hop
"""

# ruff: noqa: E402  # torch reads the number of threads when it is imported: it is set before the imports
from __future__ import annotations

import os

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_threads] = "1"

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from svc.pipeline import audio, mel
from svc.pipeline.frames import MEL_RATE, mel_seconds
from svc.pipeline.metrics.conversion import audible
from svc.pipeline.metrics.phone_agreement import PhoneGroupClassifier
from svc.pipeline.pitch import melody, pitch
from svc.pipeline.pitch.settings import PitchSettings
from svc.pipeline.streaming.timing import StreamTiming
from svc.stages.live.live_converter import LiveConverter, LiveSettings
from svc.stages.rendering.run_converter import RunConverter
from svc.stages.run import Run
from svc.stages.run_stores import open_stores
from svc.stages.settings import RenderSettings

# hop, context, lookahead in seconds; steps of the sampler (None: as many as suffice)
TIMINGS = (
    (0.10, 1.0, 0.035, None),
    (0.10, 1.0, 0.09, None),
    (0.10, 1.0, 0.20, None),
    (0.10, 0.5, 0.09, None),
    (0.10, 2.0, 0.09, None),
    (0.20, 1.0, 0.09, None),
    (0.10, 1.0, 0.09, 1),
    (0.10, 1.0, 0.09, 2),
)
HEADER = "| stream | latency | mel | f0 | voicing | phones | {}cpu |"

Samples = np.ndarray


class Scores:
    """Measures results beside a song, and a render of it."""

    def __init__(self, song: Samples, key: float, ears: Callable[[Samples], list[str]] | None):
        self.f0 = melody.transposed(pitch.track(song, PitchSettings()), key)
        self.mel, self.counted = log_mel(song), audible(song, len(song) // 512)
        self.classifier, self.ears = PhoneGroupClassifier.load(), ears
        self.phones = self.classifier.predict(self.mel)
        self.render: Samples | None = None

    def row(self, name: str, wav: Samples, latency: str, cpu: str) -> str:
        found, spectrum = pitch.track(wav, PitchSettings()), log_mel(wav)
        if self.render is None:
            self.render = spectrum
        off = float(np.abs(spectrum - self.render)[self.counted].mean())
        phones = float((self.classifier.predict(spectrum) == self.phones)[self.counted].mean())
        voicing = float(((found > 0) == (self.f0 > 0))[self.counted].mean())
        cents = float(np.median(pitch.cents_off(found, self.f0)))
        heard = "".join(f"{value} | " for value in self.ears(wav)) if self.ears else ""
        return f"| {name} | {latency} | {off:.3f} | {cents:.1f} | {voicing:.3f} | {phones:.3f} | {heard}{cpu} |"


def log_mel(wav: Samples) -> Samples:
    return mel.log_mel(torch.from_numpy(np.ascontiguousarray(wav))).numpy()


def models(run: Run, speaker: str) -> Callable[[Samples], list[str]]:
    """SECS with the speaker's recordings, and DNSMOS."""
    from svc.pipeline.metrics.naturalness import Dnsmos
    from svc.pipeline.metrics.speaker_encoder import load_speaker_encoder
    from svc.stages.evaluation.speech_models import TargetVoice, recorded

    clips = [clip for store in open_stores(run) for clip in store if clip.speaker == speaker]
    encoder, dnsmos = load_speaker_encoder(), Dnsmos()
    target = TargetVoice.of(encoder, recorded(clips), MEL_RATE).embedding

    def measured(wav: Samples) -> list[str]:
        return [f"{float(encoder.embed(wav, MEL_RATE) @ target):.3f}", f"{dnsmos.overall(wav, MEL_RATE):.2f}"]

    return measured


def streamed(
    converter: RunConverter, settings: RenderSettings, timing: StreamTiming, wav: Samples
) -> tuple[Samples, str]:
    """A stream of the whole song, and its cost."""
    live, costs = LiveConverter(converter, LiveSettings(settings), timing), []
    live.prepare()
    convert = live.convert

    def timed(window: Samples, start: int) -> Samples:
        begun = time.thread_time()
        out = convert(window, start)
        costs.append(time.thread_time() - begun)
        return out

    live.convert = timed  # type: ignore[method-assign]  # to time it
    out = live.stream().stream(wav)
    cost = float(np.median(costs))
    return out, f"{1000 * cost:.0f} ({cost / mel_seconds(timing.hop):.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("song", type=Path)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--speaker")
    parser.add_argument("--key", type=float, default=0.0)
    parser.add_argument("--vocoder")
    parser.add_argument("--ears", action="store_true", help="SECS and DNSMOS too (svc[ears] and Resemblyzer)")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = RenderSettings(speaker=given.speaker, key=given.key, vocoder=given.vocoder, device="cpu")
    converter = RunConverter(Run.open(given.run), settings)
    recording = audio.scan(audio.decode(given.song))
    mono = audio.read(recording, 0, recording.frames)
    wav = audio.resample(mono, recording.sample_rate, MEL_RATE)[: int(given.seconds * MEL_RATE) // 512 * 512]
    speaker = given.speaker or converter.run.speakers[0]
    scores = Scores(wav, given.key, models(converter.run, speaker) if given.ears else None)
    columns = HEADER.format("SECS | DNSMOS | " if given.ears else "")
    rows = [columns, "|---" * (columns.count("|") - 1) + "|"]
    begun = time.process_time()
    rendered = converter.convert(wav, MEL_RATE, settings, measured=False).samples
    share = (time.process_time() - begun) / given.seconds
    rows.append(scores.row("render", rendered, "", f"{share:.0%} of the song"))
    rows.append(scores.row("the song itself", wav, "", ""))
    for hop, context, lookahead, steps in TIMINGS:
        timing = StreamTiming.of_seconds(hop, context, lookahead)
        out, cost = streamed(converter, replace(settings, steps=steps), timing, wav)
        name = f"hop {1000 * hop:.0f}, lookahead {1000 * lookahead:.0f}, context {1000 * context:.0f} ms"
        name += f", {steps} step{'s' * (steps > 1)}" if steps else ""
        rows.append(scores.row(name, out, f"{1000 * timing.seconds:.0f} ms", cost))
        print(rows[-1], flush=True)
    table = "\n".join(rows)
    print(table)
    if given.out:
        given.out.write_text(table + "\n", "utf-8")


if __name__ == "__main__":
    main()
