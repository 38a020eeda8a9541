"""`svc live`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import cloup

from .group import checked_settings, say
from .options import PATH, device_option


@cloup.command(short_help="Convert a microphone's sound in real time.")
@cloup.option_group(
    "Everyday options",
    cloup.option("-m", "--model", type=PATH, metavar="RUN", help="The run.  [default: the newest in runs/]"),
    cloup.option("-s", "--speaker", help="The voice.  [default: the run's first]"),
    cloup.option("-k", "--key", default=0.0, show_default=True, help="Semitones up."),
    cloup.option("--list", "list_devices", is_flag=True, help="List the audio devices, and do nothing else."),
    cloup.option("--in", "recording", metavar="DEVICE", help="A number or a part of a name.  [default: the system's]"),
    cloup.option("--out", "playing", metavar="DEVICE", help="As --in."),
    cloup.option("--gate", default="-60", show_default=True, metavar="DB", help="Silence below this, dBFS; or off."),
    cloup.option("--file", "song", type=PATH, metavar="SONG", help="Stream a file instead of a device."),
    cloup.option("-o", "--output", type=PATH, help="Where --file writes.  [default: SONG.live.wav]"),
    device_option,
)
@cloup.option_group(
    "Latency",
    cloup.option("--hop", default=0.10, show_default=True, metavar="S", help="Seconds that are converted at a time."),
    cloup.option("--lookahead", default=0.035, show_default=True, metavar="S", help="Seconds waited for beyond them."),
    cloup.option("--context", default=1.0, show_default=True, metavar="S", help="Seconds of the past."),
    cloup.option("--margin", default=0.08, show_default=True, metavar="S", help="Seconds that computing may take."),
    cloup.option("--measure", is_flag=True, help="Play bursts through a loopback, and print the true latency."),
    cloup.option("--simulate", is_flag=True, help="With --measure: through a simulated loopback, without a device."),
    cloup.option("--cpu-time", is_flag=True, help="With --simulate: as on a core that does nothing else."),
    cloup.option("--bursts", default=20, show_default=True, metavar="N", help="That --measure plays, one in 2 s."),
)
@cloup.option_group(
    "Sound",
    cloup.option("--vocoder", metavar="NAME", help="own, plain, or a path.  [default: own if trained, or plain]"),
    cloup.option("--formants", default=0.0, metavar="N", help="Move formants up by N semitones."),
    cloup.option("--steps", type=int, help="Sampling steps.  [default: 4 from a shallow start]"),
    cloup.option("--retrieve", type=float, metavar="0..1", help="As of svc render."),
    cloup.option("--encoder", help="Where the run's encoder is now.  [default: where it was]"),
    cloup.option("--precision", default="auto", show_default=True, help="fp32, bf16, or auto."),
)
def live(
    model: Path | None,
    speaker: str | None,
    key: float,
    list_devices: bool,
    recording: str | None,
    playing: str | None,
    gate: str,
    song: Path | None,
    output: Path | None,
    device: str,
    hop: float,
    lookahead: float,
    context: float,
    margin: float,
    measure: bool,
    simulate: bool,
    cpu_time: bool,
    bursts: int,
    vocoder: str | None,
    formants: float,
    steps: int | None,
    retrieve: float | None,
    encoder: str | None,
    precision: str,
) -> None:
    """Convert what a microphone records and play it, until q is typed.

    Voice, key, gate and bypass can be changed meanwhile by typing.
    """
    if (simulate and not measure) or (cpu_time and not simulate):
        raise click.UsageError("--simulate belongs to --measure, and --cpu-time to --simulate")
    from ..stages.live import devices

    if list_devices:
        for line in devices.device_lines():
            say(line)
        return
    with checked_settings():
        from ..stages.live.live_converter import LiveSettings, StreamTiming
        from ..stages.settings import RenderSettings

        conversion = RenderSettings(
            speaker=speaker,
            key=key,
            formants=formants,
            steps=steps,
            retrieve=retrieve,
            encoder=encoder,
            precision=precision,
            vocoder=vocoder,
            device=device,
        )
        settings = LiveSettings(conversion, None if gate == "off" else float(gate))
        timing = StreamTiming.of_seconds(hop, context, lookahead)
    from ..stages.live.session import LiveSession, summary

    # A missing device is reported before a run is loaded.
    used: devices.Duplex | None = None
    if simulate:
        used = devices.SimulatedLoopback(cpu_time=cpu_time)
    elif song is None:
        used = devices.SoundDevice(recording, playing)
    session = LiveSession.open(settings, timing, margin, say, model)
    if song is not None:
        out = output or song.with_name(f"{song.stem}.live.wav")
        say(f"{out}: {session.stream_file(song, out):.1f} s")
    elif measure:
        assert used is not None
        latency, engine = session.measure(used, bursts)
        say(latency.line())
        say(summary(engine))
    else:
        assert used is not None
        session.play(used, sys.stdin)
