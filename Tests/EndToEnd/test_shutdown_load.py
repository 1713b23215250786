"""SIGTERM under load: who honours `Connection: close` and GOAWAY loses nothing, and the proxy ends with 0 in time."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable

import pytest
from kit import h2wire
from kit.forward import ForwardProxy, Servers
from kit.wire import Closed

LIMIT = 10
#: How long the load runs before the signal, and how long the tunnel is in use after it.
BEFORE, AFTER = 1.5, 1.5
STREAMS = 10
GONE = (ConnectionError, ssl.SSLError, Closed)


class Client:
    """One client at work in a thread until the proxy takes no more connections."""

    def __init__(self, forward: ForwardProxy, work: Callable[["Client"], None], signalled: threading.Event):
        self.forward, self.signalled = forward, signalled
        self.succeeded = self.succeeded_late = self.goodbyes = 0
        self.failures: list[str] = []
        self.thread = threading.Thread(target=self.run, args=(work,))
        self.thread.start()

    def run(self, work: Callable[["Client"], None]) -> None:
        try:
            while work(self):
                pass
        except Exception as error:
            self.failures.append(repr(error))

    def count(self, answered: bool, what: object) -> None:
        if not answered:
            self.failures.append(f"{what}")
            return
        self.succeeded += 1
        self.succeeded_late += self.signalled.is_set()

    def is_refused(self, error: Exception) -> bool:
        """No connection came about: an end after the signal, a failure before it."""
        if not self.signalled.is_set():
            raise error
        return False


def http1(client: Client) -> bool:
    """One connection, kept as long as the proxy lets it; False when there is no other to be had."""
    try:
        connection = client.forward.proxy.connect()
    except GONE as error:
        return client.is_refused(error)
    with connection:
        while True:
            answer = connection.request("/echo", "POST", body=b"x" * 500)
            client.count(answer.status == 200 and answer.json["body_length"] == 500, answer)
            if answer.closes:
                client.goodbyes += 1
                assert connection.is_closed()
                return True


def http2(client: Client) -> bool:
    """One connection with streams side by side; those that the proxy says it never took may be tried again."""
    try:
        connection = h2wire.connect(client.forward.proxy)
    except GONE as error:
        return client.is_refused(error)
    with connection:
        running = []
        while running or not connection.goaways:
            while len(running) < STREAMS and not connection.goaways:
                running.append(connection.open("/echo", "POST", body=b"x" * 500))
            connection.wait(
                lambda: connection.goaways or any(stream.is_done for stream in running), "an answer or a goodbye")
            taken = min((last for last, _ in connection.goaways), default=connection.next_number)
            for stream in [stream for stream in running if stream.is_done or stream.number > taken]:
                running.remove(stream)
                if stream.number <= taken:
                    client.count(stream.status == 200 and stream.json["body_length"] == 500, stream)
            if connection.goaways and running:
                connection.wait(lambda: any(stream.is_done for stream in running), "the rest of the answers")
        client.goodbyes += 1
        connection.wait_over()
    return True


def absolute(client: Client, authority: str) -> bool:
    """URLs at the forward proxy, one connection kept as long as the proxy lets it."""
    try:
        connection = client.forward.connect()
    except GONE as error:
        return client.is_refused(error)
    with connection:
        while True:
            answer = connection.request(f"http://{authority}/echo", "POST", body=b"x" * 500, host=authority)
            client.count(answer.status == 200 and answer.json["body_length"] == 500, answer)
            if answer.closes:
                client.goodbyes += 1
                assert connection.is_closed()
                return True


def tunnel(client: Client, authority: str) -> bool:
    """Bytes to and fro through CONNECT, for a while after the signal too."""
    with client.forward.tunnel(authority) as connection:
        ends = None
        while ends is None or time.monotonic() < ends:
            connection.send(b"ping" * 100)
            client.count(connection.exactly(400) == b"ping" * 100, "an echo")
            if ends is None and client.signalled.is_set():
                ends = time.monotonic() + AFTER
    client.goodbyes += 1
    return False


@pytest.fixture
def servers(directory, identities):
    running = Servers(directory / "servers", identities.authority.server(), identities.ca_file)
    yield running
    running.stop()


def test_no_request_is_lost(start_proxy, servers):
    forward = ForwardProxy(start_proxy, SHUTDOWN_TIMEOUT_SECS=str(LIMIT), WORKER_THREADS="2", ACCESS_LOG="errors")
    process = forward.proxy.process
    signalled = threading.Event()
    authority, site = f"localhost:{servers.echo}", f"localhost:{servers.http}"
    clients = {
        "HTTP/1.1": [Client(forward, http1, signalled) for _ in range(6)],
        "HTTP/2": [Client(forward, http2, signalled) for _ in range(2)],
        "absolute": [Client(forward, lambda client: absolute(client, site), signalled) for _ in range(4)],
        "tunnel": [Client(forward, lambda client: tunnel(client, authority), signalled) for _ in range(2)],
    }
    time.sleep(BEFORE)
    signalled.set()
    process.terminate()
    terminated = time.monotonic()
    code = process.wait(LIMIT)
    seconds = time.monotonic() - terminated
    for group in clients.values():
        for client in group:
            client.thread.join()
    for name, group in clients.items():
        answered, late = sum(client.succeeded for client in group), sum(client.succeeded_late for client in group)
        print(f"{name}: {answered} answered, {late} of them after the signal")
    print(f"ended with {code} after {seconds:.1f} s")
    everyone = [client for group in clients.values() for client in group]
    assert [failure for client in everyone for failure in client.failures] == []
    assert all(client.succeeded > 50 and client.goodbyes > 0 for client in everyone), "each was at work"
    assert all(client.succeeded_late > 0 for client in clients["tunnel"])
    assert code == 0
    assert AFTER <= seconds < AFTER + 2, "it waits for the tunnels, and for nothing else"
    errors = [line for line in map(json.loads, process.stdout.splitlines()) if line["level"] == "error"]
    assert errors == []


def through(near: ForwardProxy, far_port: int, stopping: threading.Event, statuses: list[int]) -> None:
    """Requests that nobody may repeat, until one is refused or it is told to stop."""
    authority = f"localhost:{far_port}"
    with near.connect() as client:
        while not stopping.is_set() and 502 not in statuses[-1:]:
            answer = client.request(f"http://{authority}/echo", "POST", body=b"x" * 500, host=authority)
            statuses.append(answer.status)


def test_a_sidecar_that_calls_it_loses_nothing(start_proxy):
    """Its pooled connections are closed under it; all that fails is what finds no listener any more.

    A connection that the kernel completes between the last accept and the listener's end is reset in its handshake: no
    request was sent over it either.
    """
    far = start_proxy(WORKER_THREADS="2")
    near = ForwardProxy(start_proxy)
    stopping = threading.Event()
    statuses: list[list[int]] = [[] for _ in range(8)]
    threads = [threading.Thread(target=through, args=(near, far.port, stopping, one)) for one in statuses]
    for thread in threads:
        thread.start()
    try:
        time.sleep(BEFORE)
        far.process.terminate()
        assert far.process.wait(3) == 0
    finally:
        time.sleep(0.3)
        stopping.set()
        for thread in threads:
            thread.join()
    flat = [status for one in statuses for status in one]
    print(f"{flat.count(200)} answered, {len(flat) - flat.count(200)} refused")
    assert flat.count(200) > 500 and set(flat) == {200, 502}
    lines = map(json.loads, near.proxy.process.stdout.splitlines())
    failed = [line for line in lines if line.get("response_code") == 502]
    assert len(failed) == flat.count(502)
    reasons = {line["reason"] for line in failed}
    assert all("refused" in reason or "handshake" in reason for reason in reasons), reasons
