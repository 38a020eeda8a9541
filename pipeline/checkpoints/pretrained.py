"""Whole transformers models that the user names, for evaluation: read as strictly as encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .hub import HubError, ModelError, quiet, snapshot
from .model_folder import ModelFolder, load_weights
from .regular_files import check_regular
from .torch_file import reason

MOST_LAYERS, MOST_NUMBER, MOST_ITEMS = 256, 10_000_000, 1_000
# Fields of a config.json that name code, kernels or files: they are not followed.
FOLLOWED = ("auto_map", "quantization_config", "transformers_weights", "attn_implementation", "_attn_implementation")


def model_folder(source: str, what: str, allow_hub: bool = True) -> ModelFolder:
    """The folder of a model by its path or hub id.

    Args:
        source: folder or hub id.
        what: what is wanted, in a few words, for a message.
        allow_hub: whether it may be downloaded.

    Raises:
        ModelError: it is not there, or has something that is no regular file.
    """
    quiet()
    path = Path(source).expanduser()
    try:
        if not path.is_dir():
            path = snapshot(source, allow_hub, tokenizer=True)
        for file in path.iterdir():
            if not file.is_dir():
                check_regular(file)
        return ModelFolder(path)
    except HubError as error:
        raise ModelError(f"{source}, where a {what} is expected, {error.message}", error.hint) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"there is no {what} in {source} that can be loaded: {reason(error)}") from error


def load_pretrained(
    folder: ModelFolder, config_class: Any, model_class: Any, what: str, may_lack: tuple[str, ...] = ()
) -> Any:
    """A transformers model, ready for inference, in float32 on the CPU whatever dtype its file has.

    Args:
        folder: with config.json and the weights.
        config_class: of transformers.
        model_class: of transformers, whose constructor takes a configuration.
        what: what is wanted, in a few words, for a message.
        may_lack: tensors that the file need not have, because others are tied to them.

    Raises:
        ModelError: config.json has a value beyond any bound, or the tensors are not the model's.
    """
    try:
        check_numbers(folder.config)
        known = {name: value for name, value in folder.config.items() if name not in FOLLOWED}
        with torch.device("meta"):
            model = model_class(config_class.from_dict(known))
        load_weights(model, folder, (), may_lack)
        model.tie_weights()
    except Exception as error:
        raise ModelError(f"the {what} in {folder.path} cannot be loaded: {reason(error)}") from error
    return model.eval().requires_grad_(False)


def check_numbers(config: Any, name: str = "config.json") -> None:
    """Raises ValueError if a setting is a number, or a list, that no model has."""
    if isinstance(config, dict):
        for key, value in config.items():
            if "layers" in str(key) and isinstance(value, int) and value > MOST_LAYERS:
                raise ValueError(f"config.json: {key} is {value}; expected at most {MOST_LAYERS}")
            check_numbers(value, str(key))
    elif isinstance(config, list):
        if len(config) > MOST_ITEMS:
            raise ValueError(f"config.json: {name} has {len(config)} items; expected at most {MOST_ITEMS}")
        for value in config:
            check_numbers(value, name)
    elif isinstance(config, int | float) and abs(config) > MOST_NUMBER:
        raise ValueError(f"config.json: {name} is {config}; expected at most {MOST_NUMBER}")
