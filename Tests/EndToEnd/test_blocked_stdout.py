"""A reader of the log that has stopped costs lines, never time."""

import fcntl
import os
import statistics
import subprocess
import time

import pytest
from kit.monitor import metrics
from kit.process import wait_until
from kit.proxy import Proxy

F_SETPIPE_SZ = 1031


class Piped:
    """A running proxy whose stdout is a pipe that the test reads, or does not."""

    def __init__(self, proxy: Proxy):
        """Takes the place of a proxy that was started the usual way."""
        self.proxy = proxy
        self.reader, writer = os.pipe()
        fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
        command, environment = proxy.process.command, dict(proxy.process.environment)
        proxy.stop()
        self.child = proxy.process.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.DEVNULL, env=environment)
        os.close(writer)
        proxy.wait_ready()

    def read_some(self) -> bytes:
        return os.read(self.reader, 1 << 20)


@pytest.fixture
def piped(start_proxy):
    piped = Piped(start_proxy(ENABLE_METRICS="true", WORKER_THREADS="1"))
    yield piped
    os.close(piped.reader)


def latencies(proxy: Proxy, count: int, path: str) -> list[float]:
    taken = []
    with proxy.connect() as client:
        for _ in range(count):
            start = time.perf_counter()
            assert client.request(path).status == 200
            taken.append(time.perf_counter() - start)
    return sorted(taken)


def dropped(proxy: Proxy) -> float:
    return metrics(proxy).value("sidecar_log_lines_dropped_total")


def test_a_full_pipe_does_not_change_latency_and_lines_are_counted(piped):
    proxy = piped.proxy
    path = "/echo/" + "x" * 1000
    undisturbed = latencies(proxy, 1_000, path)  # the pipe is full after three lines; the queue takes the rest
    wait_until(lambda: latencies(proxy, 500, path) and dropped(proxy) > 0, "the queue is full", seconds=60)
    before = dropped(proxy)
    blocked = latencies(proxy, 1_000, path)
    assert dropped(proxy) - before == 1_000, "each request's line is dropped and counted"
    print(f"median {statistics.median(undisturbed) * 1e6:.0f} → {statistics.median(blocked) * 1e6:.0f} µs, "
          f"p99 {undisturbed[-10] * 1e6:.0f} → {blocked[-10] * 1e6:.0f} µs")
    assert statistics.median(blocked) < 1.5 * statistics.median(undisturbed) + 0.0005
    assert blocked[-1] < 1, "nobody waits for the reader"
    assert proxy.monitor("/ready")[0] == 200
    # The reader is back: what was queued comes whole, then a line says what was lost.
    lost = dropped(proxy)
    text = b""
    while b"log lines dropped" not in text.rpartition(b"\n")[0]:
        piece = piped.read_some()
        assert piece
        text = text[-65_536:] + piece
    assert f'"lines":"{lost:.0f}"'.encode() in text


def test_a_drain_does_not_wait_for_the_reader_for_long(piped):
    latencies(piped.proxy, 50, "/echo/" + "x" * 1000)
    started = time.monotonic()
    piped.proxy.process.terminate()
    assert piped.proxy.process.wait(15) == 0
    assert time.monotonic() - started < 10


def test_a_reader_that_is_gone_does_not_end_the_proxy(piped):
    os.close(piped.reader)
    piped.reader = os.open("/dev/null", os.O_RDONLY)
    latencies(piped.proxy, 50, "/echo/gone")
    assert piped.proxy.monitor("/live")[0] == 200
