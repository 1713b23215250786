"""SIGTERM under load in transparent mode, to the caller's sidecar and to the called one's: what was taken is answered."""

from __future__ import annotations

import json
import threading
import time

import pytest
from conftest import needs_root
from kit.capture import Capture, assert_only_tls
from kit.transparent import ECHO, HTTP, PodPair
from kit.wire import Connection

LIMIT = 10
#: How long the load runs before the signal, and how long the opaque connections are in use after it.
BEFORE, AFTER = 1.5, 1.5
MARKER = b"shutdown-secret-91c2"
LINES = (MARKER + b"\n") * 20


@pytest.fixture
def pods(binary, scratch):
    needs_root()
    pair = PodPair(scratch, binary)
    try:
        for pod in (pair.a, pair.b):
            pair.start(pod, SHUTDOWN_TIMEOUT_SECS=str(LIMIT), CONNECT_TIMEOUT_SECS="1", ACCESS_LOG="errors")
        yield pair
    finally:
        pair.remove()


class Load:
    """Clients in pod a at work in threads until they are refused or told to stop."""

    def __init__(self, pods: PodPair):
        self.pods = pods
        self.signalled, self.stopping = threading.Event(), threading.Event()
        #: Statuses of the answers by client; what a client could not do although it was let in.
        self.statuses: list[list[int]] = [[] for _ in range(6)]
        self.echoes = [0, 0]
        self.echoes_late = [0, 0]
        self.failures: list[str] = []
        work = [lambda n=n: self.request(n) for n in range(6)] + [lambda n=n: self.echo(n) for n in range(2)]
        self.threads = [threading.Thread(target=self.guard, args=(one,)) for one in work]
        for thread in self.threads:
            thread.start()

    def guard(self, work) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001: each counts as a failure
            self.failures.append(repr(error))

    def open(self, number: int, port: int) -> Connection | None:
        """None when no connection is to be had any more."""
        try:
            return Connection(self.pods.a.connect(self.pods.b.addresses[number % 2], port, seconds=3), seconds=8)
        except OSError:
            if not self.signalled.is_set():
                raise
            return None

    def request(self, number: int) -> None:
        """Requests that nobody may repeat, on a connection that is kept as long as the sidecar lets it."""
        mine = self.statuses[number]
        while not self.stopping.is_set() and set(mine) <= {200}:
            connection = self.open(number, HTTP)
            if connection is None:
                return
            with connection:
                while not self.stopping.is_set():
                    answer = connection.request("/echo", "POST", body=MARKER, host="b.test")
                    mine.append(answer.status)
                    if answer.closes:
                        assert connection.is_closed()
                        break
                    if answer.status != 200:
                        return

    def echo(self, number: int) -> None:
        """Opaque bytes to and fro, for a while after the signal too; then the end is told and heard."""
        with self.open(number, ECHO) as connection:
            ends = None
            while ends is None or time.monotonic() < ends:
                connection.send(LINES)
                assert connection.exactly(len(LINES)) == LINES
                self.echoes[number] += 1
                self.echoes_late[number] += self.signalled.is_set()
                if ends is None and self.signalled.is_set():
                    ends = time.monotonic() + AFTER

    def join(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("side", ["the caller's", "the called one's"])
def test_what_was_taken_is_answered(pods, side):
    process = (pods.a if side == "the caller's" else pods.b).sidecar
    with Capture(pods.network.namespace, pods.b.port) as capture:
        load = Load(pods)
        try:
            time.sleep(BEFORE)
            load.signalled.set()
            process.terminate()
            terminated = time.monotonic()
            code = process.wait(LIMIT)
            seconds = time.monotonic() - terminated
            time.sleep(0.3)
        finally:
            load.join()
    flat = [status for one in load.statuses for status in one]
    print(f"{flat.count(200)} answered, {len(flat) - flat.count(200)} refused; echoes {load.echoes}, "
          f"{load.echoes_late} of them late; ended with {code} after {seconds:.1f} s")
    assert load.failures == []
    assert code == 0
    assert AFTER <= seconds < AFTER + 2, "it waits for the opaque connections, and for nothing else"
    assert all(one.count(200) > 50 for one in load.statuses) and min(load.echoes) > 50, "each was at work"
    assert min(load.echoes_late) > 0
    # The caller's sidecar is still there when the called one's is gone, and says what it finds.
    refused = {status for status in flat if status != 200}
    assert refused <= (set() if side == "the caller's" else {502, 504})
    if side == "the called one's":
        lines = map(json.loads, pods.a.sidecar.stdout.splitlines())
        failed = [line for line in lines if line.get("response_code") in refused]
        assert len(failed) == sum(status in refused for status in flat)
        # Nobody listens any more, or nobody is there to refuse: no request that was taken is among them.
        assert all("connect" in line["reason"] and line["response_flags"] == "UF" for line in failed), failed
    assert all(200 not in one[one.index(status):] for one in load.statuses for status in refused & set(one))
    errors = [line for line in map(json.loads, process.stdout.splitlines()) if line["level"] == "error"]
    assert errors == []
    assert_only_tls(capture, MARKER)
