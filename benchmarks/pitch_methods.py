"""The compared f0 methods, each with its own frame times: a sound in, f0 at mel centres out."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray
from svc.pipeline.frames import CONTENT_RATE, MEL_HOP, MEL_RATE, mel_centres
from svc.pipeline.pitch import pitch
from svc.pipeline.pitch.settings import PitchSettings
from svc.pipeline.quiet_pyworld import pyworld

Samples = NDArray[np.float32]  # (T,) at 44.1 kHz
Frames = NDArray[np.float64]  # (T // 512,), Hz at mel centres, 0 where unvoiced
Method = Callable[[Samples], Frames]

F0_MIN, F0_MAX = 65.0, 1100.0  # Hz, the range for every method
PERIOD_MS = 1000 * MEL_HOP / MEL_RATE


def refined(wav: Samples, f0: Frames) -> Frames:
    """StoneMask at the mel centres, on the 44.1 kHz signal."""
    return pyworld.stonemask(wav.astype(np.float64), f0, mel_centres(0, len(f0)), MEL_RATE)


def at_16k(wav: Samples) -> Samples:
    return soxr.resample(wav, MEL_RATE, CONTENT_RATE)


def within(f0: Frames) -> Frames:
    return np.where((f0 >= F0_MIN) & (f0 <= F0_MAX), f0, 0.0)


def at_mel(wav: Samples, f0: Frames, seconds: NDArray[np.float64]) -> Frames:
    """f0 at a method's own `seconds`, interpolated to the mel centres."""
    return pitch.at_centres(f0, seconds, mel_centres(0, len(wav) // MEL_HOP))


def shipped(name: str) -> Method:
    """A method of svc itself."""
    settings = PitchSettings(name, F0_MIN, F0_MAX)
    pitch.track(np.zeros(MEL_RATE, np.float32), settings)
    return lambda wav: pitch.track(wav, settings).astype(np.float64)


def world(estimator: str, rate: int, stonemask_rate: int, **options: Any) -> Method:
    """WORLD's dio or harvest on the signal at `rate`, refined on the signal at `stonemask_rate` (0: not at all)."""

    def run(wav: Samples) -> Frames:
        signals = {MEL_RATE: wav.astype(np.float64)}
        for wanted in {rate, stonemask_rate} - {MEL_RATE, 0}:
            signals[wanted] = soxr.resample(wav, MEL_RATE, wanted).astype(np.float64)
        f0, seconds = getattr(pyworld, estimator)(
            signals[rate], rate, f0_floor=F0_MIN, f0_ceil=F0_MAX, frame_period=PERIOD_MS / 2, **options
        )
        count = len(wav) // MEL_HOP
        f0, seconds = f0[1::2][:count].copy(), seconds[1::2][:count].copy()
        if stonemask_rate:
            f0 = pyworld.stonemask(signals[stonemask_rate], f0, seconds, stonemask_rate)
        return within(np.pad(f0, (0, count - len(f0))))

    return run


def swift_f0_alone() -> Method:
    """SwiftF0 (Nieradzik, 2025, arXiv 2508.18440), the library's output: frame i at 16 i ms."""
    from swift_f0 import SwiftF0

    detector = SwiftF0(threads=1)

    def run(wav: Samples) -> Frames:
        found = detector.detect(at_16k(wav), CONTENT_RATE, F0_MIN, F0_MAX)
        f0 = np.where(found.confidence >= 0.5, found.pitch_hz, 0.0)
        return within(at_mel(wav, f0, found.timestamps))

    return run


def fcpe(refine: bool) -> Method:
    """FCPE (Luo et al., 2025, arXiv 2509.15140), as the DDSP and diffusion projects use it: frame i at 10 i ms."""
    import torch
    from torchfcpe import spawn_bundled_infer_model

    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        model = spawn_bundled_infer_model(device="cpu")

    def run(wav: Samples) -> Frames:
        with torch.inference_mode(), contextlib.redirect_stdout(io.StringIO()):  # it prints what exceeds full scale
            found = model.infer(
                torch.from_numpy(at_16k(wav))[None, :, None],
                sr=CONTENT_RATE,
                decoder_mode="local_argmax",
                threshold=0.006,
                f0_min=F0_MIN,
                f0_max=F0_MAX,
                interp_uv=False,
            )
        f0 = found[0, :, 0].double().numpy()
        f0 = at_mel(wav, np.where(f0 >= F0_MIN, f0, 0.0), 0.01 * np.arange(len(f0)))
        return within(refined(wav, f0) if refine else f0)

    return run


def pesto() -> Method:
    """PESTO (Riou et al., 2023): frame i at 10 i ms. Its confidence says voiced above one half."""
    import torch
    from pesto import load_model

    torch.set_num_threads(1)
    model = load_model("mir-1k_g7", step_size=10.0, sampling_rate=CONTENT_RATE)

    def run(wav: Samples) -> Frames:
        with torch.inference_mode():
            found, confidence, _, _ = model(torch.from_numpy(at_16k(wav))[None], sr=CONTENT_RATE, convert_to_freq=True)
        f0 = np.where(confidence[0].numpy() > 0.5, found[0].double().numpy(), 0.0)
        return within(
            pitch.at_centres(f0, 0.01 * np.arange(len(f0), dtype=np.float64), mel_centres(0, len(wav) // MEL_HOP))
        )

    return run


def crepe(size: str) -> Method:
    """CREPE (Kim et al., 2018) by torchcrepe: frame i at 10 i ms; Viterbi; voiced where periodicity exceeds 0.21."""
    import torch
    import torchcrepe

    torch.set_num_threads(1)

    def run(wav: Samples) -> Frames:
        found, periodicity = torchcrepe.predict(
            torch.from_numpy(at_16k(wav))[None], CONTENT_RATE, 160, F0_MIN, F0_MAX, size,
            decoder=torchcrepe.decode.viterbi, return_periodicity=True, batch_size=512, device="cpu",
        )  # fmt: skip
        periodicity = torchcrepe.threshold.Silence(-60.0)(
            torchcrepe.filter.median(periodicity, 3), torch.from_numpy(at_16k(wav))[None], CONTENT_RATE, 160
        )
        f0 = np.where(periodicity[0].numpy() > 0.21, found[0].double().numpy(), 0.0)
        return within(
            pitch.at_centres(f0, 0.01 * np.arange(len(f0), dtype=np.float64), mel_centres(0, len(wav) // MEL_HOP))
        )

    return run


def praat() -> Method:
    """Praat's autocorrelation (Boersma, 1993) by parselmouth, which is GPL: here for comparison only."""
    from parselmouth import Sound

    def run(wav: Samples) -> Frames:
        found = Sound(wav.astype(np.float64), MEL_RATE).to_pitch_ac(0.005, F0_MIN, pitch_ceiling=F0_MAX)
        return within(
            pitch.at_centres(found.selected_array["frequency"], found.xs(), mel_centres(0, len(wav) // MEL_HOP))
        )

    return run


METHODS: dict[str, Callable[[], Method]] = {
    **{f"svc {name}": functools.partial(shipped, name) for name in pitch.METHODS},
    "swift-f0 alone": swift_f0_alone,
    "harvest alone": lambda: world("harvest", MEL_RATE, 0),
    "harvest 16k + stonemask": lambda: world("harvest", CONTENT_RATE, MEL_RATE),
    "dio alone": lambda: world("dio", MEL_RATE, 0),
    "dio 16k + stonemask": lambda: world("dio", CONTENT_RATE, MEL_RATE),
    "dio 16k, 8 channels + stonemask": lambda: world("dio", CONTENT_RATE, MEL_RATE, channels_in_octave=8.0),
    "fcpe alone": lambda: fcpe(refine=False),
    "fcpe + stonemask": lambda: fcpe(refine=True),
    "pesto": pesto,
    "crepe tiny": lambda: crepe("tiny"),
    "crepe full": lambda: crepe("full"),
    "praat": praat,
}
SLOW = (
    "svc crepe",
    "crepe full",
    "harvest alone",
    "harvest 16k + stonemask",
    "fcpe + stonemask",
)  # only if named
PANEL = {  # one of each family
    "harvest": "svc harvest",
    "dio": "svc dio",
    "swift-f0": "svc swift-f0",
    "fcpe": "fcpe alone",
    "pesto": "pesto",
    "crepe": "crepe tiny",
    "praat": "praat",
}
