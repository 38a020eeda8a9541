"""Writes a module as an ONNX file whose time axes are dynamic."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...common.errors import UserError
from ...common.files import write_whole

OPSET = 18
MISSING = ("svc export needs {}, which is not installed", "install it with: pip install 'svc[onnx]'")


def check_installed() -> None:
    """Raises UserError where onnx or onnxscript is not installed."""
    try:
        import onnx  # noqa: F401  # whether it is there
        import onnxscript  # noqa: F401  # whether it is there
    except ImportError as error:
        raise UserError(MISSING[0].format(error.name), MISSING[1]) from error


def write_onnx(
    path: Path,
    module: nn.Module,
    inputs: Mapping[str, tuple[Tensor, Mapping[int, str]]],
    outputs: Sequence[str],
) -> None:
    """Export a module with torch.export, and write it as one file.

    Args:
        path: the file, ending in .onnx.
        module: its forward takes the inputs in that order and returns the outputs.
        inputs: for each its name, an example tensor of any shape, and the names of its dynamic axes by number.
        outputs: their names.

    Raises:
        UserError: onnx or onnxscript is not installed.
    """
    check_installed()
    dimensions: dict[str, Any] = {}
    shapes = {
        name: {axis: dimensions.setdefault(of, torch.export.Dim(of, min=2)) for axis, of in axes.items()}
        for name, (_, axes) in inputs.items()
    }
    examples = tuple(example for example, _ in inputs.values())
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                module.eval(),
                examples,
                input_names=list(inputs),
                output_names=list(outputs),
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=tuple(shapes.values()),
                verbose=False,
            )
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
    assert program is not None
    write_whole(path, program.model_proto.SerializeToString())
