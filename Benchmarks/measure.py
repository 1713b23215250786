"""What a process costs (CPU from the scheduler, memory from the page tables) and what h2load saw."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from check import GRPC_HEADERS
from scenarios import IN_FLIGHT, STREAMS, Scenario
from upstreams import GRPC_MESSAGE


def process_tree(root: int) -> list[int]:
    """The process and all its descendants: nginx and haproxy may fork workers."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The command name may hold blanks and parentheses: the fields start after the last ")".
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(entry.name))
    tree, todo = [], [root]
    while todo:
        process = todo.pop()
        tree.append(process)
        todo.extend(children.get(process, []))
    return tree


def cpu_seconds(root: int) -> float:
    """CPU time, user and system, of all threads of a process tree.

    schedstat counts nanoseconds where /proc/PID/stat counts ticks of 10 ms; a thread that has
    ended is missing from it, which no contender does under steady load.
    """
    total = 0
    for process in process_tree(root):
        for task in Path(f"/proc/{process}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def pss_bytes(root: int) -> int:
    """Proportional memory of a process tree: pages shared with others count in part."""
    total = 0
    for process in process_tree(root):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def busy_cores(seconds: float = 0.5) -> float:
    """How many cores the machine uses now, before anything of ours runs."""

    def ticks() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    (total_before, idle_before), _, (total_after, idle_after) = ticks(), time.sleep(seconds), ticks()
    busy = 1 - (idle_after - idle_before) / max(1, total_after - total_before)
    return busy * (os.cpu_count() or 1)


@dataclass
class Sample:
    """One measured window of steady load."""

    requests: int
    seconds: float
    cpu: float
    pss: int
    latencies: list[float]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_per_request(self) -> float:
        """Microseconds."""
        return self.cpu / self.requests * 1e6

    @property
    def cpu_share(self) -> float:
        """Percent of one core."""
        return self.cpu / self.seconds * 100

    def latency(self, percentile: float) -> float:
        """Milliseconds."""
        ordered = self.latencies
        return ordered[min(len(ordered) - 1, int(len(ordered) * percentile / 100))]


@dataclass
class LoadGenerator:
    """h2load with a client certificate, pinned to a core of its own."""

    shim: Path
    certificate: Path
    key: Path
    core: int
    scratch: Path

    def run(self, root: int, port: int, scenario: Scenario, *, warm_up: float, window: float) -> Sample:
        """Load the proxy and account the process tree `root` for the requests that end inside the window.

        The handshakes cost more than thousands of requests, so they are kept out: the window opens
        after the warm-up, and h2load's own log says which answers ended inside it. Raises RuntimeError
        if any request of the run failed.
        """
        log = self.scratch / "h2load.log"
        log.unlink(missing_ok=True)
        margin = 0.2
        command = [
            "taskset", "-c", str(self.core), "h2load", f"--log-file={log}", "-t", "1", "-c", str(scenario.connections),
            "-D", f"{(window + 2 * margin) * 1000:.0f}ms", f"--warm-up-time={warm_up * 1000:.0f}ms",
            "--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519", *self.protocol(scenario),
        ]
        if scenario.total_rate:
            command.append(f"--rps={scenario.total_rate / scenario.connections}")
        environment = os.environ | {
            "LD_PRELOAD": str(self.shim),
            "BENCH_CLIENT_CERT": str(self.certificate),
            "BENCH_CLIENT_KEY": str(self.key),
        }
        load = subprocess.Popen(
            [*command, f"https://127.0.0.1:{port}{scenario.path}"], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        try:
            # h2load logs nothing before its warm-up is over, however long the handshakes took.
            deadline = time.monotonic() + warm_up + 30
            while load.poll() is None and not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(margin)
            opened, cpu_before = time.time(), cpu_seconds(root)
            time.sleep(window)
            closed, cpu_after = time.time(), cpu_seconds(root)
            pss = pss_bytes(root)
            output, _ = load.communicate(timeout=60)
        finally:
            load.kill()
            load.wait()
        latencies = []
        statuses = Counter()
        for row in log.open() if log.exists() else ():
            fields = row.split()
            start, status, duration = int(fields[0]) / 1e6, fields[1], int(fields[2]) / 1e6
            statuses[status] += 1
            if opened <= start + duration <= closed:
                latencies.append(duration * 1000)
        # 0 is the status of an answer whose head came before the warm-up's end, and its body after.
        if not latencies or set(statuses) - {"200", "0"} or failed_requests(output, scenario):
            raise RuntimeError(f"requests failed under load, h2load says:\n{summary(output)}")
        return Sample(len(latencies), closed - opened, cpu_after - cpu_before, pss, sorted(latencies))

    def protocol(self, scenario: Scenario) -> list[str]:
        """h2load's options; without HTTP/2 at the other end it fails, it does not fall back."""
        if not scenario.http2:
            return ["--h1"]
        options = ["--npn-list=h2", "-m", str(STREAMS)]
        if scenario.grpc:
            message = self.scratch / "message"
            message.write_bytes(GRPC_MESSAGE)
            options += [f"--data={message}", *(f"--header={header}" for header in GRPC_HEADERS)]
        return options


def failed_requests(output: str, scenario: Scenario) -> int:
    """Requests without an answer, reset streams, 4xx and 5xx by h2load's summary; calls by the shim's count."""
    requests = re.search(r"^requests: .* (\d+) failed", output, re.MULTILINE)
    calls = re.search(r"^calls: (\d+) answers, (\d+) ok, (\d+) failed", output, re.MULTILINE)
    if not requests or not calls:
        return 1
    answers, ok, failed = map(int, calls.groups())
    # h2load leaves at its end without the trailers of the calls in flight.
    lost = max(0, answers - ok - failed - IN_FLIGHT) if scenario.grpc else 0
    return int(requests[1]) + failed + lost


def summary(output: str) -> str:
    counts = [line for line in output.splitlines() if line.startswith(("requests:", "status codes:", "calls:"))]
    return "\n".join(counts) or output.strip()


def median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")
