"""Proves, in any cluster where install.yaml is applied, that the demo's two workloads speak mutual TLS without knowing.

    cluster_proof.py [MANIFEST]    install.yaml if not given; the one that is applied

KUBECTL       the command, with its options (default: kubectl)
NODE_NETWORK  a command before which another runs in the network namespace of the node that both pods are on, for
              example `nsenter -t 4711 -n`; without it the wire is not captured

Exit code 0 only if every step holds. What it makes, it removes; the demo stays.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Tests/EndToEnd"))
from kit.capture import not_tls  # noqa: E402

from cluster import NAMESPACE, Cluster, wait_until  # noqa: E402
from cluster_load import ClusterLoad  # noqa: E402
from story import Story, shown  # noqa: E402

#: The image that the demo's client has, so that no other need be pulled.
IMAGE = "docker.io/curlimages/curl:8.12.1"
IDENTITY = f"spiffe://cluster.local/ns/{NAMESPACE}/sa/"


def plain_pod(name: str, annotations: dict[str, str]) -> dict:
    """A pod with curl that keeps the level `restricted` by itself."""
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 5,
            "containers": [{
                "name": "curl", "image": IMAGE, "command": ["sleep", "3600"],
                "securityContext": {
                    "runAsUser": 100, "runAsNonRoot": True, "readOnlyRootFilesystem": True,
                    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"}}}]}}


class Proof:
    def __init__(self, cluster: Cluster, story: Story, manifest: Path):
        self.cluster, self.story, self.manifest = cluster, story, manifest

    def run(self) -> None:
        self.arrive()
        self.call()
        self.refuse_strangers()
        self.inject()
        self.rotate()
        self.restart()
        self.recover()

    # Questions

    def ask(self, target: str) -> subprocess.CompletedProcess:
        return self.cluster.curl("deploy/client", "client", target)

    def access_log(self, workload: str, path: str) -> dict | None:
        """The line of a sidecar's access log about a request for a path."""
        pod = self.cluster.pod(workload)["metadata"]["name"]
        for line in self.cluster.must("-n", NAMESPACE, "logs", pod, "-c", "sidecar", "--tail=500").splitlines():
            if path in line and (fields := json.loads(line)).get("path") == path:
                return fields
        return None

    def outward_tls(self) -> list[str]:
        """The TLS versions of the connections that the client's sidecar has to the web server."""
        page = json.loads(self.cluster.monitor(self.cluster.pod("client"), "/connections"))
        return sorted({
            each["tls_version"] for each in page["connections"]
            if each["side"] == "upstream" and each["server_name"] == "web" and each["tls_version"]})

    def serial(self) -> str:
        """Of the certificate that the web server's sidecar has in force."""
        return json.loads(self.cluster.monitor(self.cluster.pod("web"), "/certs"))["server"]["serial"]

    def metric(self, workload: str, sample: str) -> float:
        """The sum of the samples whose line begins so."""
        page = self.cluster.monitor(self.cluster.pod(workload), "/metrics")
        return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(sample))

    def no_failed_request(self, load: ClusterLoad) -> None:
        self.story.tell(load.stop())
        for failure in load.failures[:5]:
            self.story.tell(failure)
        self.story.check(load.answered > 50 and not load.failures, "no request failed")

    # Steps

    def arrive(self) -> None:
        self.story.step("The webhook and both workloads stand")
        self.cluster.rolled_out("sidecar-system", "sidecar-webhook")
        for name in ("web", "client"):
            self.cluster.rolled_out(NAMESPACE, name)
            pod = self.cluster.pod(name)
            addresses = ", ".join(each["ip"] for each in pod["status"]["podIPs"])
            init = [each["name"] for each in pod["spec"].get("initContainers", [])]
            self.story.tell(
                f"{name}: {addresses}; init containers {', '.join(init)}; "
                f"containers {', '.join(each['name'] for each in pod['spec']['containers'])}")
        ready = [self.cluster.sidecar_status(self.cluster.pod(name))["ready"] for name in ("web", "client")]
        self.story.check(all(ready), "both sidecars and both applications are ready, under strict mutual TLS")

    def call(self) -> None:
        self.story.step("The client's application calls the web server's with plain HTTP")
        path = f"/{secrets.token_hex(8)}"
        flows = self.capture(lambda: self.ask(f"http://web{path}"))
        self.story.tell(f"client$ curl http://web{path}")
        self.story.tell(self.answer.stdout or self.answer.stderr)
        self.story.check(self.answer.stdout == "web: hello client\n", "answered; the web server knows who called")
        wait_until(lambda: self.access_log("web", path) is not None, "the request is in the access log", 10)
        line = self.access_log("web", path) or {}
        self.story.tell(f"the web server's sidecar: {line.get('method')} {line.get('path')} from {line.get('peer_identity')}")
        self.story.check(line.get("peer_identity") == IDENTITY + "client", "it came with the client's certificate")
        outward = self.outward_tls()
        self.story.tell(f"the client's sidecar: {', '.join(outward) or 'no TLS'} to a server named “web”")
        self.story.check(bool(outward), "it went out as TLS")
        if flows is None:
            self.story.tell("the wire is not captured: NODE_NETWORK is not set")
            return
        self.story.tell("on the wire:")
        for content in list(flows.values())[:4]:
            self.story.tell(shown(content))
        self.story.check(
            bool(flows) and all(not_tls(content) is None for content in flows.values()),
            "every byte between the two pods is part of a TLS record")
        self.story.check(
            not any(path.encode() in content for content in flows.values()), f"“{path}” is nowhere to be read")

    def capture(self, act) -> dict[str, bytes] | None:
        """Does it, and answers what TCP carried between the two pods meanwhile; None where that cannot be seen."""
        if not (prefix := shlex.split(os.environ.get("NODE_NETWORK", ""))):
            self.answer = act()
            return None
        addresses = [self.cluster.pod(name)["status"]["podIP"] for name in ("client", "web")]
        recorder = subprocess.Popen(
            [*prefix, "python3", str(HERE / "wire_capture.py"), *addresses],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert recorder.stdin is not None and recorder.stdout is not None
        try:
            if recorder.stdout.readline() != "recording\n":
                raise RuntimeError(f"no capture with NODE_NETWORK={os.environ['NODE_NETWORK']}")
            self.answer = act()
            found, _ = recorder.communicate("", timeout=30)
        finally:
            recorder.kill()
        return {flow: bytes.fromhex(content) for flow, content in json.loads(found).items()}

    def refuse_strangers(self) -> None:
        self.story.step("A stranger, a pod without the sidecar, calls the web server")
        path = f"/{secrets.token_hex(8)}"
        with self.cluster.temporary_pod(plain_pod("stranger", {"sidecar.mtls.dev/inject": "false"})):
            refused = self.metric("web", "sidecar_plaintext_requests_total") + self.metric("web", "mtls_failures_total")
            for arguments in ([f"http://web{path}"], ["--insecure", f"https://web:80{path}"]):
                done = self.cluster.curl("stranger", "curl", *arguments)
                self.story.tell(f"stranger$ curl {' '.join(arguments)}")
                self.story.tell(done.stderr)
                self.story.check(done.returncode != 0 and "hello" not in done.stdout, "refused")
            wait_until(
                lambda: self.metric("web", "sidecar_plaintext_requests_total")
                + self.metric("web", "mtls_failures_total") >= refused + 2, "both refusals are counted", 10)
        self.story.check(self.access_log("web", path) is None, "the application saw neither")

    def inject(self) -> None:
        self.story.step("A pod that is annotated gets the sidecar from the webhook")
        annotations = {"sidecar.mtls.dev/inject": "true", "sidecar.mtls.dev/tls-secret": "client-tls"}
        with self.cluster.temporary_pod(plain_pod("guest", annotations)) as pod:
            names = [each["name"] for each in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]]
            self.story.tell(f"containers: {', '.join(names)}")
            self.story.check({"sidecar-init", "sidecar", "curl"} <= set(names), "it has the sidecar")
            done = self.cluster.curl("guest", "curl", "http://web/guest")
            self.story.tell(done.stdout or done.stderr)
            self.story.check(done.stdout == "web: hello client\n", "and calls with its certificate")

    def rotate(self) -> None:
        self.story.step("The web server's certificate is issued anew while the client calls")
        before = self.serial()
        self.story.tell(f"serial number in force {before}")
        load = ClusterLoad(self.cluster, "deploy/client", "client")
        try:
            self.cluster.must("-n", NAMESPACE, "delete", "secret", "web-tls")
            self.cluster.must("-n", NAMESPACE, "delete", "job", "demo-certificates", "--ignore-not-found")
            self.cluster.must("apply", "-f", str(self.manifest))
            seconds = wait_until(lambda: self.serial() != before, "the new certificate is in force")
            self.story.tell(f"after {seconds:.1f} s {self.serial()}")
            time.sleep(2)
        finally:
            self.no_failed_request(load)
        self.story.check(self.serial() != before, "the new certificate is in force, without a restart")

    def restart(self) -> None:
        self.story.step("kubectl rollout restart deployment/web while the client calls")
        before = self.cluster.pod("web")["metadata"]["name"]
        load = ClusterLoad(self.cluster, "deploy/client", "client")
        try:
            self.cluster.must("-n", NAMESPACE, "rollout", "restart", "deployment/web")
            self.cluster.rolled_out(NAMESPACE, "web")
            wait_until(
                lambda: self.cluster.run("-n", NAMESPACE, "get", "pod", before).returncode != 0, "the old pod is gone")
            time.sleep(1)
        finally:
            self.no_failed_request(load)
        self.story.check(self.cluster.pod("web")["metadata"]["name"] != before, "another pod serves")

    def recover(self) -> None:
        self.story.step("The web server's sidecar ends; kubelet starts it again")
        before = self.cluster.sidecar_status(self.cluster.pod("web"))["restartCount"]
        self.cluster.execute("deploy/web", "sidecar", "sidecar", "quit")
        wait_until(
            lambda: self.cluster.sidecar_status(self.cluster.pod("web"))["restartCount"] > before, "it is started again")
        seconds = wait_until(lambda: self.ask("http://web/").stdout == "web: hello client\n", "the client is answered")
        self.story.check(True, f"the client is answered {seconds:.1f} s later")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    manifest = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "install.yaml"
    story = Story()
    try:
        Proof(Cluster(), story, manifest).run()
    except (RuntimeError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        story.check(False, str(error))
    print(f"\n{'All of it held.' if story.failures == 0 else f'{story.failures} claim(s) did not hold.'}")
    return 0 if story.failures == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
