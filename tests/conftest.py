"""Fixtures of all tests: the audio beside the project, and a corpus, store and run made once a session."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from svc.stages.settings import TrainSettings

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may request a hub
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="svc-cache-")  # hashes of test files

MadeOnce = Callable[[str, Callable[[Path], object]], Path]
SHARED = Path(__file__).parents[1].parent / "shared"


# Files of a few long tests. They begin first: begun last, one would run alone at the end.
LONGEST = [
    *("test_kills.py", "test_object_store.py", "test_demo.py", "test_newcomer.py", "test_page.py", "test_api.py"),
    *("test_cluster.py", "test_notebook.py", "test_distributed.py", "test_compare.py", "test_openapi_client.py"),
    *("test_soft_passages.py", "test_mistakes.py", "test_cli.py", "test_mini.py", "test_render.py", "test_train.py"),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the others in their order."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recordings and reference cases that lie beside the project; tests that need them are skipped without."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: its recordings and reference fixtures cannot be checked against")
    return SHARED


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """A path that is written once a session: by the first of pytest-xdist's processes; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def get(name: str, make: Callable[[Path], object]) -> Path:
        path = base / "made-once" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path.parent}.lock"):
            done = path.parent / "done"
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)  # of one that failed half-way
                make(path)
                done.touch()
        return path

    return get


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, str]]:
    """The sha256 of every file of a store by its path, except the lock and the report of a run."""

    def read(root: Path) -> dict[str, str]:
        files = [path for path in root.rglob("*") if path.is_file() and path.name not in ("lock", "report.json")]
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in files}

    return read


@pytest.fixture(scope="session")
def save_encoder() -> Callable[..., None]:
    """Saves a small HubertModel with random weights in the form of a hub download; it does not encode words."""
    import torch
    from transformers import HubertConfig, HubertModel
    from transformers.utils.logging import disable_progress_bar

    def save(folder: Path, seed: int = 0) -> None:
        torch.manual_seed(seed)
        config = HubertConfig(
            hidden_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=512,
            conv_dim=[96] * 7,
            num_conv_pos_embeddings=32,
            num_conv_pos_embedding_groups=8,
        )
        disable_progress_bar()
        HubertModel(config).save_pretrained(folder)

    return save


@pytest.fixture(scope="session")
def encoder(made_once: MadeOnce, save_encoder: Callable[..., None]) -> Path:
    """A small HubertModel with random weights, saved as from the hub."""
    return made_once("encoder/hubert", save_encoder)


@pytest.fixture(scope="session")
def corpus(made_once: MadeOnce) -> Path:
    """Two synthetic voices, five phrases of 2 to 4 s each."""
    from svc.data.singers.harmonic import VOICES, practice, sing
    from svc.pipeline import audio

    def make(root: Path) -> None:
        for voice in VOICES:
            (root / voice.name).mkdir(parents=True)
            for number in range(5):
                wav, _ = sing(practice(voice, 2.0 + number / 2, number), voice, number)
                audio.write(root / voice.name / f"phrase_{number}.wav", wav)

    return made_once("corpora/choir", make)


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short song by the first voice, with a silence in it, at 48 kHz."""
    import soundfile
    import soxr
    from svc.data.singers.harmonic import VOICES, ode_to_joy, sing

    path = tmp_path_factory.mktemp("songs") / "노래 song.flac"
    wav, _ = sing(ode_to_joy(62)[:24], VOICES[0], 5)
    soundfile.write(path, soxr.resample(wav, 44_100, 48_000)[:-7], 48_000)
    return path


@pytest.fixture(scope="session")
def store(made_once: MadeOnce, corpus: Path, encoder: Path) -> Path:
    """The corpus, extracted. Only for reading: a test that changes it copies it."""
    from svc.stages.extraction.extract import extract
    from svc.stages.settings import ExtractSettings

    return made_once("stores/choir.zarr", lambda path: extract([corpus], path, ExtractSettings(encoder=str(encoder))))


@pytest.fixture(scope="session")
def train_settings() -> TrainSettings:
    """The tiny preset, cut down to seconds."""
    from svc.pipeline.diffusion.shape import Architecture
    from svc.stages.settings import PRESETS

    return dataclasses.replace(
        PRESETS["tiny"],
        architecture=Architecture(condition=64, channels=64, layers=3, decoder_layers=2),
        codes=20,
        unit_steps=60,
        steps=60,
        batch=4,
        crop_seconds=0.8,
        validate_every=20,
    )


@pytest.fixture(scope="session")
def run(made_once: MadeOnce, store: Path, train_settings: TrainSettings) -> Path:
    """A voice trained on the store for seconds.

    Only for reading; since evaluations are written into it, each process has a copy.
    """
    from svc.stages.training.train import train

    made = made_once("runs/choir", lambda path: train([store], path, train_settings))
    # At the same depth, since the path of its store is relative.
    copies = made.parents[1] / f"runs-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    return shutil.copytree(made, copies / "choir")


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The URL of a bucket on a local S3 server, set in the environment."""
    pytest.importorskip("s3fs", reason="S3 needs s3fs: pip install 's3fs'")
    server = pytest.importorskip("moto.server", reason="an S3 to test with needs moto: pip install 'moto[server]'")
    boto3 = pytest.importorskip("boto3")

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    with pytest.MonkeyPatch.context() as patched:
        host, port = running.get_host_and_port()
        patched.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "testing")
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield "s3://bucket"
    running.stop()


COUNTED = "tries", "lost", "torn", "found", "repaired"


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Counts the effects of faults, such as tally("kill -9", tries=1, lost=0, torn=0); printed as a table."""
    table: dict[str, Counter[str]] = request.config.stash.setdefault(TALLY, {})

    def count(fault: str, **counts: int) -> None:
        assert counts.keys() <= set(COUNTED)
        table.setdefault(fault, Counter()).update(counts)

    return count


TALLY = pytest.StashKey[dict[str, "Counter[str]"]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if table := config.stash.get(TALLY, {}):
        terminalreporter.section("faults")
        terminalreporter.line(f"{'fault':60}" + "".join(f"{name:>10}" for name in COUNTED))
        for fault, counts in table.items():
            cells = [str(counts[name]) if name in counts else "-" for name in COUNTED]
            terminalreporter.line(f"{fault:60}" + "".join(f"{cell:>10}" for cell in cells))
