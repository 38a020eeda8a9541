"""A simulated GPU on a CPU: it refuses operations that a real one refuses, and counts those that a real one waits for.

Within `PretendDevice` whatever is made on, or moved to, `DEVICE` is a `OnDevice`, which holds its values in an ordinary
tensor. An operation that mixes them with tensors of the host raises, as it does on a GPU; scalars of the host may be
mixed in. `syncs` counts answers that the host waited for (a number, a bool, `nonzero`), `transfers` every copy between
the two by direction.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")  # a kind that PyTorch knows without a driver
aten = torch.ops.aten
MOVES = (aten._to_copy.default, aten.copy_.default)
ANSWERS = (aten._local_scalar_dense.default, aten.nonzero.default, aten.equal.default, aten.masked_select.default)


class OnDevice(Tensor):
    """A tensor of the simulated device; its values are in `held`."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        with torch.inference_mode(False):  # PyTorch makes no views of wrapped inference tensors
            made = torch.Tensor._make_wrapper_subclass(
                cls, held.shape, strides=held.stride(), dtype=held.dtype, device=DEVICE, requires_grad=False
            )
        made.held = held
        return made

    def __repr__(self) -> str:  # type: ignore[override]  # torch has no types here
        return f"OnDevice({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]  # as torch's own documentation writes it
        raise RuntimeError(f"{func}: the pretended device is left")


class PretendDevice(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self.syncs: Counter[str] = Counter()
        self.transfers: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        kwargs.pop("pin_memory", None)
        given, _ = tree_flatten((args, kwargs))
        tensors = [value for value in given if isinstance(value, Tensor)]
        there = [isinstance(tensor, OnDevice) for tensor in tensors]
        asked = kwargs.get("device")
        target = torch.device(asked).type == DEVICE.type if asked is not None else any(there)
        if func in MOVES:
            source = there[1] if func is aten.copy_.default else there[0]
            target = there[0] if func is aten.copy_.default else target if asked is not None else source
            if source != target:
                self.transfers["to the device" if target else "to the host"] += 1
        elif any(there) and not all(flag or tensor.dim() == 0 for flag, tensor in zip(there, tensors, strict=True)):
            raise RuntimeError(f"{func} mixes tensors of the device and of the host")
        if func in ANSWERS and any(there):
            self.syncs[str(func)] += 1
            target = target and func is not aten._local_scalar_dense.default
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        found = func(*tree_map(plain, args), **tree_map(plain, kwargs))
        if func is aten.copy_.default or str(func).split(".")[1].endswith("_"):
            return args[0]
        if not target:
            return found
        return tree_map(lambda value: OnDevice(value) if isinstance(value, Tensor) else value, found)


def plain(value: Any) -> Any:
    return value.held if isinstance(value, OnDevice) else value
