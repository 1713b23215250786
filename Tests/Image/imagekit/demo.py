"""The demo of the project's manifest as pods of podman: `web` and `client` with their sidecars."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml
from kit import monitor
from kit.namespace import inside
from kit.pki import Authority, Pair
from kit.process import wait_until
from kit.volume import Volume, pair_files

from .machine import Machine, run
from .playable import named, playable
from .services import Service, serve

NAMESPACE = "sidecar-demo"
#: Not one of podman's own, which begin at 10.88.0.0.
SUBNETS = ("10.64.77.0/24", "fd00:64:77::/64")
ADDRESSES = {"web": "10.64.77.10", "client": "10.64.77.11"}
WEB_SERVICE_ADDRESS = "10.96.0.10"
MONITOR_PORT = 8081
READY_SECONDS = 60
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


class Demo:
    """Plays the workloads of a manifest; each Secret is a directory that `volumes` can change as a kubelet does."""

    def __init__(self, machine: Machine, manifest: Path):
        self.machine = machine
        self.documents = [one for one in yaml.safe_load_all(manifest.read_text()) if one]
        self.authority = Authority("Demo CA")
        self.volumes = {name: Volume(machine.scratch / f"{name}-tls", self.secret(name)) for name in ADDRESSES}
        port = named(self.documents, "Service", "web")["spec"]["ports"][0]["port"]
        self.web = Service("web", NAMESPACE, WEB_SERVICE_ADDRESS, port, ADDRESSES["web"], target_port=8080)
        # podman keeps leases by the network's name, of runs that were broken off too.
        self.network = f"{machine.namespace}-pods"
        machine.add_network(self.network, *SUBNETS)

    def pair(self, name: str) -> Pair:
        """What `sidecar certs secrets` makes for a workload."""
        return self.authority.issue(
            name, dns=(name, f"{name}.{NAMESPACE}", f"{name}.{NAMESPACE}.svc", f"{name}.{NAMESPACE}.svc.cluster.local"),
            uris=(f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{name}",))

    def secret(self, name: str) -> dict[str, bytes]:
        return pair_files(self.pair(name), **{"ca.crt": self.authority.pem})

    def start(self) -> None:
        for workload in ADDRESSES:
            self.play(workload)
        # podman has made the bridge by now.
        serve(self.machine.namespace, [self.web])
        for workload in ADDRESSES:
            self.wait_ready(workload)

    def play(self, workload: str) -> None:
        secrets = {f"{name}-tls": volume.path for name, volume in self.volumes.items()}
        documents = playable(self.documents, workload, secrets, hosts={self.web.address: self.web.names})
        file = self.machine.scratch / f"{workload}.yaml"
        file.write_text(yaml.safe_dump_all(documents, sort_keys=False))
        self.machine.podman("kube", "play", "--network", self.network, "--ip", ADDRESSES[workload], str(file), seconds=180)

    def wait_ready(self, workload: str) -> None:
        def ready() -> bool:
            if self.state(workload, "sidecar") != "running":
                raise AssertionError(f"the sidecar of {workload} ended:\n{self.logs(workload, 'sidecar')}")
            return self.ask(workload, "/ready")[0] == 200

        wait_until(ready, f"the sidecar of {workload} is ready", seconds=READY_SECONDS)

    def wait_answered(self) -> None:
        """Service, sidecars and the application behind them have all come up."""
        wait_until(lambda: self.curl("http://web/").returncode == 0, "web answers client", seconds=READY_SECONDS)

    # Questions

    def state(self, workload: str, container: str) -> str:
        return self.inspect(workload, container, "{{.State.Status}}")

    def process(self, workload: str, container: str) -> int:
        return int(self.inspect(workload, container, "{{.State.Pid}}"))

    def inspect(self, workload: str, container: str, template: str) -> str:
        return self.machine.podman("container", "inspect", "--format", template, f"{workload}-{container}").stdout.strip()

    def logs(self, workload: str, container: str) -> str:
        done = self.machine.podman("logs", f"{workload}-{container}", check=False)
        return done.stdout + done.stderr

    def probes(self, workload: str) -> list[str]:
        """The paths that a kubelet asks the pod for, of the application's containers and of the sidecar."""
        containers = named(self.documents, "Deployment", workload)["spec"]["template"]["spec"]["containers"]
        requests = [one[kind]["httpGet"] for one in containers for kind in PROBES if kind in one]
        assert {one["port"] for one in requests} == {MONITOR_PORT}
        return sorted({one["path"] for one in requests})

    def ask(self, workload: str, path: str) -> tuple[int, str]:
        """The monitor port from outside the pod, as a kubelet asks; status 0 when nobody answers."""
        return inside(self.machine.namespace, lambda: monitor.ask(ADDRESSES[workload], MONITOR_PORT, path))

    def wire(self, workload: str) -> str:
        """The node's end of the pod's wire."""
        pid = self.process(workload, workload)
        link = run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-o", "link", "show", "eth0").stdout
        index = link.split("eth0@if")[1].split(":")[0]
        listed = run("ip", "-n", self.machine.namespace, "-o", "link").stdout
        return next(line.split(": ")[1].split("@")[0] for line in listed.splitlines() if line.startswith(f"{index}: "))

    # Deeds

    def curl(self, *arguments: str, seconds: int = 5) -> subprocess.CompletedProcess:
        """curl in the application's container of `client`."""
        return self.machine.podman(
            "exec", "client-client", "curl", "--silent", "--show-error", "--max-time", str(seconds), *arguments, check=False)

    def sidecar_in(self, workload: str, *arguments: str) -> subprocess.CompletedProcess:
        """Another container in the pod with the settings of `init` and what it is allowed, as `kubectl debug` adds one."""
        init = named(self.documents, "Deployment", workload)["spec"]["template"]["spec"]["initContainers"][0]
        assert init["name"] == "sidecar-init"
        granted = [option for name in init["securityContext"]["capabilities"]["add"] for option in ("--cap-add", name)]
        settings = [option for one in init.get("env", []) for option in ("--env", f"{one['name']}={one['value']}")]
        return self.machine.podman(
            "run", "--rm", "--pod", workload, "--user", "0", "--read-only", "--cap-drop", "ALL", *granted, *settings,
            "--security-opt", "no-new-privileges", init["image"], *arguments, check=False)

    def stranger(self, *arguments: str, seconds: int = 5) -> subprocess.CompletedProcess:
        """curl in a container of its own on the pods' network, without a sidecar."""
        image = named(self.documents, "Deployment", "client")["spec"]["template"]["spec"]["containers"][-1]["image"]
        return self.machine.podman(
            "run", "--rm", "--network", self.network, "--entrypoint", "curl", image, "--silent", "--show-error",
            "--max-time", str(seconds), *arguments, check=False)

    def remove(self) -> None:
        self.machine.podman("pod", "rm", "--all", "--force", "--time", "0", check=False)
