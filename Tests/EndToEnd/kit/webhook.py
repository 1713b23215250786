"""`sidecar webhook` as a process, and the API server's side of it."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import uuid
from pathlib import Path

from . import monitor
from .apiserver import ApiServer
from .process import Process, wait_until
from .proxy import bare_environment, free_port

NAME = "sidecar-webhook.sidecar-system.svc"


def pod(name: str = "web", *, labels: dict | None = None, annotations: dict | None = None, **spec) -> dict:
    """A pod as the API server shows it."""
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "demo", "labels": labels or {}, "annotations": annotations or {}},
        "spec": {"containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 8080}]}]} | spec,
    }


def review(of: dict | None = None, *, uid: str | None = None, operation: str = "CREATE", **fields) -> dict:
    """An AdmissionReview about an object."""
    request = {
        "uid": uid or str(uuid.uuid4()), "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "name": "web", "namespace": "demo",
        "operation": operation, "userInfo": {"username": "kubernetes-admin", "groups": ["system:masters"]},
        "object": pod() if of is None else of, "oldObject": None, "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    } | fields
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}


def patch_of(response: dict) -> list[dict]:
    assert response["patchType"] == "JSONPatch"
    return json.loads(base64.b64decode(response["patch"], validate=True))


def apply(patch: list[dict], document):
    """RFC 6902, for the operations that the webhook uses."""
    result = json.loads(json.dumps(document))
    for operation in patch:
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in operation["path"].split("/")[1:]]
        target = result
        for token in tokens[:-1]:
            target = target[int(token)] if isinstance(target, list) else target[token]
        last = tokens[-1]
        if isinstance(target, list):
            if operation["op"] == "add":
                target.insert(len(target) if last == "-" else int(last), operation["value"])
            elif operation["op"] == "remove":
                del target[int(last)]
            else:
                target[int(last)] = operation["value"]
        elif operation["op"] == "remove":
            del target[last]
        else:
            assert operation["op"] == "add" or last in target, operation
            target[last] = operation["value"]
    return result


class Webhook:
    """One running `sidecar webhook`."""

    def __init__(
        self, binary: Path, directory: Path, *, api: ApiServer | None = None, tls: Path | None = None,
        options: tuple[str, ...] = (), **settings: str,
    ):
        self.api, self.port, self.monitor_port = api, free_port(), free_port()
        command = [str(binary), "webhook", "--port", str(self.port), "--drain-seconds", "1", *options]
        environment = bare_environment() | {"MONITOR_PORT": str(self.monitor_port), "ENABLE_METRICS": "true"}
        if api:
            command += ["--service-account-dir", str(api.account), "--namespace", "sidecar-system"]
            environment |= api.environment
        if tls:
            command += ["--tls-dir", str(tls)]
        self.process = Process(command, directory / f"webhook-{self.port}", environment | settings)

    def wait_ready(self, seconds: float = 15) -> "Webhook":
        def ready() -> bool:
            assert self.process.is_running, f"the webhook ended:\n{self.process.output_tail()}"
            return self.monitor("/ready")[0] == 200

        wait_until(ready, f"/ready answers 200; {self.process.output_tail()}", seconds)
        return self

    def monitor(self, path: str) -> tuple[int, str]:
        """Status and text of the monitor port; status 0 when nobody listens."""
        return monitor.ask("127.0.0.1", self.monitor_port, path)

    def connect(self, bundle: bytes) -> "Caller":
        return Caller(self.port, bundle)

    @property
    def log(self) -> list[dict]:
        return [json.loads(line) for line in self.process.stdout.splitlines()]

    def stop(self) -> None:
        self.process.stop()


class Caller:
    """The API server's connection to a webhook: kept alive, the certificate checked by the bundle for the Service's name."""

    def __init__(self, port: int, bundle: bytes, name: str = NAME):
        context = ssl.create_default_context(cadata=bundle.decode())
        context.set_alpn_protocols(["h2", "http/1.1"])
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket = context.wrap_socket(raw, server_hostname=name)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.connection.sock = self.socket

    @property
    def serial(self) -> int:
        return int(self.socket.getpeercert()["serialNumber"], 16)

    def send(
        self, body: bytes, *, path: str = "/mutate?timeout=10s", method: str = "POST",
        content_type: str | None = "application/json", headers: dict | None = None,
    ) -> tuple[int, bytes]:
        fields = {"content-type": content_type} if content_type else {}
        self.connection.request(method, path, body, fields | (headers or {}))
        self.response = self.connection.getresponse()
        return self.response.status, self.response.read()

    def ask(self, value: dict, path: str = "/mutate?timeout=10s") -> dict:
        """The response to a review."""
        status, body = self.send(json.dumps(value).encode(), path=path)
        assert status == 200, (status, body)
        answer = json.loads(body)
        assert answer["apiVersion"] == "admission.k8s.io/v1" and answer["kind"] == "AdmissionReview"
        assert answer["response"]["uid"] == value["request"]["uid"]
        return answer["response"]

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_) -> None:
        self.close()
