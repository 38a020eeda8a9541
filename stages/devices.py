"""The defaults of device, precision and preset."""

from __future__ import annotations

import torch

from ..common.errors import UserError


def pick_precision(name: str, device: str) -> str:
    """`auto` becomes bf16 if the device supports it in hardware, else fp32."""
    if name != "auto":
        return name
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    can = torch.cpu.get_capabilities() if device == "cpu" else {}
    return "bf16" if can.get("amx_bf16") or can.get("avx512_bf16") else "fp32"


def pick_device(name: str) -> str:
    """`auto` becomes the GPU where there is one. Raises UserError for a device that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device {name!r} cannot be used here: {reason}; try --device auto or cpu") from error
    return name


def pick_preset(device: str) -> str:
    """The preset that a device trains in a reasonable time."""
    return "base" if pick_device(device).startswith("cuda") else "tiny"
