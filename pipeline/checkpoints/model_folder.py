"""A folder with a model in the Hugging Face format, as `save_pretrained` or a hub download makes it.

The names and shapes of its tensors are known from the files' headers, so that they can be compared with a network
before any memory is taken for either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from .regular_files import check_regular, read_json_object
from .torch_file import read_checkpoint_file

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
MOST_SHARDS = 1000

# The two halves of a weight norm, as PyTorch named them before 2.0 and names them now.
WEIGHT_NORM = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}


class ModelFolder:
    """`config` is its config.json, `shapes` the shape of every tensor by name. Tensors are read when asked for."""

    def __init__(self, path: Path):
        """Raises ValueError if config.json is not a JSON object in a regular file, FileNotFoundError without one."""
        self.path = path
        self.config: dict[str, Any] = read_json_object(path / "config.json")

    @property
    def model_type(self) -> str:
        """The kind of model, such as `hubert`; empty if config.json does not say."""
        found = self.config.get("model_type")
        return found if isinstance(found, str) else ""

    def settings(self, name: str) -> dict[str, Any]:
        """Another JSON object of the folder, such as `preprocessor_config.json`; empty if it is not there."""
        try:
            return read_json_object(self.path / name)
        except FileNotFoundError:
            return {}

    @cached_property
    def _files(self) -> list[Path]:
        for name in WEIGHTS:
            if (self.path / name).exists():
                return [self.path / name]
            if (index := self.path / f"{name}.index.json").exists():
                found = read_json_object(index, 64 << 20).get("weight_map")
                if not isinstance(found, dict) or not found:
                    raise ValueError(f"expected a weight_map of names to files in {index.name}")
                shards = sorted({str(shard) for shard in found.values()})
                if len(shards) > MOST_SHARDS or any(Path(shard).name != shard for shard in shards):
                    raise ValueError(f"{index.name} must name files of its own folder, {MOST_SHARDS} at most")
                return [self.path / shard for shard in shards]
        raise ValueError(f"there is neither {' nor '.join(WEIGHTS)} in {self.path}")

    @cached_property
    def _readers(self) -> dict[str, Callable[[], Tensor]]:
        readers: dict[str, Callable[[], Tensor]] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        for file in self._files:
            check_regular(file)
            if file.suffix == ".safetensors":
                self._open_safetensors(file, readers)
            else:
                self._open_pickle(file, readers)
        return readers

    def _open_safetensors(self, file: Path, readers: dict[str, Callable[[], Tensor]]) -> None:
        try:
            opened = safe_open(file, framework="pt")
            for name in opened.keys():  # noqa: SIM118  # it is no dict
                self._shapes[name] = tuple(opened.get_slice(name).get_shape())
                readers[name] = partial(opened.get_tensor, name)
        except SafetensorError as error:
            raise ValueError(f"{file.name} is damaged: {error}") from error

    def _open_pickle(self, file: Path, readers: dict[str, Callable[[], Tensor]]) -> None:
        found = read_checkpoint_file(file)
        if not isinstance(found, dict):
            raise ValueError(f"expected a dict of tensors in {file.name}; found a {type(found).__name__}")
        for name, value in found.items():
            if isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta:
                self._shapes[str(name)] = tuple(value.shape)
                readers[str(name)] = value.detach

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor by its name in the file. Raises ValueError for files that are damaged."""
        _ = self._readers
        return self._shapes

    def tensor(self, name: str) -> Tensor:
        """A tensor by its name in the file, in the shape and dtype that it was saved in, on the CPU."""
        return self._readers[name]()


def load_weights(
    model: nn.Module, folder: ModelFolder, prefixes: tuple[str, ...], may_lack: tuple[str, ...] = ()
) -> None:
    """Give a network on the meta device its weights, in float32 on the CPU. Tensors that it does not need are not read.

    Args:
        model: made under `torch.device("meta")`, so that it takes no memory until its shapes have been compared.
        folder: with the tensors.
        prefixes: what may stand before a name in the file, as `hubert.` does in a HubertForCTC.
        may_lack: names of tensors that become zeros where the file has none.

    Raises:
        ValueError: a tensor is missing, of another shape, or not of floats.
    """
    expected = model.state_dict()
    found = {_plain(name, prefixes): name for name in folder.shapes}
    missing = [name for name in expected if name not in found and name not in may_lack]
    if missing:
        raise ValueError(f"the weights lack {len(missing)} tensors, {missing[0]} among them")
    for name, tensor in expected.items():
        if name in found and folder.shapes[found[name]] != tuple(tensor.shape):
            raise ValueError(
                f"expected {tuple(tensor.shape)} as {name}, by config.json; found {folder.shapes[found[name]]}"
            )
    weights = {}
    for name, tensor in expected.items():
        if name not in found:
            weights[name] = torch.zeros(tensor.shape)
            continue
        read = folder.tensor(found[name])
        if not read.is_floating_point():
            raise ValueError(f"expected a tensor of floats as {name}; found {read.dtype}")
        weights[name] = read.to(torch.float32, copy=True).contiguous()
    model.load_state_dict(weights, assign=True)
    if loose := [name for name, buffer in model.named_buffers() if buffer.is_meta]:
        raise ValueError(f"{loose[0]} is in no file: this kind of model is not supported")


def _plain(name: str, prefixes: tuple[str, ...]) -> str:
    for prefix in prefixes:
        name = name.removeprefix(prefix)
    for old, current in WEIGHT_NORM.items():
        if name.endswith(old):
            name = name.removesuffix(old) + current
    return name
