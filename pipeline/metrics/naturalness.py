"""Naturalness without a reference: DNSMOS P.835 (Reddy et al., 2022, arXiv 2110.01763), from the package speechmos.

A network estimates listeners' ratings of speech: from 1 (bad) to 5 (excellent). It was trained on speech with noise, so
compare a song's figure with that of its source. The package (MIT) carries the network as ONNX; its own code needs more
packages than it names, so the file is run here directly.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.errors import SvcError
from ..audio import resample

RATE = 16_000  # Hz
WINDOW = 144_160  # samples, 9.01 s
HOP = 16_000  # samples between windows
OVERALL = (-0.06766283, 1.11546468, 0.04602535)  # polynomial to listeners' scale; highest power first

Samples = NDArray[np.float32]


class Dnsmos:
    """DNSMOS P.835's overall quality (OVRL).

    Args:
        model: `sig_bak_ovr.onnx`; None finds that of the installed package speechmos.

    Raises:
        SvcError: the network, or onnxruntime, is not there.
    """

    source = "DNSMOS P.835"

    def __init__(self, model: Path | None = None):
        path = model or packaged_model()
        if path is None or find_spec("onnxruntime") is None:
            missing = "speechmos" if path is None else "onnxruntime"
            raise SvcError(f"naturalness needs the package {missing}, which is not installed", f"pip install {missing}")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def overall(self, wav: Samples, rate: int) -> float:
        """The overall quality of a recording, float32 (T,) at `rate` Hz: about 1 to 5; NaN of no samples.

        The mean over windows of 9.01 s, one a second; a shorter recording is repeated, as in speechmos.
        """
        signal = np.clip(resample(wav, rate, RATE), -1, 1)
        if not len(signal):
            return float("nan")
        while len(signal) < WINDOW:
            signal = np.concatenate([signal, signal])
        windows = int(len(signal) // RATE - WINDOW / RATE) + 1  # counted as in speechmos: the last may be left out
        raw = [
            self.session.run(None, {"input_1": signal[None, start : start + WINDOW]})[0][0, 2]
            for start in range(0, windows * HOP, HOP)
        ]
        return float(np.mean(np.polyval(OVERALL, raw)))


def packaged_model() -> Path | None:
    """`sig_bak_ovr.onnx` of the installed speechmos, found without importing it; None where it is not installed."""
    found = find_spec("speechmos")
    folders = found.submodule_search_locations if found else None
    paths = [Path(folder) / "dnsmos_models" / "sig_bak_ovr.onnx" for folder in folders or ()]
    return next((path for path in paths if path.is_file()), None)
