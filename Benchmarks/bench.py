#!/usr/bin/env python3
"""Compares the sidecar with haproxy, nginx, nghttpx and envoy as mTLS reverse proxies on this machine.

    bench.py [--quick] [--rounds N] [--rows h1,h2,grpc] [--only haproxy,sidecar] [--json FILE]

The contender has one core to itself; upstream (nginx, for gRPC nghttpd) and load generator (h2load) share
another. Wall time on shared machines is noise, so the measure is CPU per request, in interleaved rounds
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
from contextlib import ExitStack
from pathlib import Path

import upstreams
from check import check
from contenders import ALL, Certificates, Contender, Running, Setup
from measure import LoadGenerator, busy_cores, pss_bytes
from report import Results, report
from scenarios import GROUPS, SCENARIOS, Scenario

TOOLS = {
    "h2load": "nghttp2-client", "nghttpd": "nghttp2-server", "nginx": "nginx-light", "curl": "curl",
    "cc": "gcc libc6-dev libssl-dev libnghttp2-dev", "openssl": "openssl", "taskset": "util-linux",
}


def main() -> int:
    options = parse()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return fail("two cores are needed: one for the contender, one for load generator and upstream")
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        packages = " ".join(TOOLS[tool] for tool in missing)
        return fail(f"missing: {', '.join(missing)} (packages: {packages})")
    contenders = present(options.only)
    if not contenders:
        return fail("no contender is installed")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    os.sched_setaffinity(0, {cores[1]})
    if (busy := busy_cores()) > 0.1:
        print(f"- warning: other processes use {busy:.1f} cores; take nothing but the ratios, and those with doubt")
    scenarios = [scenario for scenario in SCENARIOS if scenario.group in options.rows]
    # Request logs and upstream bodies stay in memory: no disk in the measurement.
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-", dir=base) as directory:
        try:
            results = Bench(Path(directory), cores, options).run(contenders, scenarios)
        except (RuntimeError, OSError) as error:
            return fail(str(error))
    report([contender.name for contender in contenders], scenarios, results)
    if options.json:
        Path(options.json).write_text(json.dumps(results.json(), indent=1))
    return 1 if results.failures else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two contenders in two minutes, for a first look")
    parser.add_argument("--rounds", type=int, help="odd is best; default 5, with --quick 3")
    parser.add_argument("--rows", default=",".join(GROUPS), help="comma-separated protocols; default %(default)s")
    parser.add_argument("--only", help="comma-separated contenders")
    parser.add_argument("--json", help="write all single results to this file")
    options = parser.parse_args()
    options.rows = options.rows.split(",")
    if unknown := set(options.rows) - set(GROUPS):
        parser.error(f"--rows: {', '.join(sorted(unknown))} is none of {', '.join(GROUPS)}")
    options.only = options.only.split(",") if options.only else [contender.name for contender in ALL]
    if unknown := set(options.only) - {contender.name for contender in ALL}:
        parser.error(f"--only: {', '.join(sorted(unknown))} is no contender")
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.warm_up, options.window = (0.3, 0.6) if options.quick else (0.5, 1.5)
    options.idle = 100 if options.quick else 300
    return options


def fail(sentence: str) -> int:
    print(f"bench: {sentence}", file=sys.stderr)
    return 1


def present(only: list[str]) -> list[Contender]:
    chosen = []
    for contender in ALL:
        if contender.name not in only:
            continue
        if contender.binary():
            chosen.append(contender)
            print(f"- {contender.name}: {contender.version()}")
        else:
            print(f"- {contender.name}: skipped, not installed ({contender.missing})")
    return chosen


class Bench:
    """One run of all rounds: the pieces that every measurement shares."""

    def __init__(self, scratch: Path, cores: list[int], options: argparse.Namespace):
        self.scratch, self.cores, self.options = scratch, cores, options
        self.certificates = Certificates.mint(scratch)
        self.bodies = upstreams.write_bodies(scratch)
        shim = scratch / "h2load_shim.so"
        source = Path(__file__).with_name("h2load_shim.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, source, "-ldl", "-lssl"], check=True)
        client = self.certificates.client_directory
        self.load = LoadGenerator(shim, client / "tls.crt", client / "tls.key", cores[1], scratch)
        self.http1_port, self.grpc_port = free_port(), free_port()
        self.results = Results()

    def run(self, contenders: list[Contender], scenarios: list[Scenario]) -> Results:
        with ExitStack() as stack:
            for name, command, port in (
                ("http1", upstreams.http1(self.scratch, self.http1_port, self.bodies), self.http1_port),
                ("grpc", upstreams.grpc(self.scratch, self.grpc_port), self.grpc_port),
            ):
                stack.enter_context(Running(command, self.cores[1], port, self.scratch / f"upstream-{name}.out"))
            for number in range(self.options.rounds):
                for contender in contenders:
                    if "h1" in self.options.rows:
                        self.measure_idle(contender)
                    for h2c in (False, True):
                        self.measure(contender, [scenario for scenario in scenarios if scenario.grpc == h2c], h2c)
                    print(f"round {number + 1}/{self.options.rounds} {self.progress(contender, scenarios)}", flush=True)
        return self.results

    def start(self, contender: Contender, h2c: bool) -> tuple[Running, Setup]:
        upstream_port = self.grpc_port if h2c else self.http1_port
        setup = Setup(self.certificates, free_port(), upstream_port, h2c, self.scratch)
        command, environment = contender.command(setup)
        log = self.scratch / f"{contender.name}.out"
        return Running(command, self.cores[0], setup.port, log, environment), setup

    def measure(self, contender: Contender, scenarios: list[Scenario], h2c: bool) -> None:
        """One sample of each scenario from a fresh process; what failed once is not tried again."""
        scenarios = [scenario for scenario in scenarios if (contender.name, scenario) not in self.results.failures]
        if not scenarios:
            return
        process, setup = self.start(contender, h2c)
        try:
            with process as running:
                for scenario in scenarios:
                    self.sample(contender, running.pid, setup, scenario)
        except RuntimeError as error:
            self.results.failures |= {(contender.name, scenario): str(error) for scenario in scenarios}

    def sample(self, contender: Contender, pid: int, setup: Setup, scenario: Scenario) -> None:
        key = contender.name, scenario
        try:
            check(scenario, setup, self.bodies[scenario.path])
            sample = self.load.run(
                pid, setup.port, scenario, warm_up=self.options.warm_up, window=self.window(scenario))
        except RuntimeError as error:
            self.results.failures[key] = str(error)
        except OSError as error:
            self.results.failures[key] = f"the process ended: {error}"
        else:
            self.results.samples.setdefault(key, []).append(sample)

    def window(self, scenario: Scenario) -> float:
        """Seconds of one sample: a proxy that mostly sleeps needs more of them for as many requests."""
        return self.options.window * (2 if scenario.total_rate else 1)

    def measure_idle(self, contender: Contender) -> None:
        process, setup = self.start(contender, False)
        with process as running:
            grown = idle_connection_bytes(running.pid, setup, self.bodies["/64"], self.options.idle)
        self.results.idle_bytes.setdefault(contender.name, []).append(grown)

    def progress(self, contender: Contender, scenarios: list[Scenario]) -> str:
        def last(scenario: Scenario) -> str:
            key = contender.name, scenario
            return "FAILED" if key in self.results.failures else f"{self.results.samples[key][-1].cpu_per_request:.1f}"

        return f"{contender.name}, CPU µs per request: " + "; ".join(
            f"{group} " + ", ".join(last(scenario) for scenario in scenarios if scenario.group == group)
            for group in self.options.rows)


def idle_connection_bytes(pid: int, setup: Setup, body: bytes, count: int) -> float:
    """Additional memory of one mTLS connection that made one request and now waits for the next."""
    context = ssl.create_default_context(cafile=setup.certificates.ca)
    pair = setup.certificates.client_directory
    context.load_cert_chain(pair / "tls.crt", pair / "tls.key")

    def open_one() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", setup.port), timeout=10)
        connection = context.wrap_socket(plain, server_hostname="localhost")
        connection.sendall(b"GET /64 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while not received.endswith(body):
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


if __name__ == "__main__":
    sys.exit(main())
