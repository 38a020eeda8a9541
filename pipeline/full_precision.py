"""Full float32 precision: TF32 and bfloat16 products are switched off for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_backends: Any = torch.backends
PRODUCTS = (  # settings by which PyTorch computes float32 products in less precision
    _backends.cuda.matmul,
    _backends.cudnn.conv,
    _backends.mkldnn.matmul,
    _backends.mkldnn.conv,
)
_lock = threading.Lock()
_inside = 0  # passes in progress in all threads
_before: list[str] = []


@contextmanager
def full_precision() -> Iterator[None]:
    """A context in which float32 products are computed in float32, never in TF32 or bfloat16.

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
