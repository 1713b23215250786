"""Services as kube-proxy makes them: an address that no interface has, translated on the node."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from .machine import CommandFailed


@dataclass(frozen=True)
class Service:
    name: str
    namespace: str
    address: str
    port: int
    endpoint: str
    target_port: int

    @property
    def names(self) -> list[str]:
        """What a pod of the same namespace may call it."""
        return [self.name, f"{self.name}.{self.namespace}", f"{self.name}.{self.namespace}.svc",
                f"{self.name}.{self.namespace}.svc.cluster.local"]


def serve(node_namespace: str, services: list[Service]) -> None:
    """Replies come back through the node because connections are given its address (as kube-proxy --masquerade-all does)."""
    translations = "\n".join(
        f"ip daddr {one.address} tcp dport {one.port} dnat to {one.endpoint}:{one.target_port}" for one in services)
    rules = f"""
        table ip services {{
            chain prerouting {{
                type nat hook prerouting priority dstnat
                {translations}
            }}
            chain postrouting {{
                type nat hook postrouting priority srcnat
                ct status dnat masquerade
            }}
        }}"""
    done = subprocess.run(
        ["nsenter", f"--net=/run/netns/{node_namespace}", "nft", "-f", "-"], input=rules, capture_output=True, text=True)
    if done.returncode != 0:
        raise CommandFailed(f"nft: {done.stderr}")
