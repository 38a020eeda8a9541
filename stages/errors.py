"""What stops a command."""


class UserError(Exception):
    """The user's mistake, said in one clear message. Exit code 2."""


def is_for_the_user(error: Exception) -> bool:
    """Whether an error's message is meant for the user, and a traceback would only hide it."""
    from ..pipeline.audio import AudioError
    from ..pipeline.encoder.encoders import EncoderError
    from ..pipeline.pitch.swift_f0 import MissingLibraryError
    from ..pipeline.vocoder.vocoder import VocoderError
    from ..store import StoreError

    shown = UserError | StoreError | AudioError | EncoderError | VocoderError | MissingLibraryError | OSError
    return isinstance(error, shown)
