"""Encoders whose weights are those of a transformers model: made from a folder's config.json and tensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from ..checkpoints.config_fields import Check, read_fields
from ..checkpoints.fingerprint import weights_hash
from ..checkpoints.model_folder import ModelFolder, load_weights
from ..projection import SoftHead
from .content import ContentEncoder
from .network import EncoderSettings

MOST_LAYERS, MOST_WIDTH = 256, 1 << 16  # beyond any published model, and still built in a second without weights


class TransformersEncoder(ContentEncoder):
    """A content encoder around a transformers model.

    Attributes:
        fields: class attribute, the fields of config.json that decide what the network computes, and their bounds.
        prefixes: class attribute, what may stand before the names of its tensors in a file.
        may_lack: class attribute, tensors that a file may be without, because only training needs them.
        model: the transformers model, in float32 on the CPU, frozen.
    """

    fields: ClassVar[Mapping[str, Check]]
    prefixes: ClassVar[tuple[str, ...]] = ()
    may_lack: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: Any, settings: EncoderSettings, *, hidden_size: int, layers: int, head: SoftHead | None):
        """Raises ValueError as `ContentEncoder` does."""
        self.model = model.eval().requires_grad_(False)
        super().__init__(
            settings, fingerprint=weights_hash(self.model), hidden_size=hidden_size, layers=layers, head=head
        )

    @classmethod
    @abstractmethod
    def classes(cls) -> tuple[type[Any], type[Any]]:
        """transformers' configuration and model, imported at the call: importing transformers takes a second."""

    @classmethod
    def read_model(cls, folder: ModelFolder) -> Any:
        """The transformers model in a folder, in float32 on the CPU.

        The network is first made without memory, and its shapes are compared with those in the file.

        Raises:
            ValueError: config.json has a value beyond its bounds, or the tensors are not the network's.
        """
        config_class, model_class = cls.classes()
        config = config_class(**read_fields(folder.config, cls.fields))
        with torch.device("meta"):
            model = model_class(config)
        load_weights(model, folder, cls.prefixes, cls.may_lack)
        return model

    def __getstate__(self) -> dict[str, Any]:
        # A weight norm cannot be pickled, but its state can.
        model = (type(self.model), self.model.config, self.model.state_dict())
        return {**super().__getstate__(), "model": model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        kind, config, weights = state["model"]
        with torch.device("meta"):
            model = kind(config)
        model.load_state_dict(weights, assign=True)
        super().__setstate__({**state, "model": model.eval().requires_grad_(False)})
