"""A run: the folder that holds a trained voice, and everything that rendering with it needs.

runs/NAME/
    run.json                    settings, speakers, and what the store was made with (run_config)
    units.safetensors           k-means codes and soft projection
    last.safetensors            to train on: weights, their average, optimizer
    best.safetensors            to render with: the averaged weights that converted held-out utterances best
    index.safetensors           frames of the speakers' utterances, to retrieve units from (retrieval_index)
    classifier.safetensors      predicts content and speaker from mels, to find the best by
    log.jsonl                   losses and scores, a line for each validation
    tensorboard/                the same, with sound and pictures
    held_out.png                a held-out utterance, and what the model makes of it
    vocoder.safetensors         the run's neural vocoder, if one was trained
    vocoder-last.safetensors    to train it on
    vocoder.jsonl               its losses
    lock                        held by the training that is at work
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..common.errors import UserError
from ..pipeline.diffusion.diffusion import Diffusion
from ..pipeline.diffusion.registry import new_objective
from ..pipeline.projection import Codebook, SoftHead, SoftProjection
from . import checkpoint
from .checkpoint_records import BestRecord, UnitsRecord
from .run_config import RunConfig
from .run_format import read_config, write_config
from .voice_file import unpack

CONFIG = "run.json"
BEST, UNITS, INDEX = "best.safetensors", "units.safetensors", "index.safetensors"
VOCODER, LAST_VOCODER = "vocoder.safetensors", "vocoder-last.safetensors"


@dataclass(frozen=True)
class Run:
    """A run's folder and its run.json.

    Attributes:
        path: the folder.
        config: the content of run.json.
        file: the voice file that the folder was unpacked from, if any.
    """

    path: Path
    config: RunConfig
    file: Path | None = None

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a run's folder, or a voice file of `svc pack`.

        Raises UserError when it is neither, of an unknown format, or its run.json is not valid.
        """
        if path.is_file():
            folder = unpack(path)
            return cls(folder, read_config(folder / CONFIG), path)
        if (path / "ledger").is_dir():
            raise UserError(f"{path} is a store, not a run; train a voice on it first: svc train --store {path}")
        try:
            return cls(path, read_config(path / CONFIG))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(f"{path} is not a run: it has no {CONFIG}; `svc train` makes one") from error

    def save(self) -> None:
        """Write run.json."""
        write_config(self.path / CONFIG, self.config)

    @property
    def source(self) -> Path:
        """The path that the user gave: the folder, or the voice file."""
        return self.file or self.path

    @property
    def name(self) -> str:
        """Of its folder, or of the voice file without its ending."""
        return self.path.name if self.file is None else self.file.stem

    def beside(self, location: str) -> Path:
        """A path as run.json records it, which may be relative to the run's folder."""
        return Path(os.path.normpath(os.path.join(os.path.realpath(self.path), location)))

    @property
    def speakers(self) -> list[str]:
        """Names of the voices that it can convert to."""
        return [speaker.name for speaker in self.config.speakers]

    @property
    def units(self) -> Path:
        """Path of the k-means codes and the projection to units."""
        return self.path / UNITS

    @property
    def last(self) -> Path:
        """Path of the last acoustic checkpoint, which training continues from."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """Path of the acoustic checkpoint that converts best, which rendering uses."""
        return self.path / BEST

    @property
    def index(self) -> Path:
        """Path of the frames that units are retrieved from."""
        return self.path / INDEX

    @property
    def classifier(self) -> Path:
        """The probe's classifier; svc 0.1 called the file judges.safetensors."""
        old = self.path / "judges.safetensors"
        return old if old.exists() else self.path / "classifier.safetensors"

    @property
    def vocoder(self) -> Path:
        """Path of the run's own vocoder, which rendering uses."""
        return self.path / VOCODER

    @property
    def last_vocoder(self) -> Path:
        """Path of the vocoder's last checkpoint, which training continues from."""
        return self.path / LAST_VOCODER

    @property
    def log(self) -> Path:
        """Path of the training log, a JSON record a line."""
        return self.path / "log.jsonl"

    @property
    def vocoder_log(self) -> Path:
        """Path of the log of the vocoder's training, a JSON record a line."""
        return self.path / "vocoder.jsonl"

    def new_model(self) -> Diffusion:
        """The acoustic model, untrained."""
        settings = self.config.settings
        return Diffusion(self.config.shape, new_objective(settings.objective), settings.shallow_depth)

    def begun_with(self, columns: dict[int, str]) -> dict[int, str]:
        """Of a store's columns for augmentation, by semitones, those that the store had when the run began."""
        known = self.config.augmented
        return {semitones: name for semitones, name in columns.items() if known is None or name in known}

    def load_units(self) -> tuple[Codebook, nn.Module]:
        """The codes, and the projection from the column to units.

        Raises UserError when the units were never trained.
        """
        if not self.units.exists():
            raise UserError(f"{self.path} has no units yet: its training stopped before; run `svc train` again")
        sizes, config = checkpoint.shapes(self.units), self.config
        codes, hidden = self._two(sizes, "codebook.centroids")
        codebook, _ = checkpoint.load_module(
            self.units, "codebook", lambda: Codebook(torch.zeros(codes, hidden)), UnitsRecord
        )
        if config.settings.units != "soft":
            return codebook, nn.Identity()
        projection, _ = checkpoint.load_module(
            self.units,
            "projection",
            lambda: SoftProjection(config.unit_column.width, config.settings.unit_dim, codes),
            UnitsRecord,
        )
        return codebook, projection.eval().requires_grad_(False)

    def _two(self, sizes: dict[str, tuple[int, ...]], name: str) -> tuple[int, int]:
        """The two sizes of a matrix in units.safetensors."""
        if len(shape := sizes.get(name, ())) != 2:
            raise UserError(f"{self.units} is damaged: expected {name}, a matrix, found {shape or 'nothing'}")
        return shape[0], shape[1]

    def projection(self, head: SoftHead | None) -> nn.Module:
        """The projection of the encoder's `unit_layer`: (..., hidden) -> (..., unit_dim). `head` is the encoder's."""
        if self.config.settings.units != "hubert-soft":
            return self.load_units()[1]
        if head is None:
            raise UserError(f"{self.path} was trained on the units of a HuBERT-soft, but its encoder has no soft head")
        return head.projection

    def load_best(self, device: str) -> tuple[Diffusion, int]:
        """The model for rendering, and its step. Raises UserError if there is none."""
        if not self.best.exists():
            raise UserError(f"{self.path} has no trained model yet: its training stopped before the first checkpoint")
        model, record = checkpoint.load_module(self.best, "ema", self.new_model, BestRecord)
        return model.to(device).eval().requires_grad_(False), record.step


