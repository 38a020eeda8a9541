"""The origin in result files: tags in every format, and signed Content Credentials."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from svc.common.errors import UserError
from svc.stages.rendering import content_credentials, provenance
from svc.stages.rendering.formats import FORMATS

ABOUT = {"run_sha256": "ab" * 32, "step": 600, "speaker": "안나", "key": -2.0}


@pytest.mark.parametrize("suffix", FORMATS)
def test_tags_are_in_every_format(tmp_path: Path, suffix: str) -> None:
    form, depths = FORMATS[suffix]
    path = tmp_path / f"a{suffix}"
    with soundfile.SoundFile(path, "w", 44_100, 1, next(iter(depths.values())), format=form) as file:
        provenance.tag(file, ABOUT, "a title")
        file.write(np.zeros(44_100, np.float32))
    said = provenance.read(path)
    assert said["synthetic"] is True
    assert {name: said[name] for name in ABOUT} == ABOUT
    assert soundfile.info(path).duration == pytest.approx(1, abs=0.1)


def test_a_file_of_others_says_nothing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 44_100)
    assert provenance.read(tmp_path / "a.wav") == {}


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate authority of our own, and a certificate that it signed, as C2PA wants them."""
    extension = tmp_path / "leaf.ext"
    extension.write_text(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=emailProtection\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)

    curve = ("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out")
    openssl(*curve, "ca.key")
    openssl(
        "req", "-x509", "-new", "-key", "ca.key", "-subj", "/O=svc tests/CN=svc test CA", "-days", "3", "-out", "ca.pem"
    )
    openssl(*curve, "leaf.ec")
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", "leaf.ec", "-out", "leaf.key")
    openssl("req", "-new", "-key", "leaf.key", "-subj", "/O=svc tests/CN=a singer", "-out", "leaf.csr")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "leaf.ext")
    openssl("x509", "-req", "-in", "leaf.csr", *signed, "-out", "leaf.pem")
    (tmp_path / "chain.pem").write_text((tmp_path / "leaf.pem").read_text() + (tmp_path / "ca.pem").read_text())
    monkeypatch.setenv(content_credentials.CERTIFICATE, str(tmp_path / "chain.pem"))
    monkeypatch.setenv(content_credentials.KEY, str(tmp_path / "leaf.key"))


@pytest.mark.usefixtures("certificate")
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
def test_content_credentials_are_signed(tmp_path: Path, suffix: str) -> None:
    c2pa = pytest.importorskip("c2pa", reason="signing needs c2pa-python: pip install 'svc[c2pa]'")
    form, depths = FORMATS[suffix]
    path = tmp_path / f"a{suffix}"
    wav = np.random.default_rng(0).uniform(-0.1, 0.1, 44_100).astype(np.float32)
    with soundfile.SoundFile(path, "w", 44_100, 1, next(iter(depths.values())), format=form) as file:
        file.write(wav)
    before, _ = soundfile.read(path)
    with path.open("r+b") as written:
        assert content_credentials.sign(written, suffix, "a song", ABOUT)
    after, _ = soundfile.read(path)
    assert np.array_equal(before, after)
    with path.open("rb") as stream:
        read = json.loads(c2pa.Reader(content_credentials.MEDIA[suffix], stream).json())
    found = read["manifests"][read["active_manifest"]]
    labels = {one["label"]: one["data"] for one in found["assertions"]}
    assert labels["org.svc.conversion"]["speaker"] == "안나"
    assert "trainedAlgorithmicMedia" in json.dumps(labels)
    wrong = {one["code"] for one in read.get("validation_status", [])}
    assert wrong <= {"signingCredential.untrusted"}  # our test authority is not on a list of trust


def test_nothing_is_signed_unless_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not content_credentials.sign(io.BytesIO(b"sound"), ".wav", "", {})
    pytest.importorskip("c2pa")
    monkeypatch.setenv(content_credentials.CERTIFICATE, str(tmp_path / "none.pem"))
    monkeypatch.setenv(content_credentials.KEY, str(tmp_path / "none.key"))
    soundfile.write(tmp_path / "a.wav", np.zeros(1_000), 44_100)
    with (tmp_path / "a.wav").open("r+b") as file, pytest.raises(UserError, match="cannot be signed"):
        content_credentials.sign(file, ".wav", "", {})
