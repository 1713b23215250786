"""Standard streams that are closed, full or broken: nothing hangs, nothing is written to the wrong place, what is lost is counted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import needs_root
from kit.monitor import metrics
from kit.pki import Authority
from kit.process import wait_until
from kit.proxy import Proxy, bare_environment, free_port
from kit.webhook import NAME, Webhook


def restart(proxy: Proxy | Webhook, **streams) -> subprocess.Popen:
    """The same process again, with other standard streams."""
    command, environment = proxy.process.command, dict(proxy.process.environment)
    proxy.process.stop()
    child = proxy.process.child = subprocess.Popen(
        command, env=environment, **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                                     "stderr": subprocess.DEVNULL} | streams)
    return child


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that takes nothing more and that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4_096)
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


# Nobody reads from the start


def test_a_proxy_starts_serves_and_ends_although_nobody_reads(start_proxy, full_pipe):
    proxy = start_proxy()
    child = restart(proxy, stdout=full_pipe)
    proxy.wait_ready()
    with proxy.connect() as client:
        assert client.request("/echo").status == 200
    started = time.monotonic()
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0
    assert time.monotonic() - started < 8


def test_a_webhook_starts_and_ends_although_nobody_reads(binary, directory, full_pipe):
    pair = Authority("Webhook CA").server(dns=(NAME,)).write(directory / "pair")
    webhook = Webhook(binary, directory, tls=pair)
    child = restart(webhook, stdout=full_pipe)
    try:
        webhook.wait_ready()
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
    finally:
        webhook.stop()


@pytest.mark.parametrize("blocked", ["stdout", "stderr", "both"])
def test_a_fatal_error_comes_out_where_somebody_reads(binary, full_pipe, blocked):
    streams = {name: full_pipe if blocked in (name, "both") else subprocess.PIPE for name in ("stdout", "stderr")}
    child = subprocess.Popen([str(binary), "run"], env=bare_environment() | {"LOG_LEVEL": "loud"}, **streams)
    out, err = child.communicate(timeout=15)
    assert child.returncode == 1
    for text in (out, err):
        assert text is None or b"LOG_LEVEL=loud" in text


# Closed


@pytest.mark.parametrize("closed", [[1], [0, 1], [0, 1, 2]], ids=["output", "input and output", "all"])
def test_closed_streams_are_not_taken_for_something_else(start_proxy, closed):
    """The lowest free number goes to the next socket, and the log would be written into it."""
    proxy = start_proxy(WORKER_THREADS="2")
    command, environment = proxy.process.command, dict(proxy.process.environment)
    proxy.process.stop()
    redirections = " ".join("<&-" if number == 0 else f"{number}>&-" for number in closed)
    child = proxy.process.child = subprocess.Popen(
        ["sh", "-c", f'exec "$0" "$@" {redirections}', *command], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    proxy.wait_ready()
    for number in range(3):
        assert os.readlink(f"/proc/{child.pid}/fd/{number}") == "/dev/null"
    with proxy.connect() as client:
        for _ in range(500):
            assert client.request("/echo/" + "x" * 1_000).status == 200
    child.send_signal(signal.SIGTERM)
    assert child.wait(5) == 0


# Full


def on_a_small_disk(proxy: Proxy, disk: Path, during: Callable[[Path], None]) -> None:
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)], check=True)
    try:
        with (disk / "log").open("ab") as output:
            child = restart(proxy, stdout=output)
        proxy.wait_ready()
        during(disk / "log")
        child.send_signal(signal.SIGTERM)
        assert child.wait(5) == 0
    finally:
        proxy.process.kill()
        subprocess.run(["umount", str(disk)], check=True)


def test_lines_that_a_full_disk_costs_are_counted_and_the_rest_is_whole(start_proxy, directory):
    needs_root()
    proxy = start_proxy(ENABLE_METRICS="true", WORKER_THREADS="1")

    def dropped() -> float:
        return metrics(proxy).value("sidecar_log_lines_dropped_total")

    def requests(letter: str, count: int, length: int) -> None:
        with proxy.connect() as client:
            for _ in range(count):
                assert client.request("/echo/" + letter * length).status == 200

    def during(log: Path) -> None:
        requests("x", 100, 900)
        wait_until(lambda: dropped() > 0, "losses are counted")
        subprocess.run(["mount", "-o", "remount,size=1m", str(log.parent)], check=True)
        requests("y", 10, 90)
        wait_until(lambda: log.read_bytes().count(b"yyyy\"") == 10, "there is room again")
        lines = [json.loads(line) for line in log.read_bytes().splitlines()]
        kept = sum(line["message"] == "access" for line in lines)
        assert kept + dropped() == 110
        told = [line for line in lines if line["message"].startswith("log lines dropped")]
        assert sum(int(line["lines"]) for line in told) == dropped()
        assert all("No space left" in line["message"] for line in told)

    on_a_small_disk(proxy, directory / "disk", during)


@pytest.mark.parametrize("arguments", [
    ["doctor"], ["doctor", "--output", "json"], ["certs", "check"], ["certs", "check", "--output", "json"],
    ["init", "--dry-run"], ["init", "--dry-run", "--output", "json"],
])
def test_what_cannot_be_said_is_a_failure(binary, identities, arguments):
    settings = {
        "SERVER_CERT_DIR": str(identities.server_directory), "CLIENT_CERT_DIR": str(identities.client_directory),
        "CA_DIR": str(identities.ca_directory), "MONITOR_PORT": str(free_port()),
    }
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [str(binary), *arguments], env=bare_environment() | settings, stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=20)
    assert done.returncode == 1
    assert "sidecar: cannot write standard output: No space left on device\n" in done.stderr