WRITTEN = (
    CONFIG,
    UNITS,
    "classifier.safetensors",
    "last.safetensors",
    BEST,
    INDEX,
    VOCODER,
    LAST_VOCODER,
)


@contextmanager
def at_work(path: Path) -> Iterator[None]:
    """Lock a run's folder, made if necessary, and remove partial files of a run that was killed.

    Raises UserError when it is a folder of something else, or another training is at work in it.
    """
    import filelock

    if path.exists() and not (path / "run.json").exists():
        ours = ("lock", *(f".{name}." for name in WRITTEN))
        if not path.is_dir() or any(not entry.name.startswith(ours) for entry in path.iterdir()):
            raise UserError(f"{path} exists and is not a run; give another --out")
    path.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path / "lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise UserError(f"another svc train is at work on {path}; wait for it, or give another --out") from error
    try:
        for name in WRITTEN:
            for left in path.glob(f".{name}.*.partial"):
                left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def newest_run(folder: Path = Path("runs")) -> Path:
    """The run that was written last. Raises UserError if there is none."""
    found = [path.parent for path in folder.glob("*/run.json")]
    trained = [path for path in found if (path / BEST).exists()]
    if not trained:
        why = "holds no finished one" if found else "has none"
        raise UserError(
            f"no run to render with: {folder.absolute()} {why}; give one with -m RUN, or make one with svc train"
        )
    return max(trained, key=lambda path: (path / BEST).stat().st_mtime)
