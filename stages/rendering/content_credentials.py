"""Content Credentials: a signed statement inside a file that its voice is synthetic, and what made it.

C2PA 2 manifests by c2pa-python (MIT/Apache-2.0, an optional extra), signed with the user's own certificate. Nothing is
signed unless `SVC_C2PA_CERTIFICATE` and `SVC_C2PA_KEY` name PEM files: a chain of certificates, and its ES256 key.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ... import __version__
from ...common.errors import UserError

CERTIFICATE, KEY = "SVC_C2PA_CERTIFICATE", "SVC_C2PA_KEY"
MEDIA = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg"}  # what c2pa writes into
SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def wanted() -> bool:
    """Whether the environment names a certificate."""
    return bool(os.environ.get(CERTIFICATE) and os.environ.get(KEY))


def manifest(title: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The statement: created by a trained algorithm, with the software that made it."""
    action = {
        "action": "c2pa.created",
        "digitalSourceType": SYNTHETIC,
        "softwareAgent": {"name": "svc", "version": __version__},
    }
    return {
        "claim_generator_info": [{"name": "svc", "version": __version__}],
        "title": title,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": "org.svc.conversion", "data": json.loads(json.dumps(about))},
        ],
    }


def sign(file: IO[bytes], suffix: str, title: str, about: Mapping[str, Any]) -> bool:
    """Sign an open file in place, if a certificate is set and its format can hold the signature; returns whether it was
    signed.

    Raises:
        UserError: c2pa-python is missing, or the certificate and key cannot be used.
    """
    if not wanted() or suffix not in MEDIA:
        return False
    try:
        import c2pa
    except ImportError as error:
        raise UserError(f"{CERTIFICATE} is set and c2pa-python is missing", "pip install 'svc[c2pa]'") from error
    try:
        chain, key = (Path(os.environ[name]).read_bytes() for name in (CERTIFICATE, KEY))
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key, None))
        builder = c2pa.Builder(manifest(title, about))
        with tempfile.TemporaryFile() as signed:
            file.seek(0)
            builder.sign(signer, MEDIA[suffix], file, signed)
            for each in (file, signed):
                each.seek(0)
            file.truncate()
            shutil.copyfileobj(signed, file)
    except (OSError, c2pa.C2paError) as error:
        raise UserError(f"the result cannot be signed with {os.environ[CERTIFICATE]}: {error}") from error
    return True
