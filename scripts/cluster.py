"""A cluster as `kubectl` shows it, whichever it is: KUBECTL names the command, with its options."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NAMESPACE = "sidecar-demo"
#: For what a cluster does when it gets round to it: scheduling, pulling images, writing a changed Secret into a volume.
PATIENCE = 240


class Cluster:
    def __init__(self) -> None:
        self.command = shlex.split(os.environ.get("KUBECTL", "kubectl"))

    def argv(self, *arguments: str) -> list[str]:
        return [*self.command, *arguments]

    def run(self, *arguments: str, text: str | None = None, seconds: float = PATIENCE) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.argv(*arguments), input=text, capture_output=True, text=True, timeout=seconds)

    def must(self, *arguments: str, text: str | None = None) -> str:
        """What kubectl says; its failure ends the proof."""
        done = self.run(*arguments, text=text)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> dict:
        return json.loads(self.must("get", "-o", "json", *arguments))

    def rolled_out(self, namespace: str, name: str) -> None:
        self.must("-n", namespace, "rollout", "status", f"deployment/{name}", f"--timeout={PATIENCE}s")

    def pod(self, name: str) -> dict:
        """The one pod of a workload of the demo that is not about to go."""
        found = [
            each for each in self.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name={name}")["items"]
            if "deletionTimestamp" not in each["metadata"]]
        if len(found) != 1:
            raise RuntimeError(f"{len(found)} pods of {name} where there should be one")
        return found[0]

    def sidecar_status(self, pod: dict) -> dict:
        status = pod["status"]
        return next(
            each for each in status.get("initContainerStatuses", []) + status["containerStatuses"]
            if each["name"] == "sidecar")

    def monitor(self, pod: dict, path: str) -> str:
        """A page of the sidecar's monitor port, asked for by the API server."""
        return self.must("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8081/proxy{path}")

    def execute(self, pod: str, container: str, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess:
        return self.run("-n", NAMESPACE, "exec", pod, "-c", container, "--", *arguments, seconds=seconds)

    def curl(self, pod: str, container: str, *arguments: str) -> subprocess.CompletedProcess:
        return self.execute(pod, container, "curl", "--silent", "--show-error", "--max-time", "10", *arguments)

    @contextmanager
    def temporary_pod(self, manifest: dict) -> Iterator[dict]:
        """A pod for as long as the block runs, which begins when it is ready."""
        name = manifest["metadata"]["name"]
        self.run("-n", NAMESPACE, "delete", "pod", name, "--ignore-not-found", "--wait")
        self.must("apply", "-f", "-", text=json.dumps(manifest))
        try:
            self.must("-n", NAMESPACE, "wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={PATIENCE}s")
            yield self.get("pod", "-n", NAMESPACE, name)
        finally:
            self.run("-n", NAMESPACE, "delete", "pod", name, "--wait=false", "--grace-period=1")


def wait_until(held: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """The seconds that it took."""
    began = time.monotonic()
    while not held():
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.5)
    return time.monotonic() - began
