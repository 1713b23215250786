"""A small part of the Kubernetes API server, over TLS: Secrets and MutatingWebhookConfigurations, with versions."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .pki import Authority

SECRETS = re.compile(r"/api/v1/namespaces/([^/]+)/secrets(?:/([^/]+))?")
REGISTRATIONS = re.compile(r"/apis/admissionregistration\.k8s\.io/v1/mutatingwebhookconfigurations(?:/([^/]+))?")


class ApiServer:
    """Holds objects by path; counts calls; misbehaves when told to."""

    TOKEN = "first.token.of-the-account"

    def __init__(self, directory: Path):
        self.authority = Authority("Cluster CA")
        self.objects: dict[str, dict] = {}
        self.calls: list[tuple[str, str]] = []
        self.token = ApiServer.TOKEN
        self.lock = threading.Lock()
        self.version = 0
        #: Asked before each call: an answer of (status, message) is given instead of the usual one; "reset" or "hang" too.
        self.fault: Callable[[str, str], object] = lambda method, path: None
        pair = self.authority.server(dns=("kubernetes.default.svc",))
        self.account = directory / "serviceaccount"
        self.account.mkdir(mode=0o755)
        (self.account / "ca.crt").write_bytes(self.authority.pem)
        (self.account / "namespace").write_text("sidecar-system")
        self.write_token(self.token)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = pair.write(directory / "apiserver")
        context.load_cert_chain(certificate / "tls.crt", certificate / "tls.key")
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def do_GET(self):  # noqa: N802
                server.handle(self)

            do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *arguments):
                """A client that is gone, or a reset that a test asked for."""

        self.http = Server(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.http.server_address[1]

    @property
    def environment(self) -> dict[str, str]:
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}

    def write_token(self, token: str) -> None:
        (self.account / "token").write_text(token)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    # What tests look at

    def secret(self, namespace: str, name: str) -> dict[str, bytes]:
        """The decoded data of a Secret; empty when there is none."""
        found = self.objects.get(f"/api/v1/namespaces/{namespace}/secrets/{name}", {})
        return {key: base64.b64decode(value) for key, value in found.get("data", {}).items()}

    def put_secret(self, namespace: str, name: str, data: dict[str, bytes]) -> None:
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        with self.lock:
            old = self.objects.get(path, {"metadata": {"name": name, "namespace": namespace, "labels": {"kept": "yes"}}})
            self.store(path, old | {"apiVersion": "v1", "kind": "Secret", "data": encoded, "type": "Opaque"})

    def register(self, name: str = "sidecar-webhook", webhooks: int = 2) -> None:
        path = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}"
        with self.lock:
            self.store(path, {
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": name},
                "webhooks": [
                    {"name": f"w{index}.sidecar.mtls.dev", "failurePolicy": "Fail",
                     "clientConfig": {"service": {"name": name, "namespace": "sidecar-system", "path": "/mutate"}}}
                    for index in range(webhooks)],
            })

    def registration(self, name: str = "sidecar-webhook") -> list[dict]:
        return self.objects[f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}"]["webhooks"]

    def ca_bundle(self) -> bytes:
        bundles = {webhook["clientConfig"].get("caBundle", "") for webhook in self.registration()}
        assert len(bundles) == 1, "each webhook of the registration has the same bundle"
        return base64.b64decode(bundles.pop())

    def count(self, method: str) -> int:
        return sum(1 for name, _ in self.calls if name == method)

    # How it answers

    def store(self, path: str, value: dict) -> dict:
        self.version += 1
        value["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = value
        return value

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("content-length", 0))
        body = request.rfile.read(length)
        self.calls.append((request.command, request.path))
        fault = self.fault(request.command, request.path)
        if fault == "reset":
            request.close_connection = True
            request.connection.close()
            return
        if fault == "hang":
            time.sleep(15)
            request.close_connection = True
            return
        if isinstance(fault, tuple):
            status, answer = fault[0], self.status(*fault)
        elif request.headers.get("authorization") != f"Bearer {self.token}":
            status, answer = 401, self.status(401, "Unauthorized")
        else:
            with self.lock:
                status, answer = self.answer(request, json.loads(body) if body else None)
        text = json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    @staticmethod
    def status(code: int, message: str) -> dict:
        return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}

    def answer(self, request: BaseHTTPRequestHandler, value) -> tuple[int, dict]:
        method, path = request.command, request.path
        match = SECRETS.fullmatch(path) or REGISTRATIONS.fullmatch(path)
        if not match:
            return 404, self.status(404, "the server could not find the requested resource")
        if method == "POST":
            path = f"{path}/{value['metadata']['name']}"
            if path in self.objects:
                return 409, self.status(409, "already exists")
            return 201, self.store(path, value)
        found = self.objects.get(path)
        if found is None:
            return 404, self.status(404, f"{path.rsplit('/', 1)[1]} not found")
        if method == "GET":
            return 200, found
        if method == "PUT":
            if value["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
                return 409, self.status(409, "the object has been modified")
            return 200, self.store(path, value)
        if request.headers.get("content-type") != "application/json-patch+json":
            return 415, self.status(415, "the body is no JSON Patch")
        changed = json.loads(json.dumps(found))
        for operation in value:
            if not self.apply(operation, changed):
                return 422, self.status(422, f"the patch does not fit: {operation['path']}")
        return 200, self.store(path, changed)

    @staticmethod
    def apply(operation: dict, value) -> bool:
        *tokens, last = operation["path"].lstrip("/").split("/")
        for token in tokens:
            value = value[int(token)] if isinstance(value, list) else value[token]
        if operation["op"] == "test":
            return value.get(last) == operation["value"]
        assert operation["op"] == "add", operation
        value[last] = operation["value"]
        return True
