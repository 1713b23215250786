"""A reader of the log that has stopped costs lines, never time."""

import fcntl
import os
import subprocess
import time

import pytest
from kit.monitor import metrics
from kit.process import wait_until
from kit.proxy import Proxy

F_SETPIPE_SZ = 1031
#: Requests of a turn, and how many turns there are at least and at most.
TURN, FEWEST, MOST = 300, 6, 40
#: What is left of noise when of each side only the best turn counts.
NOISE = 1.1


class Piped:
    """A running proxy whose stdout is a small pipe: somebody reads it all the time, or the test does, or nobody."""

    def __init__(self, proxy: Proxy, *, is_drained: bool = False):
        """Takes the place of a proxy that was started the usual way."""
        self.proxy = proxy
        self.reader, writer = os.pipe()
        fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
        command, environment = proxy.process.command, dict(proxy.process.environment)
        proxy.stop()
        self.drain = subprocess.Popen(["cat"], stdin=self.reader, stdout=subprocess.DEVNULL) if is_drained else None
        self.child = proxy.process.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.DEVNULL, env=environment)
        os.close(writer)
        proxy.wait_ready()

    def read_some(self) -> bytes:
        return os.read(self.reader, 1 << 20)

    def close(self) -> None:
        self.proxy.process.kill()
        os.close(self.reader)
        if self.drain:
            self.drain.wait(5)


@pytest.fixture
def piped(start_proxy):
    piped = Piped(start_proxy(ENABLE_METRICS="true", WORKER_THREADS="1"))
    yield piped
    piped.close()


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


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_full_pipe_does_not_change_latency(start_proxy, log_format):
    """Two proxies side by side take turns, one with a reader that keeps up; of each what counts is its best turn.

    Whatever else the machine does makes turns worse, never better: more of them are taken until a quiet one has come to both.
    """
    settings = {"ENABLE_METRICS": "true", "WORKER_THREADS": "2", "LOG_FORMAT": log_format}
    drained, blocked = Piped(start_proxy(**settings), is_drained=True), Piped(start_proxy(**settings))
    path = "/echo/" + "x" * 1000
    try:
        wait_until(
            lambda: latencies(blocked.proxy, 500, path) and dropped(blocked.proxy) > 0, "the queue is full", seconds=60)
        latencies(drained.proxy, 500, path)
        before = dropped(blocked.proxy)
        turns: dict[Piped, list[list[float]]] = {drained: [], blocked: []}

        def best(name: str, piped: Piped) -> float:
            return min(turn[{"median": TURN // 2, "p99": TURN * 99 // 100}[name]] for turn in turns[piped])

        def is_as_good(name: str) -> bool:
            return best(name, blocked) < NOISE * best(name, drained)

        for number in range(1, MOST + 1):
            for piped in (drained, blocked):
                turns[piped].append(latencies(piped.proxy, TURN, path))
            if number >= FEWEST and is_as_good("median") and is_as_good("p99"):
                break
        lines = TURN * len(turns[blocked])
        assert dropped(blocked.proxy) - before == lines, "each request's line is dropped and counted"
        assert dropped(drained.proxy) == 0
    finally:
        drained.close()
        blocked.close()
    told = ", ".join(
        f"{name} {best(name, drained) * 1e6:.0f} → {best(name, blocked) * 1e6:.0f} µs" for name in ("median", "p99"))
    print(f"{log_format}, {len(turns[blocked])} turns: {told}")
    assert is_as_good("median") and is_as_good("p99"), told
    assert max(turn[-1] for turn in turns[blocked]) < 1, "nobody waits for the reader"


def test_lines_that_a_full_pipe_costs_are_counted_and_told(piped):
    proxy = piped.proxy
    path = "/echo/" + "x" * 1000
    wait_until(lambda: latencies(proxy, 500, path) and dropped(proxy) > 0, "the queue is full", seconds=60)
    before = dropped(proxy)
    latencies(proxy, 1_000, path)
    assert dropped(proxy) - before == 1_000, "each request's line is dropped and counted"
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
    wait_until(lambda: dropped(piped.proxy) >= 50, "what nobody can read any more is counted")
