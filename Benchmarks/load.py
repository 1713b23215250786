"""h2load with a client certificate: started, stopped and continued like a machine on a switch."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from check import GRPC_HEADERS
from scenarios import IN_FLIGHT, STREAMS, Scenario
from upstreams import GRPC_MESSAGE


@dataclass
class LoadGenerator:
    """How h2load is called: with a client certificate, pinned to a core of its own."""

    shim: Path
    certificate: Path
    key: Path
    core: int
    scratch: Path

    def start(self, name: str, port: int, scenario: Scenario, *, warm_up: float, seconds: float) -> "Load":
        """A load that lasts so long after its warm-up, pauses included."""
        log = self.scratch / f"h2load-{name}.log"
        log.unlink(missing_ok=True)
        command = [
            "taskset", "-c", str(self.core), "h2load", f"--log-file={log}", "-t", "1", "-c", str(scenario.connections),
            "-D", f"{seconds * 1000:.0f}ms", f"--warm-up-time={warm_up * 1000:.0f}ms",
            "--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519", *self.protocol(scenario),
        ]
        if scenario.total_rate:
            command.append(f"--rps={scenario.total_rate / scenario.connections}")
        environment = os.environ | {
            "LD_PRELOAD": str(self.shim),
            "BENCH_CLIENT_CERT": str(self.certificate),
            "BENCH_CLIENT_KEY": str(self.key),
        }
        process = subprocess.Popen(
            [*command, f"https://127.0.0.1:{port}{scenario.path}"], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        return Load(process, log, scenario, warm_up)

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


@dataclass(frozen=True)
class Answer:
    """When the request began and its answer ended, in seconds since the epoch."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Load:
    """One h2load at work. What is in flight when it pauses is answered, and taken in when it goes on."""

    def __init__(self, process: subprocess.Popen, log: Path, scenario: Scenario, warm_up: float):
        self.process, self.log, self.scenario, self.warm_up = process, log, scenario, warm_up

    def wait_warm(self) -> None:
        """h2load logs nothing before its warm-up is over, however long the handshakes took."""
        deadline = time.monotonic() + self.warm_up + 30
        while self.process.poll() is None and not (self.log.exists() and self.log.stat().st_size):
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def finish(self) -> list[Answer]:
        """Waits for the end and answers what was logged; RuntimeError if any request of the whole run failed."""
        try:
            output, _ = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            raise RuntimeError("h2load did not end") from None
        answers = []
        statuses = Counter()
        for row in self.log.open() if self.log.exists() else ():
            fields = row.split()
            began, duration = int(fields[0]) / 1e6, int(fields[2]) / 1e6
            statuses[fields[1]] += 1
            answers.append(Answer(began, began + duration))
        # 0 is the status of an answer whose head came before the warm-up's end, and its body after.
        if not answers or set(statuses) - {"200", "0"} or failed_requests(output, self.scenario):
            raise RuntimeError(f"requests failed under load, h2load says:\n{summary(output)}")
        return answers


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
