"""The sidecar in explicit mode: on loopback, without any privilege."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from . import monitor
from .pki import Authority, Pair
from .process import Process, wait_until
from .wire import Connection, client_context, connect_plain, connect_tls

REPOSITORY = Path(__file__).resolve().parents[3]


def sidecar_binary() -> Path | None:
    """What SIDECAR_BIN names, else the release build of this tree."""
    path = Path(os.environ.get("SIDECAR_BIN", REPOSITORY / ".build/release/sidecar"))
    return path.resolve() if os.access(path, os.X_OK) else None


def shared_binary(directory: Path) -> Path | None:
    """A copy that any user may run: the build directory may be closed to them."""
    source = sidecar_binary()
    if source is None:
        return None
    copy = directory / "sidecar"
    if not copy.exists():
        shutil.copy(source, copy)
        copy.chmod(0o755)
    return copy


given_ports: set[int] = set()


def free_port() -> int:
    """Never the same twice: the kernel may give a port again before anybody listens on it."""
    while True:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
            port = probe.getsockname()[1]
        if port not in given_ports:
            given_ports.add(port)
            return port


def bare_environment() -> dict[str, str]:
    """Nothing of the machine's own settings may reach the sidecar."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ}


class Identities:
    """A CA and the directories of docs/certificates.md that a sidecar and its clients need."""

    def __init__(self, directory: Path, *, server: Pair | None = None):
        self.directory = directory
        self.authority = Authority()
        self.stranger = Authority("Stranger CA")
        self.ca_directory = self.authority.write(directory / "ca")
        self.server_directory = (server or self.authority.server()).write(directory / "server")
        self.client_directory = self.authority.client("sidecar-client").write(directory / "sidecar-client")
        self.caller = self.authority.client("caller", uris=("spiffe://test/caller",))
        self.caller_directory = self.caller.write(directory / "caller")

    @property
    def ca_file(self) -> Path:
        return self.ca_directory / "ca.crt"

    def write(self, name: str, pair: Pair) -> Path:
        return pair.write(self.directory / name)


class Proxy:
    """One running `sidecar run`."""

    def __init__(self, binary: Path, identities: Identities, directory: Path, upstream_port: int, **settings: str):
        self.identities = identities
        self.port, self.monitor_port = free_port(), free_port()
        environment = bare_environment() | {
            "TLS_LISTEN_PORT": str(self.port),
            "UPSTREAM_URL": f"http://127.0.0.1:{upstream_port}",
            "SERVER_CERT_DIR": str(identities.server_directory),
            "CLIENT_CERT_DIR": str(identities.client_directory),
            "CA_DIR": str(identities.ca_directory),
            "MONITOR_PORT": str(self.monitor_port),
            "SHUTDOWN_TIMEOUT_SECS": "10",
        } | settings
        self.process = Process([str(binary), "run"], directory / f"sidecar-{self.port}", environment)

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def wait_ready(self) -> "Proxy":
        def ready() -> bool:
            if not self.process.is_running:
                raise AssertionError(f"sidecar ended:\n{self.process.output_tail()}")
            return self.monitor("/ready")[0] == 200

        wait_until(ready, f"/ready answers 200; {self.process.output_tail()}")
        return self

    def monitor(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Status and text of the monitor port; status 0 when nobody listens."""
        return monitor.ask("127.0.0.1", self.monitor_port, path, method)

    def connect(self, pair: Path | None = None, *, seconds: float = 10, **context: object) -> Connection:
        """mTLS as the good caller, or as whoever `pair` says."""
        directory = pair or self.identities.caller_directory
        return connect_tls(self.address, client_context(self.identities.ca_file, directory, **context), seconds=seconds)

    def connect_without_certificate(self) -> Connection:
        return connect_tls(self.address, client_context(self.identities.ca_file, None))

    def connect_plain(self) -> Connection:
        return connect_plain(self.address)

    def stop(self) -> None:
        self.process.stop()


def run_once(
    binary: Path, arguments: list[str], settings: dict[str, str], seconds: float = 10,
) -> subprocess.CompletedProcess:
    """A command that is expected to end by itself."""
    return subprocess.run(
        [str(binary), *arguments], env=bare_environment() | settings, capture_output=True, text=True, timeout=seconds)
