#!/usr/bin/env python3
"""Compares the sidecar with haproxy, nginx, nghttpx and envoy as mTLS reverse proxies on this machine.

    bench.py [--quick] [--rounds N] [--rows h1,h2,grpc] [--only haproxy,sidecar] [--json FILE]

The contender has one core to itself; upstream (nginx, for gRPC nghttpd) and load generator (h2load) share
another. Wall time on shared machines is noise, so the measure is CPU per request. The machine's speed moves too, so at
saturation the contenders take turns of a tenth of a second: all are up, and all load generators but one are stopped.
At a fixed rate they follow one another. What is reported is the median of the rounds' ratios to haproxy; memory is
measured once, alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import upstreams
from check import check
from contenders import ALL, Certificates, Contender, Running, Setup
from load import Load, LoadGenerator
from match import GAP, MARGIN, TURN, Match, alternate, run_alone
from measure import busy_cores, pss_bytes
from report import Results, report
from scenarios import GROUPS, SCENARIOS, SMALL, Scenario

TOOLS = {
    "h2load": "nghttp2-client", "nghttpd": "nghttp2-server", "nginx": "nginx-light", "curl": "curl",
    "cc": "gcc libc6-dev libssl-dev libnghttp2-dev", "openssl": "openssl", "taskset": "util-linux",
}

# Seconds until a load's warm-up begins: h2load starts and makes 64 handshakes.
HANDSHAKES = 0.3


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
    # A load that is stopped would outlive this process: all ways out lead through the blocks that end it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
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
    parser.add_argument("--rounds", type=int, help="odd is best; default 7, with --quick 3")
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
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.warm_up, options.window = (0.3, 0.6) if options.quick else (0.5, 1.0)
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
            for contender in contenders:
                self.measure_memory(contender, scenarios)
            for number in range(self.options.rounds):
                for scenario in scenarios:
                    able = [each for each in contenders if (each.name, scenario) not in self.results.failures]
                    # Turns would let the requests of a fixed rate pile up.
                    for group in [[each] for each in able] if scenario.total_rate else [able]:
                        self.measure(group, scenario)
                for contender in contenders:
                    print(f"round {number + 1}/{self.options.rounds} {self.progress(contender, scenarios)}", flush=True)
        return self.results

    def start(self, contender: Contender, h2c: bool) -> tuple[Running, Setup]:
        upstream_port = self.grpc_port if h2c else self.http1_port
        setup = Setup(self.certificates, free_port(), upstream_port, h2c, self.scratch / contender.name)
        setup.scratch.mkdir(exist_ok=True)
        command, environment = contender.command(setup)
        log = self.scratch / f"{contender.name}.out"
        return Running(command, self.cores[0], setup.port, log, environment), setup

    def measure(self, contenders: list[Contender], scenario: Scenario) -> None:
        """One sample of each, from fresh processes that take turns; what has failed is not tried again."""
        with ExitStack() as stack:
            ready: list[tuple[Contender, Running]] = []
            for contender in contenders:
                with self.noting_failure(contender, scenario):
                    running, setup = self.start(contender, scenario.grpc)
                    stack.enter_context(running)
                    check(scenario, setup, self.bodies[scenario.path])
                    ready.append((contender, running))
            # The loads end together: one whose handshakes take longer costs turns, no more.
            end = time.time() + len(ready) * (self.options.warm_up + HANDSHAKES + self.window(scenario))
            tail = len(ready) * (TURN + GAP) + 2 * MARGIN
            matches: list[tuple[Contender, Match]] = []
            for contender, running in ready:
                with self.noting_failure(contender, scenario):
                    seconds = end + tail - time.time() - self.options.warm_up
                    load = stack.enter_context(self.begin(contender, running, scenario, seconds))
                    load.wait_warm()
                    if len(ready) > 1:
                        load.pause()
                    matches.append((contender, Match(running, load)))
            if len(ready) > 1:
                alternate([match for _, match in matches], end)
            else:
                for _, match in matches:
                    run_alone(match, end)
            for contender, match in matches:
                with self.noting_failure(contender, scenario):
                    self.results.samples.setdefault((contender.name, scenario), []).append(match.finish())

    def begin(self, contender: Contender, running: Running, scenario: Scenario, seconds: float) -> Load:
        return self.load.start(
            contender.name, running.port, scenario, warm_up=self.options.warm_up, seconds=seconds)

    def measure_memory(self, contender: Contender, scenarios: list[Scenario]) -> None:
        """Each alone: processes that run side by side share the pages of their libraries."""
        for scenario in [scenario for scenario in scenarios if not scenario.total_rate]:
            with self.noting_failure(contender, scenario), self.start(contender, scenario.grpc)[0] as running:
                with self.begin(contender, running, scenario, 1.5) as load:
                    load.wait_warm()
                    time.sleep(1)
                    pss = pss_bytes(running.pid)
                    load.finish()
                    self.results.memory[contender.name, scenario] = pss
        if "h1" in self.options.rows:
            with self.start(contender, False)[0] as running:
                self.results.idle_bytes[contender.name] = idle_connection_bytes(
                    running, self.certificates, self.bodies[SMALL], self.options.idle)

    @contextmanager
    def noting_failure(self, contender: Contender, scenario: Scenario) -> Iterator[None]:
        """What fails is reported instead of compared."""
        try:
            yield
        except RuntimeError as error:
            self.results.failures[contender.name, scenario] = str(error)
        except OSError as error:
            self.results.failures[contender.name, scenario] = f"the process ended: {error}"

    def window(self, scenario: Scenario) -> float:
        """Seconds of one sample: a proxy that mostly sleeps needs more of them for as many requests."""
        return self.options.window * (2 if scenario.total_rate else 1)

    def progress(self, contender: Contender, scenarios: list[Scenario]) -> str:
        def last(scenario: Scenario) -> str:
            key = contender.name, scenario
            return "FAILED" if key in self.results.failures else f"{self.results.samples[key][-1].cpu_per_request:.1f}"

        return f"{contender.name}, CPU µs per request: " + "; ".join(
            f"{group} " + ", ".join(last(scenario) for scenario in scenarios if scenario.group == group)
            for group in self.options.rows)


def idle_connection_bytes(running: Running, certificates: Certificates, body: bytes, count: int) -> float:
    """Additional memory of one mTLS connection that made one request and now waits for the next."""
    context = ssl.create_default_context(cafile=certificates.ca)
    pair = certificates.client_directory
    context.load_cert_chain(pair / "tls.crt", pair / "tls.key")

    def open_one() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", running.port), timeout=10)
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
    before = pss_bytes(running.pid)
    connections = [open_one() for _ in range(count)]
    time.sleep(0.5)
    grown = pss_bytes(running.pid) - before
    for connection in connections:
        connection.close()
    return grown / count


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
