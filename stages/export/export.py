"""`svc export`: the parts of a run as ONNX files, their description, and `sing.py`, which needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ... import __version__
from ...common.errors import UserError
from ...common.files import write_whole
from ...common.text import json_text
from ...pipeline import frames
from ...pipeline import mel as mels
from ...pipeline.export.acoustic import ConditionParts, DenoiserStep, sampler_table
from ...pipeline.export.content import ContentUnits
from ...pipeline.export.onnx_file import OPSET, check_installed, write_onnx
from ...pipeline.export.vocoder import VocoderFilters, VocoderWaveform
from ...pipeline.pitch import swift_f0
from ...pipeline.unit_selection import SHRINKAGE
from ...pipeline.vocoder.source_filter import SourceFilter
from ..rendering.retrieval import NEIGHBOURS
from ..rendering.run_converter import RunConverter
from ..run import Run
from ..settings import RenderSettings

MANIFEST = "export.json"
COPIED = {  # modules of svc for sing.py, which import only numpy, by their places in svc and in the export
    "pipeline/frames.py": "svc_onnx/frames.py",
    "pipeline/vocoder/excitation.py": "svc_onnx/vocoder/excitation.py",
    "pipeline/vocoder/rumble.py": "svc_onnx/vocoder/rumble.py",
    "stages/export/sing.py": "sing.py",
}
UNITS, MEL_FRAMES = 25, 43  # in the examples that graphs are traced with

Inputs = dict[str, tuple[Tensor, dict[int, str]]]


@dataclass(frozen=True)
class Part:
    """A network to write: its inputs with examples and dynamic axes, and the names of its outputs."""

    name: str
    module: nn.Module
    inputs: Inputs
    outputs: tuple[str, ...]

    def described(self) -> dict[str, Any]:
        """For export.json: file, inputs (shape and dtype) and outputs."""
        given = {
            name: {
                "shape": [axes.get(axis, size) for axis, size in enumerate(example.shape)],
                "dtype": str(example.dtype).removeprefix("torch."),
            }
            for name, (example, axes) in self.inputs.items()
        }
        return {"file": f"{self.name}.onnx", "inputs": given, "outputs": list(self.outputs)}


@dataclass
class Export:
    """A run that is about to be written as ONNX. `notes` are sentences for the user."""

    converter: RunConverter
    out: Path
    notes: list[str]

    @classmethod
    def open(
        cls,
        run: Path,
        out: Path,
        vocoder: str | None = None,
        encoder: str | None = None,
        retrieve: bool = True,
    ) -> Export:
        """Load a run and check that it can be exported.

        Args:
            run: its folder.
            out: a folder that is empty, not there, or an earlier export.
            vocoder: the path of another run's neural vocoder; None takes the run's own, if it has one.
            encoder: where the run's encoder is, if not where it was.
            retrieve: whether the target's units are written too, if the run's store is there.

        Raises:
            UserError: onnx is not installed, the folder is something else's, or as `RunConverter`.
        """
        check_installed()
        if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MANIFEST).exists())):
            raise UserError(f"{out} exists and is not an export of svc", "give another folder")
        settings = RenderSettings(
            vocoder=vocoder, encoder=encoder, precision="fp32", device="cpu", retrieve=None if retrieve else 0.0
        )
        converter = RunConverter(Run.open(run), settings)
        export = cls(converter, out, [])
        if export.vocoder is None:
            export.notes.append(
                f"{run} has no neural vocoder of its own, and svc's plain vocoder is not a network: sing.py will write "
                f"mels. Train one with `svc train --only vocoder`, or give another run's with --vocoder"
            )
        return export

    @property
    def vocoder(self) -> SourceFilter | None:
        """The neural vocoder to export; None if the run uses svc's plain vocoder, which is not a network."""
        found = self.converter.vocoder
        return found if isinstance(found, SourceFilter) else None

    def parts(self) -> Iterator[Part]:
        """The networks, in the order in which they are used."""
        predictor = self.converter.predictor
        model = predictor.model
        content = ContentUnits(predictor.content, predictor.layer, predictor.projection)
        yield Part("content", content, {"wav": (torch.randn(1, 320 * UNITS), {1: "samples"})}, ("hidden", "units"))
        condition = ConditionParts(model)
        per_frame = {1: "frames"}
        speakers = len(self.converter.run.speakers)
        inputs: Inputs = {
            "units": (torch.randn(1, UNITS, model.shape.unit_dim), {1: "unit_frames"}),
            "mel2ph": (torch.ones(1, MEL_FRAMES, dtype=torch.int64), per_frame),
            "f0": (torch.full((1, MEL_FRAMES), 200.0), per_frame),
            "voiced": (torch.ones(1, MEL_FRAMES), per_frame),
            "loudness": (torch.full((1, MEL_FRAMES), -20.0), per_frame),
            "speaker": (torch.full((1, MEL_FRAMES, speakers), 1 / speakers), per_frame),
        }
        outputs = ("condition", "guess") if model.decoder else ("condition",)
        yield Part("condition", condition, inputs, outputs)
        with torch.no_grad():
            projected = condition(*(example for example, _ in inputs.values()))[0]
        time = 1 if model.shape.architecture.denoiser == "lynxnet2" else 2
        stepped: Inputs = {
            "x": (torch.randn(1, model.shape.bins, MEL_FRAMES), {2: "frames"}),
            "step": (torch.tensor([100.0]), {}),
            "condition": (projected, {time: "frames"}),
        }
        yield Part("denoiser", DenoiserStep(model), stepped, ("predicted",))
        if self.vocoder is not None:
            voiced: Inputs = {
                "mel": (torch.randn(1, MEL_FRAMES, mels.N_MELS), per_frame),
                "f0": (torch.full((1, MEL_FRAMES), 200.0), per_frame),
            }
            network = self.vocoder.network
            yield Part("filters", VocoderFilters(network), voiced, ("pulses", "noise"))
            yield Part("vocoder", VocoderWaveform(network), voiced, ("waveform",))

    def write(self) -> Iterator[Path]:
        """Write everything, the networks first and export.json last; yields each file."""
        (self.out / MANIFEST).unlink(missing_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)
        described = {}
        for part in self.parts():
            described[part.name] = part.described()
            path = self.out / f"{part.name}.onnx"
            write_onnx(path, part.module, part.inputs, part.outputs)
            yield path
        described["f0"] = {"file": "swift_f0.onnx", "inputs": {}, "outputs": ["pitch", "confidence"]}
        write_whole(self.out / "swift_f0.onnx", swift_f0.model_file().read_bytes())
        yield self.out / "swift_f0.onnx"
        retrieval = self._write_retrieval()
        if self.vocoder is not None:
            write_whole(self.out / "vocoder.yaml", self._vocoder_yaml().encode())
            yield self.out / "vocoder.yaml"
        yield from self._copy()
        write_whole(self.out / MANIFEST, json_text(self._manifest(described, retrieval), "utf-8").encode())
        yield self.out / MANIFEST

    def _manifest(self, parts: dict[str, Any], retrieval: dict[str, Any] | None) -> dict[str, Any]:
        converter = self.converter
        model, pitch = converter.predictor.model, converter.stored_pitch
        manifest: dict[str, Any] = {
            "format": "svc export",
            "version": 1,
            "svc": __version__,
            "opset": OPSET,
            "run": converter.run.name,
            "run_sha256": converter.run_hash,
            "step": converter.step,
            "speakers": converter.run.speakers,
            "ranges_hz": {
                each.name: asdict(each.range) if each.range else None for each in converter.run.config.speakers
            },
            "sample_rate": frames.MEL_RATE,
            "hop": frames.MEL_HOP,
            "content_rate": frames.CONTENT_RATE,
            "content_hop": frames.CONTENT_HOP,
            "bins": mels.N_MELS,
            "how": HOW,
            "parts": parts,
            "sampler": sampler_table(model),
            "mel": mels.SETTINGS,
            "mel_mean": model.mel_mean.tolist(),
            "mel_scale": model.mel_scale.tolist(),
            "f0": {"fmin": max(pitch.f0_min, swift_f0.LOWEST_HZ), "fmax": min(pitch.f0_max, swift_f0.HIGHEST_HZ)},
            "retrieval": retrieval,
        }
        if self.vocoder is not None:
            filters = self.vocoder.network.filters
            manifest["vocoder"] = {"context": filters.shape.context, "phase": filters.phase.tolist()}
        return manifest

    def _write_retrieval(self) -> dict[str, Any] | None:
        """Each speaker's own frames, as far as the run's store is there: what export.json says of them."""
        voice = self.converter.settings
        files, by_units = {}, False
        for number, speaker in enumerate(self.converter.run.speakers):
            if self.converter.settings.retrieve == 0:
                break
            found = self.converter.voice(RenderSettings(**{**asdict(voice), "speaker": speaker})).retrievals
            if number not in found:
                self.notes += self.converter.notes(voice)
                break
            buffer = BytesIO()
            save: Any = np.savez  # its type stub treats names of arrays as options
            save(buffer, **found[number].arrays())
            by_units = found[number].by_units
            files[speaker] = f"retrieval.{number}.npz"
            write_whole(self.out / files[speaker], buffer.getvalue())
        return {"files": files, "neighbours": NEIGHBOURS, "common": SHRINKAGE, "by_units": by_units} if files else None

    def _vocoder_yaml(self) -> str:
        """The settings of vocoder.onnx for OpenUtau and DiffSinger."""
        return (
            f"name: svc-{self.converter.run.name}\nmodel: vocoder.onnx\nsample_rate: {frames.MEL_RATE}\n"
            f"hop_size: {frames.MEL_HOP}\nwin_size: {mels.N_FFT}\nfft_size: {mels.N_FFT}\n"
            f"num_mel_bins: {mels.N_MELS}\nmel_fmin: {mels.F_MIN:g}\nmel_fmax: {mels.F_MAX:g}\n"
            f"mel_base: e\nmel_scale: slaney\npitch_controllable: true\nforce_on_cpu: false\n"
        )

    def _copy(self) -> Iterator[Path]:
        found = find_spec(__package__.split(".")[0])
        assert found is not None
        assert found.submodule_search_locations
        root = Path(found.submodule_search_locations[0])
        for place in {Path(name).parent for name in COPIED.values()} - {Path(".")}:
            (self.out / place).mkdir(parents=True, exist_ok=True)
            write_whole(self.out / place / "__init__.py", b"")
        for ours, theirs in COPIED.items():
            write_whole(self.out / theirs, (root / ours).read_bytes())
            yield self.out / theirs


HOW = (
    "content: wav at 16 kHz -> hidden states and units, one every 20 ms. retrieval: units are moved towards those of "
    "the nearest of the speaker's frames. condition: units, mel2ph (1-based unit of each mel frame), f0 without gaps, "
    "voiced, loudness in dBFS and the speakers' shares -> condition and guess. x = start.guess * guess + start.noise * "
    "noise; for each row of sampler.steps: x = row.x * x + row.predicted * denoiser(x, row.step, condition). mel = "
    "transpose(x) * mel_scale + mel_mean. filters: mel and f0 -> gains of pulses (whose phase is vocoder.phase) and of "
    "noise at each of two spectra a mel frame; vocoder: the same as a whole, mel and f0 -> waveform. sing.py does it."
)
