"""The forward proxy of the explicit mode, and the servers that it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .pki import Pair
from .process import Process
from .proxy import Proxy, free_port
from .wire import Connection, connect_plain

APP = Path(__file__).resolve().parent / "app.py"


class Servers:
    """TLS servers on loopback: HTTP, an echo and one that speaks first. Those with `client_ca` want a certificate."""

    def __init__(self, home: Path, pair: Pair, client_ca: Path | None = None):
        pair.write(home)
        command = [
            sys.executable, str(APP), "--tls", "0", "--tls-echo", "0", "--tls-banner", "0",
            "--certificate", str(home / "tls.crt"), "--key", str(home / "tls.key")]
        self.process = Process(command + (["--client-ca", str(client_ca)] if client_ca else []), home / "servers")
        self.ports: dict[str, int] = json.loads(self.process.wait_for_line("tls"))
        self.http, self.echo, self.banner = (self.ports[name] for name in ("tls", "tls-echo", "tls-banner"))

    def stop(self) -> None:
        self.process.stop()


class ForwardProxy:
    """A sidecar that is asked by name: OUTBOUND_PROXY_PORT."""

    def __init__(self, start: Callable[..., Proxy], **settings: str):
        self.port = free_port()
        self.proxy = start(**{"OUTBOUND_PROXY_PORT": str(self.port)} | settings)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, seconds: float = 10) -> Connection:
        return connect_plain(("127.0.0.1", self.port), seconds)

    def tunnel(self, authority: str, early: bytes = b"", seconds: float = 10) -> Connection:
        """A connection behind a CONNECT that was granted."""
        client = self.connect(seconds)
        client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode() + early)
        answer = client.head()
        assert answer.status == 200, answer
        assert answer.headers == [], "an answer to CONNECT describes no body (RFC 9110 section 9.3.6)"
        return client

    def curl(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["curl", "-sS", "--noproxy", "", "-x", self.url, "--max-time", "10", *arguments],
            capture_output=True, text=True, timeout=15)
