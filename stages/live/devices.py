"""Audio devices that record and play at once: those of the machine, and a simulated loopback."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from ...common.errors import UserError
from ...pipeline.frames import MEL_RATE
from ...pipeline.streaming.joins import Samples

Callback = Callable[[Samples], Samples]  # recorded samples (n,) -> samples to play (n,), at 44.1 kHz
BLOCK = 441  # samples, 10 ms

NO_LIBRARY = (
    "svc live needs sounddevice, which is not installed",
    "install it with: pip install 'svc[live]'; svc live --file song.wav needs no device",
)
NO_PORTAUDIO = (
    "svc live needs the PortAudio library, which cannot be loaded",
    "on Debian and Ubuntu: apt install libportaudio2; on Fedora: dnf install portaudio; svc live --file song.wav needs "
    "no device",
)


class Duplex(ABC):
    """A device that records and plays at once, on one clock. `name` is for messages."""

    name: str

    @abstractmethod
    def start(self, callback: Callback) -> None:
        """Begin to call `callback` with each block. Raises UserError where the device cannot be opened."""

    @abstractmethod
    def stop(self) -> None:
        """Stop. No call is in progress afterwards."""


class SimulatedLoopback(Duplex):
    """A simulated device: played sound is recorded `delay` samples later, as through a cable; in real time.

    Args:
        delay: a block at least.
        block: samples of a call.
        cpu_time: whether latency is measured with CPU time instead of elapsed time.
    """

    name = "a simulated loopback"

    def __init__(self, delay: int = BLOCK, block: int = BLOCK, cpu_time: bool = False):
        if delay < block:
            raise ValueError(f"a loopback's delay must be a block ({block} samples) at least, not {delay}")
        self.delay, self.block, self.cpu_time = delay, block, cpu_time
        self._cable = np.zeros(delay, np.float32)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, callback: Callback) -> None:
        self._thread = threading.Thread(target=self._run, args=(callback,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def cycle(self, callback: Callback) -> None:
        """One block: record it, call, play."""
        played = callback(self._cable[: self.block])
        self._cable = np.concatenate([self._cable[self.block :], played])

    def _run(self, callback: Callback) -> None:
        period = self.block / MEL_RATE
        due = time.monotonic() + period
        while not self._stop.is_set():
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self.cycle(callback)
            due += period


class SoundDevice(Duplex):
    """The machine's devices, through PortAudio (WASAPI, CoreAudio, ALSA, JACK).

    Args:
        recording, playing: a device's number or a part of its name; None is the system's default.
        block: samples between two calls; 0 leaves it to the device.
    """

    def __init__(self, recording: str | None = None, playing: str | None = None, block: int = 0):
        self._library = sounddevice()
        self._devices = tuple(_number_or_name(each) for each in (recording, playing))
        self._block = block
        self._stream: Any = None
        self.name = "PortAudio"

    def start(self, callback: Callback) -> None:
        def called(recorded: Any, played: Any, count: int, when: Any, status: Any) -> None:
            played[:] = callback(recorded[:, 0])[:, None]

        try:
            settings = tuple(self._extra(each, kind) for each, kind in zip(self._devices, KINDS, strict=True))
            self._stream = self._library.Stream(
                samplerate=MEL_RATE,
                blocksize=self._block,
                device=self._devices,
                channels=(1, 2),
                dtype="float32",
                latency="low",
                extra_settings=settings,
                callback=called,
            )
            self._stream.start()
        except (self._library.PortAudioError, ValueError) as error:
            raise UserError(
                f"no device can be opened that records and plays 44.1 kHz: {error}",
                "svc live --list names the devices; choose with --in and --out, by number or a part of the name",
            ) from error
        recording, playing = (1000 * seconds for seconds in self._stream.latency)
        self.name = f"PortAudio (it names {recording:.0f} ms for recording and {playing:.0f} ms for playing)"

    def stop(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def _extra(self, device: int | str | None, kind: str) -> Any:
        """WASAPI resamples only on request."""
        found = self._library.query_devices(device, kind)
        api = self._library.query_hostapis(found["hostapi"])["name"]
        return self._library.WasapiSettings(auto_convert=True) if "WASAPI" in api else None


KINDS = ("input", "output")


def sounddevice() -> Any:
    """The sounddevice module. Raises UserError where it or PortAudio is not installed."""
    try:
        import sounddevice as library
    except ImportError as error:
        raise UserError(*NO_LIBRARY) from error
    except OSError as error:
        raise UserError(*NO_PORTAUDIO) from error
    return library


def device_lines() -> list[str]:
    """The machine's devices, a line each: number, name, what it does. Raises UserError where there is none."""
    library = sounddevice()
    apis = library.query_hostapis()
    lines = [
        f"{number:3d}  {device['name']} ({apis[device['hostapi']]['name']}): {device['max_input_channels']} in, "
        f"{device['max_output_channels']} out, {device['default_samplerate']:.0f} Hz"
        for number, device in enumerate(library.query_devices())
    ]
    if not lines:
        raise UserError("PortAudio finds no audio device", "plug one in, or convert a file: svc live --file song.wav")
    return lines


def _number_or_name(device: str | None) -> int | str | None:
    return int(device) if device is not None and device.isdigit() else device
