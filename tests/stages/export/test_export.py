"""An exported run gives the same sound as svc, with only onnxruntime and numpy."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

needs_onnx = "the extra `onnx` is not installed: pip install 'svc[onnx]'"
pytest.importorskip("onnx", reason=needs_onnx)
pytest.importorskip("onnxscript", reason=needs_onnx)
pytest.importorskip("onnxruntime", reason=needs_onnx)

from svc.common.errors import UserError  # noqa: E402
from svc.data.singers.harmonic import VOICES, practice, sing  # noqa: E402
from svc.pipeline import mel as mels  # noqa: E402
from svc.pipeline.export.acoustic import sampler_table  # noqa: E402
from svc.pipeline.vocoder.source_filter import Shape, SourceFilterNet  # noqa: E402
from svc.stages import checkpoint  # noqa: E402
from svc.stages.export.export import Export  # noqa: E402
from svc.stages.rendering.mel_predictor import frame_noise  # noqa: E402
from svc.stages.rendering.run_converter import RunConverter  # noqa: E402
from svc.stages.run import Run  # noqa: E402
from svc.stages.settings import RenderSettings, VocoderSettings  # noqa: E402

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def voiced_run(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Path:
    """The run with a small vocoder of its own, whose weights are random."""
    path = tmp_path_factory.mktemp("runs") / "voiced"
    shutil.copytree(run, path)
    torch.manual_seed(0)
    shape = Shape(channels=32, layers=2)
    network = SourceFilterNet(shape)
    torch.nn.init.normal_(network.filters.head.weight, std=0.05)
    torch.nn.init.normal_(network.filters.turn, std=0.1)
    metadata = {
        "kind": "svc own vocoder",
        "mel": mels.SETTINGS,
        "settings": asdict(VocoderSettings(channels=32, layers=2)),
        "step": 1,
    }
    checkpoint.save(path / "vocoder.safetensors", checkpoint.prefixed("ema", network), metadata)
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, voiced_run: Path) -> Path:
    out = tmp_path_factory.mktemp("exports") / "내 voice"
    export = Export.open(voiced_run, out)
    written = list(export.write())
    assert not export.notes
    assert written[-1] == out / "export.json"
    return out


@pytest.fixture(scope="module")
def sing_py(exported: Path) -> Iterator[Any]:
    """The exported sing.py as a module."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(exported))
        spec = importlib.util.spec_from_file_location("exported_sing", exported / "sing.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        patched.setitem(sys.modules, "exported_sing", module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def converter(voiced_run: Path) -> RunConverter:
    return RunConverter(Run.open(voiced_run), RenderSettings(precision="fp32", device="cpu", retrieve=0.0))


@pytest.mark.parametrize(("seconds", "speaker"), [(1.7, 0), (3.3, 1)])
def test_the_same_mel_and_the_same_sound(
    exported: Path, sing_py: Any, converter: RunConverter, seconds: float, speaker: int
) -> None:
    wav, _ = sing(practice(VOICES[0], seconds, 7), VOICES[0], 7)
    wav = np.asarray(wav[: len(wav) // 512 * 512], np.float32)
    name = converter.run.speakers[speaker]
    settings = RenderSettings(precision="fp32", device="cpu", retrieve=0.0, speaker=name)
    source = converter.open(wav, 44_100)
    plan = converter.plan(converter.analyse(source, settings), settings)
    (segment,) = source.segments
    voice, sampling = converter.voice(settings), converter.sampling(settings)
    from svc.stages.rendering.stopwatch import Stopwatch

    (predicted,) = converter.predictor.predict(plan, [segment], voice, sampling, Stopwatch())
    f0 = plan.target.f0[segment.start : segment.end]
    want = converter.vocoder(predicted.mel, f0)

    found = sing_py.Voice(exported)
    ((_, wave),) = source.waveforms([segment], (44_100, 16_000))
    wav16, level = wave.at(16_000), sing_py.loudness(wave.at(44_100))
    assert level == pytest.approx(plan.features.segment_loudness[segment], abs=1e-3)
    hidden = wave.hidden(converter.content, [converter.predictor.layer])
    (states,) = (each.astype(np.float32) for each in hidden.values())
    units = converter.predictor.projection(torch.from_numpy(states)).numpy()
    mel = found.mel_of_units(units, f0, level, name, 0, segment.start)
    assert mel.shape == predicted.mel.shape
    assert np.abs(mel - predicted.mel).max() < TOLERANCE

    # From the waveform on, one hidden state in some hundred is rounded to the other neighbour in float16.
    (found_states, _) = found.run("content", wav=wav16[None])
    assert (found_states[0] == states).mean() > 0.98
    assert np.abs(found_states[0] - states).max() <= 2**-10 * np.abs(states).max()
    mel = found.mel(wav16, f0, level, name, 0, segment.start, retrieve=0.0)
    assert np.abs(mel - predicted.mel).max() < 5 * TOLERANCE
    sung = found.vocode(mel, f0)
    assert np.abs(want).max() > 0.01
    assert np.abs(sung - want).max() < TOLERANCE


def test_units_are_retrieved_as_svc_retrieves_them(exported: Path, sing_py: Any, voiced_run: Path) -> None:
    settings = RenderSettings(precision="fp32", device="cpu")
    converter = RunConverter(Run.open(voiced_run), settings)
    retrieval = converter.voice(settings).retrievals[0]
    torch.manual_seed(1)
    hidden = retrieval.keys[:60] * 16 + torch.randn(60, retrieval.keys.shape[1]) / 4
    units = converter.predictor.projection(hidden)
    want = retrieval.blend(hidden, units, 0.7).numpy()
    got = sing_py.Voice(exported).retrieved(hidden.numpy(), units.numpy(), None, 0.7)
    assert np.abs(want - units.numpy()).max() > 0.1
    assert np.abs(got - want).max() < 1e-3


def test_noise_is_that_of_torch(sing_py: Any) -> None:
    for seed, start, end in ((0, 0, 10), (3, 250, 600), (2**40, 255, 257)):
        want = frame_noise(seed, start, end, 128).numpy()
        assert sing_py.frame_noise(seed, start, end, 128) == pytest.approx(want, abs=2e-6)


def test_resampling_keeps_a_tone(sing_py: Any) -> None:
    t = np.arange(44_100) / 44_100
    out = sing_py.resample(np.sin(2 * np.pi * 440 * t).astype(np.float32), 44_100, 16_000)
    assert len(out) == 16_000
    want = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(out - want)[200:-200].max() < 1e-3


def test_sing_py_sings_a_file_where_there_is_no_torch(exported: Path, tmp_path: Path) -> None:
    wav, _ = sing(practice(VOICES[0], 2.0, 3), VOICES[0], 3)
    soundfile.write(tmp_path / "song.wav", wav, 44_100)
    (tmp_path / "blocked").mkdir()
    for name in ("torch", "scipy", "svc", "librosa"):
        (tmp_path / "blocked" / f"{name}.py").write_text("raise ImportError('not here')")
    command = [sys.executable, str(exported / "sing.py"), "song.wav", "out.wav", "--key", "2"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "blocked")}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with soundfile.SoundFile(tmp_path / "out.wav") as file:
        assert "synthetic" in file.comment
        sung = file.read()
    assert len(sung) == len(wav)
    assert np.sqrt(np.square(sung).mean()) > 1e-3


def test_the_vocoder_alone_has_diffsingers_contract(exported: Path, converter: RunConverter) -> None:
    import onnx
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported / "vocoder.onnx"), providers=["CPUExecutionProvider"])
    assert [(each.name, each.shape) for each in session.get_inputs()] == [
        ("mel", [1, "frames", 128]),
        ("f0", [1, "frames"]),
    ]
    assert [each.name for each in session.get_outputs()] == ["waveform"]
    assert onnx.load(str(exported / "vocoder.onnx")).opset_import[0].version >= 17
    assert "model: vocoder.onnx" in (exported / "vocoder.yaml").read_text()
    rng = np.random.default_rng(0)
    for frames in (31, 120):
        f0 = np.full((1, frames), 220.0, np.float32)
        f0[:, :5] = 0
        mel = rng.normal(-5, 1, (1, frames, 128)).astype(np.float32)
        (wav,) = session.run(None, {"mel": mel, "f0": f0})
        assert wav.shape == (1, 512 * frames)
        want = converter.vocoder(mel[0], f0[0])
        # The noise is another one: what they share is the level.
        assert np.sqrt(np.square(wav).mean()) == pytest.approx(np.sqrt(np.square(want).mean()), rel=0.15)


