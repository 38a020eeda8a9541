"""A client that openapi-python-client generates from the document converts a song, using nothing else."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openapi_python_client", reason="needs openapi-python-client")

KINDS = "".join(
    f"  {kind}: application/octet-stream\n" for kind in ("audio/wav", "audio/flac", "audio/midi", "image/png")
)


@pytest.fixture(scope="module")
def generated(voice_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The generated package, imported."""
    folder = tmp_path_factory.mktemp("client")
    document = voice_site.client.get("/api/v1/openapi.json").json()
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "config.yaml").write_text(
        "post_hooks: []\npackage_name_override: svc_client\ncontent_type_overrides:\n" + KINDS
    )
    command = [str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--path", "openapi.json"]
    command += ["--output-path", "out", "--config", "config.yaml"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder / "out"))
    yield importlib.import_module("svc_client")
    sys.path.remove(str(folder / "out"))


def test_the_generated_client_goes_the_whole_way(generated: Any, voice_site: Any, song: Path) -> None:
    def call(tag: str, function: str, /, *given: Any, **more: Any) -> Any:
        module = importlib.import_module(f"svc_client.api.{tag}.{function}")
        answer = module.sync_detailed(*given, client=client, **more)
        assert answer.status_code < 300, answer.content
        return answer.parsed

    models = importlib.import_module("svc_client.models")
    client = generated.Client(base_url=voice_site.url, timeout=120)
    voice = call("voices", "list_voices")[0]
    assert voice.state == "ready"
    with song.open("rb") as file:
        body = importlib.import_module("svc_client.types").File(payload=file, file_name="a.flac")
        found = call("songs", "add_song", name="a.flac", body=body)
    until = time.monotonic() + 200
    while (found := call("songs", "get_song", found.id)).state == "analysing":
        assert time.monotonic() < until
        time.sleep(0.1)
    settings = models.TakeSettings(voice=voice.id, key=1.0)
    job = call("songs", "convert_song", found.id, body=models.ConvertRequest(settings=settings))
    while (job := call("jobs", "get_job", job.id)).state in ("queued", "running"):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert job.state == "done"
    takes = call("songs", "list_takes", found.id)
    assert {take.phrase for take in takes} == {phrase.index for phrase in found.phrases}
    job = call("songs", "export_song", found.id, body=models.ExportRequest(what="whole", format_="flac"))
    while (job := call("jobs", "get_job", job.id)).state in ("queued", "running"):
        time.sleep(0.1)
    result = call("results", "list_results", song=found.id)[0]
    assert call("results", "get_result", result.id).media == "audio/flac"
    data = client.get_httpx_client().get(f"/api/v1/results/{result.id}/file").content
    assert data[:4] == b"fLaC"
    with pytest.raises(AssertionError, match="not_found"):
        call("songs", "get_song", "0123456789ab")
