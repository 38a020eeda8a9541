"""The interface of content encoders: frozen networks that turn 16 kHz waveforms into a vector every 20 ms.

A new encoder is one file with a subclass of `ContentEncoder` and one line in `registry.py`. The subclass reads its
weights and builds a network that encodes one batch. Batching, precision, memory limits and threads are handled here,
and are the same for all. tests/pipeline/encoder/test_conformance.py checks every encoder.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ..checkpoints.model_folder import ModelFolder
from ..frames import CONTENT_HOP, CONTENT_RATE, unit_frames
from ..projection import SoftHead
from .host_copies import HostCopies
from .network import PRECISIONS, EncoderError, EncoderSettings, Network

CPU_BUDGET = 12 * CONTENT_RATE  # samples; a larger batch costs a CPU more in padding than it saves in reading weights
CUDA_BUDGET = 20 * 60 * CONTENT_RATE  # samples; with more a GPU is no faster, and results only take longer to arrive
CUDA_SHARE = 0.6  # of the memory that is free
LEAST_BUDGET = 2 * CONTENT_RATE  # samples, however often memory has run out

_lock = threading.Lock()  # guards what every ContentEncoder changes: its networks, and its counts of repeated clips


@dataclass(frozen=True)
class EncodedClip:
    """The features of one clip, on the CPU.

    Attributes:
        states: for each layer asked for (U, hidden_size); {} if it could not be computed.
        units: (U, unit_dim) of the soft head, if they were asked for.
        problem: why it cannot be used, or "".
    """

    states: dict[int, Tensor]
    units: Tensor | None
    problem: str = ""


class ContentEncoder(ABC):
    """A frozen encoder: waveforms in, hidden states out. Any number of threads may use it at the same time.

    Attributes:
        model_type: class attribute, the `model_type` of its config.json; the `kind` in a store's settings.
        short_names: class attribute, the names that a user may give, each with its hub id, file address or shipped
            folder.
        selected_default: class attribute, which of the default layers `selection_layer` is.
        sample_rate: Hz of the waveforms that it takes.
        hop: samples between frames. Frame i is centred at (i + 0.5) * hop samples.
        name, origin, device, precision, recommended: as in `EncoderSettings`.
        fingerprint: sha256 of its weights, whatever file they came from.
        hidden_size: width of a hidden state.
        layers: number of transformer layers.
        head: the soft projection that came with it, on `device` in float32, or None.
        redone: number of clips that were not finite in `precision` and were computed again in float32.
        reduced: number of clips that were computed in bfloat16 because a GPU had no memory for them in float32.
    """

    model_type: ClassVar[str]
    short_names: ClassVar[Mapping[str, str]] = {}
    selected_default: ClassVar[int] = 0
    sample_rate = CONTENT_RATE
    hop = CONTENT_HOP

    @property
    def most_samples(self) -> int | None:
        """Samples of the longest clip that it takes, or None if there is no limit."""
        return None

    def __init__(
        self,
        settings: EncoderSettings,
        *,
        fingerprint: str,
        hidden_size: int,
        layers: int,
        head: SoftHead | None = None,
    ):
        """Raises ValueError for a precision that is none of `PRECISIONS`."""
        if settings.precision not in PRECISIONS:
            raise ValueError(f"no precision {settings.precision!r}: expected one of {', '.join(PRECISIONS)}")
        self.name, self.origin, self.recommended = settings.name, settings.origin, settings.recommended
        self.device, self.precision = torch.device(settings.device), settings.precision
        self.fingerprint, self.hidden_size, self.layers = fingerprint, hidden_size, layers
        self.head = None if head is None else head.to(self.device, torch.float32)
        self.redone = 0
        self.reduced = 0
        self._networks: dict[tuple[torch.device, torch.dtype], Network] = {}
        self._budget: int | None = None
        self._copies = HostCopies(self.device)

    @classmethod
    def default_layers(cls, count: int) -> tuple[int, ...]:
        """The layers, of `count`, that are stored unless others are asked for: one for the codes, one for the units.

        A middle one and the last: 7 and 12 of a base model's 12.
        """
        return tuple(sorted({max(1, round(count * 7 / 12)), count}))

    @property
    def selection_layer(self) -> int:
        """The layer whose states are compared to find frames of another recording: as recommended, or a middle one."""
        layer = self.recommended.layer
        return self.default_layers(self.layers)[self.selected_default] if layer is None else layer

    @classmethod
    @abstractmethod
    def from_folder(cls, folder: ModelFolder, settings: EncoderSettings) -> Self:
        """The encoder in a folder whose config.json has this `model_type`.

        Raises:
            ValueError: the configuration or the weights are not what is expected.
        """

    @classmethod
    def from_checkpoint(cls, found: Any, settings: EncoderSettings) -> Self | None:
        """The encoder in a .pt file, from the result of `read_checkpoint_file`; None if it is of another kind.

        Raises:
            ValueError: it is of this kind, but incomplete or damaged.
        """
        return None

    @abstractmethod
    def build_network(self, device: torch.device, dtype: torch.dtype) -> Network:
        """The network on a device, in a dtype. Called once for each pair."""

    def describe(self) -> dict[str, Any]:
        """Its record in a store, by which a render checks that it has the same encoder. Values are JSON's."""
        return {
            "kind": self.model_type,
            "sha256": self.fingerprint,
            "hidden_size": self.hidden_size,
            "layers": self.layers,
            "sample_rate": self.sample_rate,
            "hop": self.hop,
        }

    @property
    def budget(self) -> int:
        """The best size of a batch in samples of padded clips (clips x longest); smaller once memory has run out."""
        if self._budget is None:
            budget = CPU_BUDGET
            if self.device.type == "cuda":
                per_sample = self.network(self.device, PRECISIONS[self.precision]).bytes_per_sample
                free, _ = torch.cuda.mem_get_info(self.device)
                budget = max(CPU_BUDGET, min(CUDA_BUDGET, int(CUDA_SHARE * free / per_sample)))
            self._budget = budget
        return self._budget

    def hidden(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """Hidden states of a padded batch of clips.

        Args:
            wavs: float32 [B, T] at 16 kHz; what lies beyond a row's length is ignored.
            lengths: int64 [B], samples, at least 320 each.
            layers: 0 is the transformer's input, i the output of transformer layer i.

        Returns:
            For each layer float32 [B, T // 320, hidden_size], on the device. Row b is valid for lengths[b] // 320
            frames.

        Raises:
            EncoderError: there is no such layer, or a clip is longer than `most_samples`.
            torch.OutOfMemoryError: the batch is too large for the GPU.
        """
        lengths = lengths.cpu()
        beyond = torch.arange(wavs.shape[1]) >= lengths[:, None]
        wavs = wavs.to(self.device).masked_fill(beyond.to(self.device), 0)
        dtype = PRECISIONS[self.precision]
        states = {layer: state.float() for layer, state in self._states(wavs, lengths, layers, dtype).items()}
        if dtype != torch.float32 and states and len(again := (~_finite(states.values())).nonzero()[:, 0]):
            exact = self._states(wavs[again], lengths[again.cpu()], layers, torch.float32)
            for layer, state in states.items():
                state[again] = exact[layer]
            self._count_redone(len(again))
        return states

    def encode_batch(self, wavs: Sequence[Tensor], layers: Sequence[int]) -> list[dict[int, Tensor]]:
        """Hidden states of clips, computed together: each as if it were alone, up to rounding.

        Args:
            wavs: float32 (T,) each, at 16 kHz, at least 320 samples.
            layers: as in `hidden`.

        Returns:
            For each clip and layer float32 (T // 320, hidden_size), on the CPU.

        Raises:
            EncoderError: there is no such layer, or a clip is longer than `most_samples`.
            ArithmeticError: a clip alone needs more memory than the GPU has.
        """
        clips = self.start(wavs, layers, dtype=torch.float32)()
        if problem := next((clip.problem for clip in clips if clip.problem and not clip.states), ""):
            raise ArithmeticError(problem)
        return [clip.states for clip in clips]

    def encode(self, wav: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """Hidden states of one clip. float32 (T,) at 16 kHz -> for each layer float32 (T // 320, hidden_size)."""
        return self.encode_batch([wav], layers)[0]

    def start(
        self,
        wavs: Sequence[Tensor],
        layers: Sequence[int],
        units: bool = False,
        dtype: torch.dtype = torch.float16,
    ) -> Callable[[], list[EncodedClip]]:
        """Begin to encode clips together; a GPU continues with other batches while the results are copied.

        A batch too large for the GPU is halved until it fits, and `budget` becomes smaller. A clip that is too long
        even alone is computed in bfloat16; if that fails too, its `problem` says so. A clip that is not finite in a
        reduced precision is computed again in float32.

        Args:
            wavs: float32 (T,) each, at 16 kHz, at least 320 samples.
            layers: as in `hidden`.
            units: whether the soft head's units are wanted too.
            dtype: of the results.

        Returns:
            A function that waits for the clips and returns them, in the order of `wavs`.

        Raises:
            EncoderError: there is no such layer, a clip is longer than `most_samples`, or there is no soft head.
        """
        self.check_layers(layers)
        if units and self.head is None:
            raise EncoderError(f"{self.name} has no soft head, so it makes no units")
        if not wavs:
            return list
        return self._start(wavs, _Wanted(tuple(layers), units, dtype), PRECISIONS[self.precision])

    def _start(self, wavs: Sequence[Tensor], wanted: _Wanted, computed: torch.dtype) -> Callable[[], list[EncodedClip]]:
        try:
            return self._launch(wavs, wanted, computed)
        except torch.OutOfMemoryError:
            pass  # the exception held the failed pass's tensors, which are freed here
        torch.cuda.empty_cache()
        if len(wavs) > 1:
            self._budget = max(LEAST_BUDGET, min(self.budget, len(wavs) * max(map(len, wavs)) // 2))
            half = len(wavs) // 2
            first, second = self._start(wavs[:half], wanted, computed), self._start(wavs[half:], wanted, computed)
            return lambda: first() + second()
        if computed == torch.float32 and self.precision == "fp32":
            with _lock:
                self.reduced += 1
            return self._start(wavs, wanted, torch.bfloat16)
        seconds = len(wavs[0]) / self.sample_rate
        problem = f"a clip of {seconds:.0f} s needs more memory than {self.device} has free"
        return lambda: [EncodedClip({}, None, problem)]

    @torch.inference_mode()
    def _launch(
        self, wavs: Sequence[Tensor], wanted: _Wanted, computed: torch.dtype
    ) -> Callable[[], list[EncodedClip]]:
        lengths = [len(wav) for wav in wavs]
        batch = torch.zeros(len(wavs), max(lengths), pin_memory=self.device.type == "cuda")
        for row, wav in zip(batch, wavs, strict=True):
            row[: len(wav)] = wav
        layers = wanted.layers if not wanted.units or self.layers in wanted.layers else (*wanted.layers, self.layers)
        states = self._states(batch.to(self.device, non_blocking=True), torch.tensor(lengths), layers, computed)
        results = [states[layer].to(wanted.dtype) for layer in wanted.layers]
        if wanted.units and self.head is not None:
            results.append(self.head.units(states[self.layers].float()).to(wanted.dtype))
        finite = _finite(results) if results else torch.ones(len(wavs), dtype=torch.bool, device=self.device)
        copied = self._copies.start([*results, finite])
        return lambda: self._finish(wavs, wanted, computed, copied())

    def _finish(
        self, wavs: Sequence[Tensor], wanted: _Wanted, computed: torch.dtype, copied: list[Tensor]
    ) -> list[EncodedClip]:
        *results, finite = copied
        clips = []
        for row, (wav, good) in enumerate(zip(wavs, finite.tolist(), strict=True)):
            own = [result[row, : unit_frames(len(wav))] for result in results]
            states = dict(zip(wanted.layers, own, strict=False))
            problem = "" if good else "its hidden states are not finite, or beyond float16"
            clips.append(EncodedClip(states, own[-1] if wanted.units else None, problem))
        again = [row for row, clip in enumerate(clips) if clip.problem]
        if again and computed != torch.float32 and computed == PRECISIONS[self.precision]:
            exact = self._start([wavs[row] for row in again], wanted, torch.float32)()
            self._count_redone(len(again))
            for row, clip in zip(again, exact, strict=True):
                clips[row] = clip
        return clips

    def _states(self, wavs: Tensor, lengths: Tensor, layers: Sequence[int], dtype: torch.dtype) -> dict[int, Tensor]:
        """As `Network` says; {} for no layers."""
        self.check_layers(layers)
        if self.most_samples is not None and wavs.shape[1] > self.most_samples:
            most, found = (samples / self.sample_rate for samples in (self.most_samples, wavs.shape[1]))
            raise EncoderError(f"{self.name} encodes clips of at most {most:.1f} s; found one of {found:.1f} s")
        return self.network(self.device, dtype)(wavs, lengths, layers) if layers else {}

    def _count_redone(self, count: int) -> None:
        with _lock:
            self.redone += count

    def network(self, device: torch.device, dtype: torch.dtype) -> Network:
        """The network on a device, in a dtype; built at the first call."""
        with _lock:
            if (device, dtype) not in self._networks:
                self._networks[device, dtype] = self.build_network(device, dtype)
            return self._networks[device, dtype]

    def check_layers(self, layers: Sequence[int]) -> None:
        """Raises EncoderError if one of `layers` is not within 0 to the last."""
        for layer in layers:
            if not 0 <= layer <= self.layers:
                raise EncoderError(f"{self.name} has no layer {layer}: it has layers 0 to {self.layers}")

    def __getstate__(self) -> dict[str, Any]:
        # A copy builds its own networks.
        return {**self.__dict__, "_networks": {}, "_copies": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _copies=HostCopies(state["device"]))


@dataclass(frozen=True)
class _Wanted:
    """The results that are wanted of a batch."""

    layers: tuple[int, ...]
    units: bool
    dtype: torch.dtype


def _finite(states: Iterable[Tensor]) -> Tensor:
    """Which clips of a batch are finite in all states [B, U, C]: bool [B], on their device."""
    return torch.stack([state.isfinite().flatten(1).all(1) for state in states]).all(0)
