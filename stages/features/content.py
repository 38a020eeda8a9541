"""Columns that the content encoder computes: hidden states, and the units of a soft head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...common.column_names import SOFT, hidden_column, parse_hidden
from ...pipeline import formant_shift as formants
from ...pipeline import frames
from ...pipeline.checkpoints.fingerprint import weights_hash
from ...pipeline.encoder.content import ContentEncoder
from ...pipeline.encoder.network import EncoderError
from ...store.schema import UNIT
from .feature import ALGORITHM, EncoderInfo, Feature, FeatureRequest, FeatureSettings, UtteranceInput


@dataclass(frozen=True)
class HiddenState(Feature):
    """`hidden/12`: hidden states of a layer. `hidden_up4/12`: the same, of the audio with its formants moved."""

    layer: int
    shift: int = 0  # of formants, in semitones

    axis, dtype, unit = UNIT, "float16", "1"
    sample_rate = frames.CONTENT_RATE
    needs_encoder = True

    @classmethod
    def parse(cls, name: str) -> Self | None:
        found = parse_hidden(name)
        return None if found is None else cls(*found)

    @property
    def name(self) -> str:
        return hidden_column(self.layer, self.shift)

    @property
    def formant_shift(self) -> int:
        return self.shift

    @classmethod
    def wanted(cls, request: FeatureRequest) -> Iterable[Self]:
        """The stored layers, the requested ones, or the defaults; shifted columns of the highest.

        Raises EncoderError when the encoder has no such layer.
        """
        known = {found for name in request.known if (found := cls.parse(name))}
        asked = {found for name in request.names if (found := cls.parse(name))}
        # Before all columns were described, a stopped run may have left only some of the defaults.
        defaults = () if known and request.settled else request.default_layers
        layers = {feature.layer for feature in known | asked} | set(request.layers or defaults)
        if wrong := [layer for layer in layers if not 0 <= layer <= request.encoder_layers]:
            raise EncoderError(f"the encoder has no layer {wrong[0]}: it has layers 0 to {request.encoder_layers}")
        shifted = {feature for feature in known | asked if feature.shift}
        shifts = {feature.shift for feature in shifted} | set(request.formant_shifts)
        shifted |= {cls(max(layers), shift) for shift in shifts}
        ordered = sorted(shifted, key=lambda feature: (feature.shift, feature.layer))
        return [*(cls(layer) for layer in sorted(layers)), *ordered]

    def layers(self, encoder_layers: int) -> tuple[int, ...]:
        return (self.layer,)

    def width(self, made: FeatureSettings) -> int:
        return int(made.encoder.description["hidden_size"])

    def settings(self, made: FeatureSettings) -> dict[str, Any]:
        moved = {"formants": {**formants.SETTINGS, "semitones": self.shift}} if self.shift else {}
        return {**_encoder_settings(made.encoder), "layer": self.layer, **moved}

    def compute(self, utterance: UtteranceInput) -> NDArray[np.float16]:
        assert utterance.encoded is not None
        return _checked(utterance.encoded.states[self.layer])


@dataclass(frozen=True)
class SoftUnits(Feature):
    """`soft`: the units of an encoder that comes with a soft head; every store made with such an encoder has it."""

    NAME = SOFT
    axis, dtype, unit = UNIT, "float16", "1"
    sample_rate = frames.CONTENT_RATE
    needs_encoder = needs_units = True

    @classmethod
    def wanted(cls, request: FeatureRequest) -> Iterable[Self]:
        if SOFT in request.names and not request.has_soft_head:
            raise EncoderError("the encoder has no soft head, so there is no column `soft`; take hubert-soft")
        return [cls()] if request.has_soft_head else []

    def width(self, made: FeatureSettings) -> int:
        return int(_head(made.encoder)["width"])

    def settings(self, made: FeatureSettings) -> dict[str, Any]:
        return {**_encoder_settings(made.encoder), "head": _head(made.encoder)}

    def compute(self, utterance: UtteranceInput) -> NDArray[np.float16]:
        assert utterance.encoded is not None
        assert utterance.encoded.units is not None
        return _checked(utterance.encoded.units)


def _checked(values: Tensor) -> NDArray[np.float16]:
    """The encoder's output, as it is stored. The encoder has checked that it is finite; the store checks again."""
    stored: NDArray[np.float16] = values.numpy()
    return stored


def describe_encoder(content: ContentEncoder) -> EncoderInfo:
    """A store's record of a loaded encoder."""
    head = None
    if content.head is not None:
        head = {"kind": "hubert-soft", "sha256": weights_hash(content.head), "width": content.head.unit_dim}
    return EncoderInfo(content.describe(), content.origin, content.precision, head)


def _head(encoder: EncoderInfo) -> dict[str, Any]:
    assert encoder.head is not None
    return encoder.head


def _encoder_settings(encoder: EncoderInfo) -> dict[str, Any]:
    return {"encoder": encoder.description, "precision": encoder.precision, "algorithm": ALGORITHM}
