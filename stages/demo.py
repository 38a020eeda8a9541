"""`svc demo`: the whole way, offline, on two voices and a song that the project makes itself."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import torch

from ..pipeline import audio
from ..pipeline.singer import Voice, ode_to_joy, practice, sing
from .errors import UserError
from .extract import extract
from .progress import Progress
from .render import Singer
from .run import Run
from .settings import PRESETS, ExtractSettings, RenderSettings
from .train import train

VOICES = (
    Voice("alto", formants=1.17, tilt_db=-9.0, vibrato_hz=5.8, vibrato_cents=45, lowest_midi=57, highest_midi=74),
    Voice("bass", formants=0.94, tilt_db=-6.0, vibrato_hz=4.9, vibrato_cents=30, lowest_midi=41, highest_midi=60),
)
PHRASES, PHRASE_SECONDS = 12, 6.0
STEPS = 600
MARK = "made by svc demo.txt"


def demo(out: Path, steps: int | None, progress: Progress | None = None) -> list[str]:
    """Make two voices' recordings and a song by the first, and have the second sing it. Returns what to tell.

    What is there already is used again, so that the second time is quick.

    Raises:
        UserError: `out` is a folder of something else.
    """
    progress = progress or Progress()
    begun = time.monotonic()
    if out.exists() and not (out / MARK).exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and was not made by svc demo; give another --out")
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("Everything in this folder was made by `svc demo` and can be deleted.\n")
    source, target = VOICES
    corpus, encoder, song = out / "corpus", out / "untrained-hubert", out / "song.wav"
    progress.say(f"making {len(VOICES)} synthetic singers and a song in {out}")
    make_material(corpus, song, progress)
    make_untrained_encoder(encoder)
    store, run = out / "corpus.zarr", out / "run"
    progress.say(f"\n$ svc extract {corpus} --encoder {encoder}")
    extract([corpus], store, ExtractSettings(encoder=str(encoder)), progress)
    steps = steps or STEPS
    progress.say(f"\n$ svc train --store {store} --out {run} --preset tiny --steps {steps}")
    trained = train([store], run, dataclasses.replace(PRESETS["tiny"], steps=steps), progress=progress)
    progress.say(f"\n$ svc render {song} -m {run} -s {target.name} -k -12")
    singer = Singer(Run.open(run), RenderSettings(speaker=target.name, key=-12))
    report = singer.render(song, out / f"song.{target.name}.wav", progress)
    return [
        "",
        f"{report.wav}: the song that {source.name} sang, sung by {target.name} an octave lower "
        f"({time.monotonic() - begun:.0f} s for everything)",
        f"{report.wav.with_suffix('.png')}: both as pictures; {run / 'held_out.png'}: what training reached",
        f"f0 within 50 cents of what was asked on {report.within_50_cents:.1%} of voiced frames; "
        f"held-out utterances are off by {trained.mel_error:.2f} in ln mel",
        "Honestly: the demo's encoder has random, untrained weights. It hears pitch and timbre but no words, so the "
        "syllables are garbled. Your own voices want a real one: svc extract corpus/ --encoder en",
    ]


def make_material(corpus: Path, song: Path, progress: Progress) -> None:
    """Two voices' practice phrases as corpus/VOICE/*.wav, and the first voice's song."""
    wanted = [
        (corpus / voice.name / f"phrase_{number:02d}.wav", voice, practice(voice, PHRASE_SECONDS, number), number)
        for voice in VOICES
        for number in range(PHRASES)
    ]
    wanted.append((song, VOICES[0], ode_to_joy(VOICES[0].lowest_midi + 5), PHRASES))
    with progress.bar("singing", len(wanted), "file") as bar:
        for path, voice, score, seed in wanted:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                wav, _ = sing(score, voice, seed)
                aside = path.with_suffix(".partial")
                audio.write(aside, np.asarray(wav, np.float32))
                aside.replace(path)
            bar.advance()


def make_untrained_encoder(folder: Path, seed: int = 0) -> None:
    """A small HubertModel with random weights, saved as a hub download would be: for plumbing, not for words."""
    from transformers import HubertConfig, HubertModel
    from transformers.utils.logging import disable_progress_bar

    if (folder / "config.json").exists():
        return
    torch.manual_seed(seed)
    config = HubertConfig(
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=512,
        conv_dim=[96] * 7,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
    )
    disable_progress_bar()
    HubertModel(config).save_pretrained(folder)
