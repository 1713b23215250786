"""Pods without a cluster: network namespaces on one bridge, IPv4 and IPv6. Needs root and `ip`."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

from . import monitor
from .namespace import inside
from .process import Process, wait_until

PROXY_UID = 1337
APP_UID = 1000
MONITOR_PORT = 8081
KIT = Path(__file__).resolve().parent
NUMBERS = itertools.count()


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Network:
    """A bridge in a namespace of its own, so that nothing of the machine's network is touched."""

    def __init__(self, scratch: Path):
        self.scratch = scratch
        self.prefix = f"sc{os.getpid()}x{next(NUMBERS)}"
        self.namespace = f"{self.prefix}-net"
        self.pods: list[Pod] = []
        ip("netns", "add", self.namespace)
        inside_network = ("-n", self.namespace)
        ip(*inside_network, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        ip(*inside_network, "addr", "add", "10.77.0.1/24", "dev", "br0")
        ip(*inside_network, "addr", "add", "fd77::1/64", "dev", "br0", "nodad")
        ip(*inside_network, "link", "set", "br0", "up")
        ip(*inside_network, "link", "set", "lo", "up")

    def add_pod(self, name: str) -> "Pod":
        pod = Pod(self, name, number=len(self.pods) + 2)
        self.pods.append(pod)
        return pod

    def remove(self) -> None:
        for pod in self.pods:
            pod.stop()
        for namespace in [*(pod.namespace for pod in self.pods), self.namespace]:
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


class Pod:
    """A namespace with an address of each family, the processes in it, and perhaps a sidecar."""

    def __init__(self, network: Network, name: str, number: int):
        self.network, self.name = network, name
        self.namespace = f"{network.prefix}-{name}"
        self.ipv4, self.ipv6 = f"10.77.0.{number}", f"fd77::{number}"
        #: The pod's end of the wire as the network sees it: what goes over it can be captured there.
        self.port = f"port-{name}"
        self.processes: list[Process] = []
        self.sidecar: Process | None = None
        #: What the pod's processes see in place of the machine's /etc/resolv.conf.
        self.resolv_conf: Path | None = None
        ip("netns", "add", self.namespace)
        ip("link", "add", "eth0", "netns", self.namespace, "type", "veth",
           "peer", "name", self.port, "netns", network.namespace)
        ip("-n", network.namespace, "link", "set", self.port, "master", "br0", "up")
        here = ("-n", self.namespace)
        ip(*here, "addr", "add", f"{self.ipv4}/24", "dev", "eth0")
        ip(*here, "addr", "add", f"{self.ipv6}/64", "dev", "eth0", "nodad")
        ip(*here, "link", "set", "lo", "up")
        ip(*here, "link", "set", "eth0", "up")
        ip(*here, "route", "add", "default", "via", "10.77.0.1")
        ip(*here, "-6", "route", "add", "default", "via", "fd77::1")

    @property
    def addresses(self) -> tuple[str, str]:
        return (self.ipv4, self.ipv6)

    # Processes

    def command(self, *arguments: str, uid: int | None = None, capabilities: str = "") -> list[str]:
        """As root with everything, or as `uid` with nothing but the named capabilities, as a container would be."""
        command = ["ip", "netns", "exec", self.namespace]
        if self.resolv_conf:  # `ip netns exec` has made a mount namespace of the command's own
            command += ["sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(self.resolv_conf)]
        if uid is not None:
            kept = f"-all,+{capabilities}" if capabilities else "-all"
            command += ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--inh-caps", kept,
                        "--ambient-caps", kept, "--bounding-set", kept]
        return [*command, *arguments]

    def run(self, *arguments: str, uid: int | None = None, seconds: float = 30, **environment: str):
        """A command that ends by itself."""
        return subprocess.run(
            self.command(*arguments, uid=uid), capture_output=True, text=True, timeout=seconds,
            env=os.environ | environment)

    def start(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> Process:
        log = self.network.scratch / f"{self.namespace}-{name}-{len(self.processes)}"
        process = Process(command, log, environment)
        self.processes.append(process)
        return process

    def start_app(self, *options: str) -> Process:
        """The kit's applications as an unprivileged user."""
        # Python itself may lie where only root can read, so the user changes after the start.
        process = self.start("app", self.command(
            sys.executable, str(KIT / "app.py"), "--uid", str(APP_UID), *options))
        process.wait_for_line("{")
        return process

    def init(self, binary: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess:
        return self.run(str(binary), "init", *arguments, **settings)

    def start_sidecar(self, binary: Path, certificates: dict[str, Path], **settings: str) -> Process:
        """`sidecar init` as root, then `sidecar run` with CAP_NET_RAW alone; waits until it is ready."""
        settings = {
            "TRANSPARENT": "true", "TLS_LISTEN_PORT": "", "MONITOR_PORT": str(MONITOR_PORT), "WORKER_THREADS": "1",
            "POD_NAME": self.name,
        } | {name: str(path) for name, path in certificates.items()} | settings
        done = self.init(binary, **settings)
        if done.returncode != 0:
            raise RuntimeError(f"init in pod {self.name} failed ({done.returncode}): {done.stderr}{done.stdout}")
        return self.run_sidecar(binary, settings)

    def run_sidecar(self, binary: Path, settings: dict[str, str]) -> Process:
        environment = {"PATH": os.environ["PATH"]} | settings
        command = self.command(str(binary), "run", uid=PROXY_UID, capabilities="net_raw")
        sidecar = self.sidecar = self.start("sidecar", command, environment)

        def ready() -> bool:
            if not sidecar.is_running:
                raise RuntimeError(f"sidecar of pod {self.name} ended:\n{sidecar.output_tail()}")
            return self.monitor("/ready")[0] == 200

        wait_until(ready, f"sidecar of pod {self.name} is ready")
        return sidecar

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop()

    # Network

    def curl(self, *arguments: str, seconds: float = 10) -> subprocess.CompletedProcess:
        """curl as the application's user, as an ordinary application in the pod would call."""
        return self.run(
            "curl", "-sS", "--noproxy", "*", "--max-time", str(seconds), *arguments, uid=APP_UID, seconds=seconds + 5)

    def connect(self, address: str, port: int, seconds: float = 10) -> socket.socket:
        """A TCP connection from inside the pod, usable from any thread of this process."""
        return inside(self.namespace, lambda: socket.create_connection((address, port), timeout=seconds))

    def monitor(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Status and text of the sidecar's monitor port; status 0 when nobody answers."""
        return inside(self.namespace, lambda: monitor.ask("127.0.0.1", MONITOR_PORT, path, method))


def url(address: str, port: int, path: str = "/") -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}{path}"
