"""A hash that identifies a model's weights, independent of their file format."""

from __future__ import annotations

import hashlib

from torch import nn


def weights_hash(model: nn.Module) -> str:
    """sha256 (hex) over dtype, shape and values of all tensors, in the module's own order, without their names."""
    digests = []
    for tensor in model.state_dict().values():
        array = tensor.detach().cpu().contiguous()
        header = f"{array.dtype}{tuple(array.shape)}".encode()
        digests.append(hashlib.sha256(header + array.numpy().tobytes()).digest())
    return hashlib.sha256(b"".join(digests)).hexdigest()
