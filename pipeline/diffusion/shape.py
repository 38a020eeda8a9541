"""The sizes of an acoustic model: those that a user chooses, and those that follow from the data."""

from __future__ import annotations

from dataclasses import dataclass, field

NOISE_STEPS = 1_000  # between mel and noise: the scale of every noise step, and of --k-step
DENOISERS = ("wavenet", "lynxnet2")
MAX_WIDTH = 65_536  # of anything: a larger number is a mistake, or an attempt to exhaust memory
MAX_LAYERS = 1_000


@dataclass(frozen=True)
class Architecture:
    """The sizes that a preset or a user chooses.

    Attributes:
        condition: channels of the condition.
        denoiser: `wavenet` or `lynxnet2`.
        channels: width of the denoiser.
        layers: blocks of the denoiser.
        dilation_cycle: block i of a WaveNet has dilation 2 ** (i % dilation_cycle).
        decoder_layers: ConvNeXt blocks of the auxiliary decoder; 0: the model has no auxiliary decoder.
        decoder_channels: width of the auxiliary decoder.
    """

    condition: int = 192
    denoiser: str = "wavenet"
    channels: int = 192
    layers: int = 6
    dilation_cycle: int = 4
    decoder_layers: int = 0
    decoder_channels: int = 192

    def __post_init__(self) -> None:
        if self.denoiser not in DENOISERS:
            raise ValueError(f"denoiser {self.denoiser!r} is not known; choose {', '.join(DENOISERS)}")
        for name, least, most in (
            ("condition", 1, MAX_WIDTH),
            ("channels", 1, MAX_WIDTH),
            ("layers", 1, MAX_LAYERS),
            ("dilation_cycle", 1, 16),
            ("decoder_layers", 0, MAX_LAYERS),
            ("decoder_channels", 1, MAX_WIDTH),
        ):
            check_size(name, getattr(self, name), least, most)


@dataclass(frozen=True)
class ModelShape:
    """All widths of an acoustic model: its weights' shapes follow from these.

    Attributes:
        unit_dim: width of the units that come in.
        speakers: number of speakers.
        bins: mel bins.
        projected: width of a linear layer on the units that is trained with the model; 0: there is none.
        architecture: the sizes that were chosen.
    """

    unit_dim: int
    speakers: int
    bins: int
    projected: int = 0
    architecture: Architecture = field(default_factory=Architecture)

    def __post_init__(self) -> None:
        check_size("unit_dim", self.unit_dim, 1, MAX_WIDTH)
        check_size("speakers", self.speakers, 1, 1_000_000)
        check_size("bins", self.bins, 1, MAX_WIDTH)
        check_size("projected", self.projected, 0, MAX_WIDTH)


def check_size(name: str, value: int, least: int, most: int) -> None:
    """Raises ValueError unless `least` <= `value` <= `most`."""
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, not {value}")
