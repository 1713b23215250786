"""Two pods that talk through their sidecars, and one that has none."""

from __future__ import annotations

from pathlib import Path

from .pki import Authority, Pair
from .pod import Network, Pod
from .process import Process

HTTP, ECHO, BANNER, EOF, TLS = 8000, 7000, 7001, 7002, 8443
ALL_PORTS = ("--http", str(HTTP), "--echo", str(ECHO), "--banner", str(BANNER), "--eof", str(EOF))


class PodPair:
    """Pods `a` and `b` with applications and sidecars, `stranger` with neither."""

    def __init__(self, scratch: Path, binary: Path):
        self.binary, self.scratch = binary, scratch
        self.network = Network(scratch)
        self.authority = Authority()
        self.other_authority = Authority("Other CA")
        self.ca_directory = self.authority.write(scratch / f"{self.network.prefix}-ca")
        try:
            self.a, self.b, self.stranger = (self.network.add_pod(name) for name in ("a", "b", "stranger"))
        except BaseException:
            self.network.remove()
            raise

    @property
    def ca_file(self) -> Path:
        return self.ca_directory / "ca.crt"

    def write(self, name: str, pair: Pair) -> Path:
        return pair.write(self.scratch / f"{self.network.prefix}-{name}")

    def identity(self, pod: Pod, **fields: object) -> Path:
        """A pair for both directions with the pod's names."""
        fields.setdefault("dns", (f"{pod.name}.test",))
        fields.setdefault("addresses", pod.addresses)
        fields.setdefault("uris", (f"spiffe://test/{pod.name}",))
        return self.write(pod.name, self.authority.issue(pod.name, **fields))

    def start(self, pod: Pod, pair: Path | None = None, **settings: str) -> Process:
        """The applications and the sidecar of one pod."""
        home = pair or self.identity(pod)
        pod.start_app(*ALL_PORTS)
        return pod.start_sidecar(
            self.binary, {"SERVER_CERT_DIR": home, "CLIENT_CERT_DIR": home, "CA_DIR": self.ca_directory}, **settings)

    def remove(self) -> None:
        self.network.remove()
