"""Settings of `svc ui`: its address and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

MIB, GIB = 2**20, 2**30
LOOPBACK_NAMES = frozenset(["localhost", "127.0.0.1", "::1"])


@dataclass(frozen=True)
class ServerSettings:
    """How `svc ui` serves, and what it allows.

    Attributes:
        home: the folder whose stores, runs, songs and results are shown, and in which everything is written.
        host, port: the address to listen on.
        token: what a client must present; None only on a loopback address.
        allowed_hosts: names that a Host header may hold beside the address itself.
        upload_bytes: largest upload.
        form_bytes: largest body of any other request.
        song_seconds, recording_seconds: longest audio that a worker decodes.
        recordings: most recordings of one voice.
        songs: most songs kept.
        uploads: uploads at once; more are refused.
        jobs: jobs that wait or run at once; more are refused.
        streams: event streams at once.
        idle_seconds: an upload that sends nothing for so long is dropped.
        worker_bytes: resident memory at which a worker is ended.
        spare_bytes: free disk below which nothing is accepted.
        warm: whether a worker loads its libraries before there is work.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    upload_bytes: int = GIB
    form_bytes: int = 4 * MIB
    song_seconds: float = 1_800.0
    recording_seconds: float = 14_400.0
    recordings: int = 2_000
    songs: int = 500
    uploads: int = 8
    jobs: int = 64
    streams: int = 64
    idle_seconds: float = 20.0
    worker_bytes: int = 8 * GIB
    spare_bytes: int = 200 * MIB
    warm: bool = True

    def __post_init__(self) -> None:
        if not self.loopback and not self.token:
            raise ValueError(f"host {self.host} can be reached by other machines and needs a token")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"a port is a number from 0 to 65535, not {self.port}")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK_NAMES

    def host_is_allowed(self, name: str) -> bool:
        """Whether a request may name this host: a guard against DNS rebinding, which always comes under a name.

        On a loopback address only the loopback names are; elsewhere also every IP address, the host that was given, and
        `allowed_hosts`.
        """
        name = name.lower().rstrip(".")
        if name in LOOPBACK_NAMES or name in self.allowed_hosts:
            return True
        if self.loopback:
            return False
        try:
            ip_address(name)
        except ValueError:
            return name == self.host.lower()
        return True
