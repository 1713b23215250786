#!/usr/bin/env python3
"""Compares the sidecar with haproxy, nginx and envoy as mTLS reverse proxies on this machine.

    bench.py [--quick] [--rounds N] [--h2] [--only haproxy,sidecar] [--json FILE]

The contender has one core to itself; upstream (nginx) and load generator (h2load) share another.
Wall time on shared machines is noise, so the measure is CPU per request, in interleaved rounds
(A B C D A B C D …), as the median of the ratios to haproxy within the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from contenders import ALL, Certificates, Contender, Running, Setup, nginx_command
from measure import LoadGenerator, Sample, busy_cores, median, pss_bytes

CONNECTIONS = 64
FIXED_RATE = 1000
IDLE_CONNECTIONS = 1000


@dataclass(frozen=True)
class Scenario:
    """One kind of load."""

    title: str
    path: str
    total_rate: float | None = None
    connections: int = CONNECTIONS
    streams: int | None = None


HTTP1 = [
    Scenario("64 B, saturation", "/64"),
    Scenario("64 KiB, saturation", "/65536"),
    Scenario(f"64 B, {FIXED_RATE}/s", "/64", FIXED_RATE),
    Scenario(f"64 KiB, {FIXED_RATE}/s", "/65536", FIXED_RATE),
]
HTTP2 = [Scenario("HTTP/2 64 B, saturation", "/64", connections=8, streams=16)]

Results = dict[str, dict[str, list[float]]]


def main() -> int:
    options = parse()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return fail("two cores are needed: one for the contender, one for load generator and upstream")
    for tool in ("h2load", "nginx", "cc", "openssl", "taskset"):
        if not shutil.which(tool):
            return fail(f"{tool} is missing (packages: nghttp2-client nginx-light gcc libssl-dev openssl util-linux)")
    contenders = present(options.only)
    if not contenders:
        return fail("no contender is installed")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    os.sched_setaffinity(0, {cores[1]})
    if (busy := busy_cores()) > 0.1:
        print(f"- warning: other processes use {busy:.1f} cores; take nothing but the ratios, and those with doubt")
    scenarios = HTTP1 + (HTTP2 if options.h2 else [])
    # Request logs and upstream bodies stay in memory: no disk in the measurement.
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-", dir=base) as directory:
        try:
            results = measure_all(contenders, scenarios, options, Path(directory), cores)
        except RuntimeError as error:
            return fail(str(error))
    report(contenders, scenarios, results)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under two minutes, for a first look")
    parser.add_argument("--rounds", type=int, help="odd is best; default 5, with --quick 3")
    parser.add_argument("--h2", action="store_true", help="HTTP/2 downstream too")
    parser.add_argument("--only", help="comma-separated contenders")
    parser.add_argument("--json", help="write all single results to this file")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.warm_up, options.window = (0.5, 0.7) if options.quick else (1.5, 5.0)
    options.idle = 100 if options.quick else IDLE_CONNECTIONS
    return options


def fail(sentence: str) -> int:
    print(f"bench: {sentence}", file=sys.stderr)
    return 1


def present(only: str | None) -> list[Contender]:
    chosen = []
    for contender in ALL:
        if only and contender.name not in only.split(","):
            continue
        if contender.binary():
            chosen.append(contender)
            print(f"- {contender.name}: {contender.version()}")
        else:
            print(f"- {contender.name}: skipped, not installed ({contender.missing})")
    return chosen


def measure_all(
    contenders: list[Contender], scenarios: list[Scenario], options: argparse.Namespace, scratch: Path,
    cores: list[int],
) -> Results:
    shim = scratch / "clientcert.so"
    source = Path(__file__).with_name("clientcert.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, source, "-ldl", "-lssl"], check=True)
    certificates = Certificates.mint(scratch)
    client = certificates.client_directory
    load = LoadGenerator(shim, client / "tls.crt", client / "tls.key", cores[1], scratch)
    results: Results = {contender.name: {} for contender in contenders}
    upstream_port = free_port()
    with Running(upstream(scratch, upstream_port), cores[1], upstream_port, scratch / "upstream.out"):
        for number in range(options.rounds):
            for contender in contenders:
                setup = Setup(certificates, free_port(), upstream_port, scratch)
                command, environment = contender.command(setup)
                values = results[contender.name]
                with Running(command, cores[0], setup.port, scratch / f"{contender.name}.out", environment) as running:
                    # Idle connections come first: the process is still fresh.
                    record(values, "idle KB", idle_connection_bytes(running.pid, setup, options.idle) / 1000)
                with Running(command, cores[0], setup.port, scratch / f"{contender.name}.out", environment) as running:
                    for scenario in scenarios:
                        sample = load.run(
                            running.pid, f"https://127.0.0.1:{setup.port}{scenario.path}",
                            connections=scenario.connections, warm_up=options.warm_up, window=options.window,
                            total_rate=scenario.total_rate, streams=scenario.streams)
                        record_sample(values, scenario, sample)
                progress(number, options.rounds, contender, values, scenarios)
    return results


def record(values: dict[str, list[float]], key: str, value: float) -> None:
    values.setdefault(key, []).append(value)


def record_sample(values: dict[str, list[float]], scenario: Scenario, sample: Sample) -> None:
    record(values, f"{scenario.title} µs", sample.cpu_per_request)
    record(values, f"{scenario.title} req/s", sample.rate)
    record(values, f"{scenario.title} core %", sample.cpu_share)
    record(values, f"{scenario.title} p50", sample.latency(50))
    record(values, f"{scenario.title} p99", sample.latency(99))
    record(values, f"{scenario.title} failures", sample.failures)
    if not scenario.total_rate:
        record(values, f"{scenario.title} PSS MB", sample.pss / 1e6)


def progress(
    number: int, rounds: int, contender: Contender, values: dict[str, list[float]], scenarios: list[Scenario],
) -> None:
    shown = ", ".join(f"{scenario.title}: {values[f'{scenario.title} µs'][-1]:.1f} µs" for scenario in scenarios)
    print(f"round {number + 1}/{rounds} {contender.name}: {shown}", flush=True)


def upstream(scratch: Path, port: int) -> list[str]:
    """nginx with fixed answers: 64 bytes from the configuration, 64 KiB by sendfile from memory."""
    (scratch / "65536").write_bytes(os.urandom(65536))
    return nginx_command(scratch, "upstream", f"""
    sendfile on;
    tcp_nopush on;
    open_file_cache max=10;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /64 {{ return 200 "{"x" * 64}"; }}
        location = /65536 {{ root {scratch}; }}
    }}""")


def idle_connection_bytes(pid: int, setup: Setup, count: int) -> float:
    """Additional memory of one mTLS connection that made one request and now waits for the next."""
    context = ssl.create_default_context(cafile=setup.certificates.ca)
    pair = setup.certificates.client_directory
    context.load_cert_chain(pair / "tls.crt", pair / "tls.key")

    def open_one() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", setup.port), timeout=10)
        connection = context.wrap_socket(plain, server_hostname="localhost")
        connection.sendall(b"GET /64 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while not received.endswith(b"x" * 64):
            piece = connection.recv(4096)
            if not piece:
                raise RuntimeError(f"connection closed after {received!r}")
            received += piece
        return connection

    for connection in [open_one() for _ in range(20)]:
        connection.close()
    time.sleep(0.3)
    before = pss_bytes(pid)
    connections = [open_one() for _ in range(count)]
    time.sleep(0.5)
    grown = pss_bytes(pid) - before
    for connection in connections:
        connection.close()
    return grown / count


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def report(contenders: list[Contender], scenarios: list[Scenario], results: Results) -> None:
    reference = "haproxy" if "haproxy" in results else contenders[0].name
    rows: list[tuple[str, str, str]] = []
    for scenario in scenarios:
        rows.append((f"CPU per request, {scenario.title}", f"{scenario.title} µs", "µs"))
    for scenario in scenarios:
        rows.append((f"p50, {scenario.title}", f"{scenario.title} p50", "ms"))
        rows.append((f"p99, {scenario.title}", f"{scenario.title} p99", "ms"))
    rows.append(("memory (PSS), 64 B, saturation", "64 B, saturation PSS MB", "MB"))
    rows.append(("memory (PSS), 64 KiB, saturation", "64 KiB, saturation PSS MB", "MB"))
    rows.append(("memory per idle mTLS connection", "idle KB", "KB"))
    names = [contender.name for contender in contenders]
    print(f"\nMedian of the rounds' ratios to {reference} (below 1 is better), absolute median in parentheses.\n")
    print("| measure | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(names))
    for title, key, unit in rows:
        cells = []
        for name in names:
            pairs = zip(results[name][key], results[reference][key])
            ratio = median([own / base for own, base in pairs if base > 0])
            cells.append(f"{ratio:.2f} ({median(results[name][key]):.3g} {unit})")
        print(f"| {title} | " + " | ".join(cells) + " |")
    print("\nThroughput at saturation, where load generator and upstream share a core and may be the limit:\n")
    print("| measure | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(names))
    for scenario in scenarios:
        cells = [
            f"{median(results[name][f'{scenario.title} req/s']):.0f}/s at "
            f"{median(results[name][f'{scenario.title} core %']):.1f} %" for name in names]
        print(f"| {scenario.title}: requests, core used | " + " | ".join(cells) + " |")
    for name in names:
        for scenario in scenarios:
            if failures := sum(results[name][f"{scenario.title} failures"]):
                print(f"\n**{name}: {failures:.0f} failed requests in “{scenario.title}”**")


if __name__ == "__main__":
    sys.exit(main())