def test_the_pulses_of_the_vocoder_graph_are_those_of_svc() -> None:
    from svc.pipeline.export.vocoder import hashed_noise, pulses
    from svc.pipeline.vocoder.excitation import Excitation

    f0 = (200 + 40 * np.sin(np.arange(300) / 9)).astype(np.float32)
    f0[40:60] = 0
    want, _ = Excitation(f0)(0, 300)
    assert pulses(torch.from_numpy(f0)[None])[0].numpy() == pytest.approx(want, abs=1e-6)
    noise = hashed_noise(torch.from_numpy(f0)[None])[0].numpy()
    spectrum = np.square(np.abs(np.fft.rfft(noise.reshape(-1, 1024)))).mean(0)[1:-1]
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert np.exp(np.log(spectrum).mean()) / spectrum.mean() > 0.97  # white: flat


@pytest.mark.parametrize("objective", ["flow", "ddpm"])
def test_the_sampler_table_draws_what_the_solver_draws(objective: str) -> None:
    from svc.pipeline.diffusion.batch import Batch
    from svc.pipeline.diffusion.diffusion import Diffusion
    from svc.pipeline.diffusion.registry import new_objective
    from svc.pipeline.diffusion.sampling import sample
    from svc.pipeline.diffusion.shape import Architecture, ModelShape
    from svc.pipeline.export.acoustic import ConditionParts, DenoiserStep

    torch.manual_seed(0)
    sizes = Architecture(condition=16, channels=16, layers=2, decoder_layers=1, decoder_channels=16)
    model = (
        Diffusion(ModelShape(8, 2, 12, architecture=sizes), new_objective(objective), 0.2).eval().requires_grad_(False)
    )
    torch.nn.init.normal_(model.denoiser.output.weight)
    units, mel2ph = torch.randn(1, 9, 8), torch.arange(1, 10).repeat(2)[None]
    f0, voiced, loudness = torch.full((1, 18), 200.0), torch.ones(1, 18), torch.full((1, 18), -20.0)
    speaker = torch.softmax(torch.randn(1, 18, 2), -1)
    noise = torch.randn(1, 12, 18)
    batch = Batch(units, mel2ph, f0, voiced, loudness, torch.ones(1, 18), speaker)
    method = "euler" if objective == "flow" else "ddim"
    want = sample(model, batch, torch.Generator(), 5, method, noise)
    condition, guess = ConditionParts(model)(units, mel2ph, f0, voiced, loudness, speaker)
    table = sampler_table(model, 5)
    x = table["start"]["guess"] * guess + table["start"]["noise"] * noise
    for row in table["steps"]:
        x = row["x"] * x + row["predicted"] * DenoiserStep(model)(x, torch.tensor([row["step"]]), condition)
    assert torch.allclose(model.denormalise(x), want, atol=1e-4)


def test_a_folder_of_something_else_is_refused(tmp_path: Path, run: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not an export"):
        Export.open(run, tmp_path)


def test_a_run_without_a_neural_vocoder_says_so(tmp_path: Path, run: Path) -> None:
    export = Export.open(run, tmp_path / "out")
    assert "svc train --only vocoder" in export.notes[0]
    assert [part.name for part in export.parts()] == ["content", "condition", "denoiser"]


def test_export_json_describes_every_part(exported: Path) -> None:
    about = json.loads((exported / "export.json").read_text("utf-8"))
    assert set(about["parts"]) == {"content", "condition", "denoiser", "filters", "vocoder", "f0"}
    assert all((exported / part["file"]).exists() for part in about["parts"].values())
    assert about["parts"]["denoiser"]["inputs"]["x"]["shape"] == [1, 128, "frames"]
