"""One frozen dataclass of settings for each command, checked when it is made, saved beside the results."""

from ...pipeline.pitch.settings import PitchSettings
from ...pipeline.slicing import SliceSettings
from .choice import chosen_training, chosen_vocoder
from .extract import ExtractSettings
from .render import ConversionSettings, OutputSettings, RenderSettings
from .train import AUTO_BASE, NO_BASE, PRESETS, UNITS_BY_ENCODER, TrainSettings
from .train_vocoder import VOCODER_PRESETS, VocoderSettings

__all__ = [
    "AUTO_BASE",
    "NO_BASE",
    "PRESETS",
    "UNITS_BY_ENCODER",
    "VOCODER_PRESETS",
    "ConversionSettings",
    "ExtractSettings",
    "OutputSettings",
    "PitchSettings",
    "RenderSettings",
    "SliceSettings",
    "TrainSettings",
    "VocoderSettings",
    "chosen_training",
    "chosen_vocoder",
]
