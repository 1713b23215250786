"""A pod whose application is probed, as a kubelet outside the pod would do it."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path

from .namespace import inside
from .pod import APP_UID, KIT, MONITOR_PORT, Pod
from .transparent import PodPair

HTTP, HTTPS, TCP, GRPC, CONTROL = 8000, 8444, 5432, 9000, 9901
KUBELET = "kube-probe/1.34"

PROBES = {
    "/app-health/web/livez": {
        "httpGet": {"path": "/healthz?deep=1", "port": HTTP, "httpHeaders": [{"name": "X-Probe", "value": "yes"}]},
        "timeoutSeconds": 1, "periodSeconds": 5},
    "/app-health/web/readyz": {"httpGet": {"path": "/healthz", "port": HTTPS, "scheme": "HTTPS"}},
    "/app-health/web/startupz": {
        "httpGet": {"path": "/start", "port": HTTP, "httpHeaders": [{"name": "Host", "value": "web.example"}]}},
    "/app-health/db/livez": {"tcpSocket": {"port": TCP}},
    "/app-health/db/readyz": {"grpc": {"port": GRPC, "service": "db"}},
    "/app-health/db/startupz": {"grpc": {"port": GRPC, "service": "unknown"}},
}


class ProbedPod:
    """Pod `b` of a pair with the application and a strict sidecar; the pair's `stranger` is where the kubelet asks."""

    def __init__(self, pods: PodPair, host: str = "::", probes: dict | None = None, **settings: str):
        self.pods, self.pod, self.kubelet = pods, pods.b, pods.stranger
        home = pods.identity(self.pod)
        tls = pods.other_authority.server("app").write(pods.scratch / f"{pods.network.prefix}-app")
        tls.chmod(0o755)
        for file in tls.iterdir():
            file.chmod(0o644)
        app = self.pod.start("probeapp", self.pod.command(
            sys.executable, str(KIT / "probeapp.py"), "--uid", str(APP_UID), "--host", host, "--http", str(HTTP),
            "--https", str(HTTPS), "--tcp", str(TCP), "--grpc", str(GRPC), "--control", str(CONTROL),
            "--certificate", str(tls / "tls.crt"), "--key", str(tls / "tls.key")))
        app.wait_for_line("{")
        self.sidecar = self.pod.start_sidecar(
            pods.binary, {"SERVER_CERT_DIR": home, "CLIENT_CERT_DIR": home, "CA_DIR": pods.ca_directory},
            APP_PROBES=json.dumps(PROBES if probes is None else probes), ENABLE_METRICS="true", LOG_LEVEL="debug",
            **settings)

    def probe(
        self, path: str, address: str | None = None, method: str = "GET", agent: str = KUBELET, seconds: float = 10,
    ) -> tuple[int, str]:
        """What the kubelet gets for a rewritten probe."""

        def ask() -> tuple[int, str]:
            connection = http.client.HTTPConnection(address or self.pod.ipv4, MONITOR_PORT, timeout=seconds)
            try:
                connection.request(method, path, headers={"User-Agent": agent, "Connection": "close"})
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            finally:
                connection.close()

        return inside(self.kubelet.namespace, ask)

    def set(self, kind: str, state: str) -> None:
        self.control("PUT", f"/{kind}/{state}")

    def seen(self, kind: str) -> list[dict]:
        """What the application's checks of that kind have seen."""
        return self.control("GET", "/seen")[kind]

    def control(self, method: str, path: str) -> dict:
        def ask() -> dict:
            connection = http.client.HTTPConnection("127.0.0.1", CONTROL, timeout=5)
            try:
                connection.request(method, path)
                return json.loads(connection.getresponse().read())
            finally:
                connection.close()

        return inside(self.pod.namespace, ask)
