"""All kinds of store columns. A new feature is a class in a file of its own, and one line here."""

from __future__ import annotations

from .content import HiddenState, SoftUnits
from .feature import Feature, FeatureRequest
from .signal import F0, Loudness, Mel, Mel2ph

FEATURES: list[type[Feature]] = [
    HiddenState,
    SoftUnits,
    Mel,
    Loudness,
    Mel2ph,
    F0,
]


def feature_named(name: str) -> Feature | None:
    """The feature of a column's name, or None if no kind has such a column."""
    return next((feature for kind in FEATURES if (feature := kind.parse(name))), None)


def wanted_features(request: FeatureRequest) -> list[Feature]:
    """All columns that a store should have.

    Raises:
        EncoderError: the encoder has no such layer, or no soft head.
        KeyError: a column requested by name is of no known kind; the key is the name.
    """
    for name in request.names:
        if feature_named(name) is None:
            raise KeyError(name)
    return [feature for kind in FEATURES for feature in kind.wanted(request)]
