"""float32 that is float32: TF32 and bfloat16 products switched off for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_backends: Any = torch.backends
PRODUCTS = (  # what PyTorch lets a process compute in less than float32
    _backends.cuda.matmul,
    _backends.cudnn.conv,
    _backends.mkldnn.matmul,
    _backends.mkldnn.conv,
)
_lock = threading.Lock()
_inside = 0  # passes under way in any thread
_before: list[str] = []


@contextmanager
def full_precision() -> Iterator[None]:
    """Within, float32 products are computed in float32, neither in TF32 nor in bfloat16, whatever the process allows.

    The settings are the process's: the first pass to begin changes them, the last to end puts them back.
    """
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = [product.fp32_precision for product in PRODUCTS]
            for product in PRODUCTS:
                product.fp32_precision = "ieee"
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for product, precision in zip(PRODUCTS, _before, strict=True):
                    product.fp32_precision = precision
