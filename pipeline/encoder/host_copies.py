"""Copies from a device to the host that do not delay the device's next work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

AHEAD = 2  # batches whose copies may be in progress at once; more would only use memory

Finish = Callable[[], list[Tensor]]


class HostCopies:
    """Copies from one device to the host.

    From a CUDA device they go to pinned memory on a stream of their own; from any other the host waits for each. On a
    CPU nothing is copied.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self._lock = threading.Lock()
        self._stream: torch.cuda.Stream | None = None
        self._under_way: deque[torch.cuda.Event] = deque()

    def start(self, tensors: Sequence[Tensor]) -> Finish:
        """Begin to copy tensors of the device, of any shape and dtype.

        Returns:
            A function that waits for the copies and returns them, in the same order. Tensors that are on the CPU
            already are returned themselves.
        """
        if self.device.type != "cuda":
            return lambda: [tensor.cpu() for tensor in tensors]
        with self._lock:
            if self._stream is None:
                self._stream = torch.cuda.Stream(self.device)
            while len(self._under_way) >= AHEAD:
                self._under_way.popleft().synchronize()
            stream = self._stream
            stream.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(stream):
                here = [torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in tensors]
                for target, tensor in zip(here, tensors, strict=True):
                    target.copy_(tensor, non_blocking=True)
                    tensor.record_stream(stream)
                event = torch.cuda.Event()
                event.record(stream)
            self._under_way.append(event)

        def finish() -> list[Tensor]:
            event.synchronize()
            return here

        return finish
