"""Batches that are read ahead, and the time that training still waited for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from .crops import Tensors

THREADS = 2  # reading threads; they release Python's lock most of the time
AHEAD = 6  # batches


class Loader:
    """The batches of steps [start, stop), in order. `waited` is the seconds spent waiting for them."""

    def __init__(self, read: Callable[[int], Tensors], start: int, stop: int):
        self.read, self.start, self.stop = read, start, stop
        self.waited = 0.0

    def __iter__(self) -> Iterator[Tensors]:
        with ThreadPoolExecutor(THREADS, "read") as pool:
            ahead: deque[Future[Tensors]] = deque()
            try:
                for step in range(self.start, self.stop):
                    while len(ahead) < AHEAD and step + len(ahead) < self.stop:
                        ahead.append(pool.submit(self.read, step + len(ahead)))
                    begun = time.perf_counter()
                    tensors = ahead.popleft().result()
                    self.waited += time.perf_counter() - begun
                    yield tensors
            finally:
                for left in ahead:
                    left.cancel()
