"""One request by curl before each load: a proxy that does another job than the others is not compared with them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from contenders import Setup
from scenarios import Scenario
from upstreams import GRPC_MESSAGE

GRPC_HEADERS = ("content-type: application/grpc", "te: trailers")


def check(scenario: Scenario, setup: Setup, expected: bytes) -> None:
    """Raises RuntimeError unless the protocol, the body and a call's trailer arrive, and only with a certificate."""
    pair = setup.certificates.client_directory
    body, headers = setup.scratch / "check.body", setup.scratch / "check.headers"
    version, status = curl(scenario, setup, body, headers, "--cert", f"{pair}/tls.crt", "--key", f"{pair}/tls.key")
    wanted = "2" if scenario.http2 else "1.1"
    if (version, status) != (wanted, "200"):
        raise RuntimeError(f"answered HTTP/{version} {status} instead of HTTP/{wanted} 200")
    if body.read_bytes() != expected:
        raise RuntimeError(f"answered another body than the upstream's ({body.stat().st_size} bytes)")
    if scenario.grpc and "grpc-status: 0" not in headers.read_text().lower():
        raise RuntimeError("lost the call's trailer grpc-status")
    try:
        _, status = curl(scenario, setup, body, headers)
    except RuntimeError:
        return
    if status == "200":
        raise RuntimeError("answered a client without a certificate")


def curl(scenario: Scenario, setup: Setup, body: Path, headers: Path, *identity: str) -> tuple[str, str]:
    """HTTP version and status; RuntimeError where there was no answer."""
    for file in (body, headers):
        file.write_bytes(b"")
    command = ["curl", "-sS", "--max-time", "10", "--cacert", str(setup.certificates.ca), *identity, "-o", str(body),
               "-D", str(headers), "-w", "%{http_version} %{response_code}",
               "--http2" if scenario.http2 else "--http1.1"]
    if scenario.grpc:
        command += ["--data-binary", "@-", *(f"-H{header}" for header in GRPC_HEADERS)]
    done = subprocess.run(
        [*command, f"https://127.0.0.1:{setup.port}{scenario.path}"], input=GRPC_MESSAGE, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip())
    version, status = done.stdout.decode().split()
    return version, status
