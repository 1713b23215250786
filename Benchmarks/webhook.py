#!/usr/bin/env python3
"""How many admission reviews a second the webhook answers, and how fast: h2load over keep-alive TLS, as the API server asks.

webhook.py [--rate 500] [--seconds 10] [--connections 8] [--containers 3]

Two runs: at the given rate, for the latencies, and as fast as it goes. What else runs on the machine counts in. Ends with 1 where
the rate is not reached or the 99th percentile at it is 20 ms or more.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))

from kit.pki import Authority  # noqa: E402
from kit.proxy import sidecar_binary  # noqa: E402
from kit.webhook import NAME, Webhook, pod, review  # noqa: E402


def body(containers: int) -> bytes:
    """A review as the API server sends it for a pod of a Deployment: some 6 KB and 1.5 KB a container."""
    def container(index: int) -> dict:
        return {
            "name": f"app-{index}", "image": "registry.example/team/app:1.2.3", "imagePullPolicy": "IfNotPresent",
            "ports": [{"name": f"http-{index}", "containerPort": 8080 + index, "protocol": "TCP"}],
            "env": [{"name": f"VARIABLE_{number}", "value": "some value of it"} for number in range(12)],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "volumeMounts": [
                {"name": "kube-api-access-x7zkm", "readOnly": True,
                 "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
            "livenessProbe": {
                "httpGet": {"path": "/healthz", "port": 8080 + index, "scheme": "HTTP"}, "timeoutSeconds": 1,
                "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        }

    value = pod(labels={"app": "web", "pod-template-hash": "5d4f8c7b9"}, containers=[container(n) for n in range(containers)])
    value["metadata"]["managedFields"] = [{
        "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {f"f:field-{n}": {".": {}, "f:inner": {"f:leaf": {}}} for n in range(60)}}}]
    return json.dumps(review(value)).encode()


def load(webhook: Webhook, data: Path, connections: int, log: Path, *limits: str) -> tuple[str, list[int]]:
    """What h2load says, and each review's microseconds."""
    log.unlink(missing_ok=True)
    result = subprocess.run(
        ["h2load", "--h1", "-c", str(connections), "-t", "1", "-d", str(data), "-H", "content-type: application/json",
         "--log-file", str(log), *limits, f"https://127.0.0.1:{webhook.port}/mutate"],
        capture_output=True, text=True, timeout=600, check=True)
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    assert all(line[1] == "200" for line in lines), "each review is answered"
    return result.stdout, sorted(int(line[2]) for line in lines)


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--containers", type=int, default=3)
    options = parser.parse_args()
    binary = sidecar_binary()
    if binary is None:
        sys.exit("no sidecar binary: run `make build` first, or set SIDECAR_BIN")
    with tempfile.TemporaryDirectory(prefix="sidecar-webhook-") as name:
        directory = Path(name)
        pair = Authority("Webhook CA").server(dns=(NAME,)).write(directory / "pair")
        data, log = directory / "review.json", directory / "h2load.log"
        data.write_bytes(body(options.containers))
        webhook = Webhook(binary, directory, tls=pair).wait_ready()
        try:
            load(webhook, data, options.connections, log, "-n", "2000")  # warm
            before = processor_seconds(webhook.process.pid)
            _, times = load(
                webhook, data, options.connections, log, f"--rps={options.rate / options.connections}", "-n",
                str(options.rate * options.seconds))
            cost = (processor_seconds(webhook.process.pid) - before) / len(times) * 1e6
            print(f"{len(data.read_bytes())} bytes a review, {options.connections} connections")
            print(f"at {options.rate}/s: " + ", ".join(
                f"{label} {times[min(len(times) - 1, int(len(times) * part))] / 1000:.2f} ms"
                for label, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("max", 1)))
                + f"; {cost:.0f} µs of CPU a review")
            percentile_99 = times[int(len(times) * 0.99)] / 1000
            text, times = load(webhook, data, options.connections, log, "-n", str(options.rate * options.seconds * 2))
            speed = re.search(r"finished in .*?, ([\d.]+) req/s", text)
            print(f"as fast as it goes: {float(speed[1]):.0f}/s, p99 {times[int(len(times) * 0.99)] / 1000:.2f} ms")
            if slow := percentile_99 >= 20 or float(speed[1]) < options.rate:
                print(f"too slow: {options.rate}/s with a 99th percentile under 20 ms is what it is to do")
            print(f"memory: {webhook.process.rss_bytes() >> 10} KB resident")
        finally:
            webhook.stop()
    sys.exit(slow)


if __name__ == "__main__":
    main()
