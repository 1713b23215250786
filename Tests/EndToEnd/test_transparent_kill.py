"""`kill -9` in the middle of requests: nothing leaks, a restart is enough, and the rules stand all the while."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import time

import pytest
from kit.capture import Capture, assert_only_tls
from kit.pod import MONITOR_PORT, Pod, url
from kit.process import Process, wait_until
from kit.transparent import ALL_PORTS, HTTP, PodPair
from kit.wire import Closed, Connection

MARKER = "killed-secret-4d1f"
REQUESTS = 4


class Victims:
    """Two pods with sidecars, whose processes a test may kill and start again."""

    def __init__(self, pods: PodPair):
        self.pods, self.a, self.b = pods, pods.a, pods.b
        self.settings: dict[str, dict[str, str]] = {}
        self.apps: dict[str, Process] = {}
        for pod in (self.a, self.b):
            home = str(pods.identity(pod))
            self.settings[pod.name] = {
                "TRANSPARENT": "true", "TLS_LISTEN_PORT": "", "MONITOR_PORT": str(MONITOR_PORT), "WORKER_THREADS": "1",
                "SERVER_CERT_DIR": home, "CLIENT_CERT_DIR": home, "CA_DIR": str(pods.ca_directory)}
            assert pod.init(pods.binary, **self.settings[pod.name]).returncode == 0
            self.start_app(pod)
            self.start_sidecar(pod)

    def start_app(self, pod: Pod) -> None:
        self.apps[pod.name] = pod.start_app(*ALL_PORTS)

    def start_sidecar(self, pod: Pod) -> None:
        pod.run_sidecar(self.pods.binary, self.settings[pod.name])

    def capture(self) -> Capture:
        return Capture(self.pods.network.namespace, self.b.port)

    def verify(self) -> None:
        for pod in (self.a, self.b):
            done = pod.init(self.pods.binary, "--verify", **self.settings[pod.name])
            assert done.returncode == 0, done.stderr

    def sides(self, pod: Pod) -> set[str]:
        """Which kinds of connections the sidecar of a pod has."""
        return {connection["side"] for connection in json.loads(pod.monitor("/connections")[1])["connections"]}

    def call(self) -> None:
        """The application of pod a is answered by that of pod b, over both families, and no one else is."""
        for address in self.b.addresses:
            done = self.a.curl("--fail", url(address, HTTP, f"/echo/{MARKER}"))
            assert done.returncode == 0 and json.loads(done.stdout)["target"] == f"/echo/{MARKER}", done.stderr
            assert self.pods.stranger.curl(url(address, HTTP, f"/echo/{MARKER}"), seconds=2).returncode != 0


class InFlight:
    """Requests of pod a that pod b's application has begun and will not have ended soon, one of them an upload."""

    def __init__(self, victims: Victims):
        before = self.seen(victims)
        self.connections = [
            Connection(victims.a.connect(victims.b.addresses[number % 2], HTTP), seconds=8)
            for number in range(REQUESTS)]
        for connection in self.connections[:-1]:
            connection.send(f"GET /slow/20?{MARKER} HTTP/1.1\r\nHost: b.test\r\n\r\n".encode())
        self.connections[-1].send(
            f"POST /upload HTTP/1.1\r\nHost: b.test\r\nContent-Length: 10000000\r\n\r\n{MARKER}".encode())
        wait_until(lambda: self.seen(victims) >= before + REQUESTS, "all requests have reached the application")

    @staticmethod
    def seen(victims: Victims) -> int:
        # Loopback traffic of a pod is never captured: this asks the application itself.
        targets = json.loads(victims.b.curl(url("127.0.0.1", HTTP, "/seen")).stdout)["targets"]
        return sum("/slow/20" in target or "/upload" in target for target in targets)

    def keep_sending(self) -> None:
        """The upload goes on as its application knows nothing yet."""
        with contextlib.suppress(OSError):
            self.connections[-1].send(MARKER.encode() * 1000)

    def outcomes(self) -> list[int]:
        """The status of each answer; 0 where the connection just ends."""

        def outcome(connection: Connection) -> int:
            with connection:
                try:
                    return connection.response().status
                except (ConnectionError, Closed):
                    return 0

        with concurrent.futures.ThreadPoolExecutor(REQUESTS) as several:
            return list(several.map(outcome, self.connections))


class Holdings:
    """What a sidecar holds when nobody asks anything of it, to be compared with what it holds later."""

    #: Buffers that a burst of requests has made, and connections between the sidecars that stand by for the next ones.
    SPARE_BYTES, SPARE_DESCRIPTORS = 4 << 20, REQUESTS

    def __init__(self, pod: Pod):
        self.pod, self.process = pod, pod.sidecar
        self.descriptors, self.memory = pod.sidecar.open_descriptors(), pod.sidecar.rss_bytes()

    def assert_kept(self) -> None:
        assert self.process.is_running
        wait_until(lambda: self.process.open_descriptors() <= self.descriptors + self.SPARE_DESCRIPTORS,
                   f"pod {self.pod.name} keeps no descriptor")
        assert self.process.rss_bytes() <= self.memory + self.SPARE_BYTES


@pytest.fixture
def victims(fresh_pods):
    return Victims(fresh_pods)


def test_the_application_is_killed(victims):
    victims.call()
    before = [Holdings(pod) for pod in (victims.a, victims.b)]
    with victims.capture() as capture:
        requests = InFlight(victims)
        victims.apps["b"].kill()
        requests.keep_sending()
        assert requests.outcomes() == [502] * REQUESTS
        done = victims.a.curl("-w", "%{http_code}", url(victims.b.ipv4, HTTP, f"/echo/{MARKER}"))
        assert done.stdout[-3:] == "502"
        victims.start_app(victims.b)
        victims.call()
    assert_only_tls_between_pods(victims, capture)
    for holdings in before:
        holdings.assert_kept()
    wait_until(lambda: victims.sides(victims.a) <= {"upstream"}, "nothing of the application's is left open")
    victims.verify()


@pytest.mark.parametrize("name", ["a", "b"], ids=["of the caller", "of the server"])
def test_a_sidecar_is_killed(victims, name):
    pod, survivor = {"a": (victims.a, victims.b), "b": (victims.b, victims.a)}[name]
    victims.call()
    first, other = Holdings(pod), Holdings(survivor)
    with victims.capture() as capture:
        requests = InFlight(victims)
        pod.sidecar.kill()
        requests.keep_sending()
        # The caller's own sidecar is its TCP peer; the other one's end is told as an answer.
        assert requests.outcomes() == [{"a": 0, "b": 502}[name]] * REQUESTS
        victims.verify()
        done = victims.a.curl("--fail", url(victims.b.ipv4, HTTP, f"/echo/{MARKER}"), seconds=2)
        assert done.returncode != 0, "answered without a proxy"
        began = time.monotonic()
        victims.start_sidecar(pod)
        assert time.monotonic() - began < 3
        victims.call()
    assert_only_tls_between_pods(victims, capture)
    other.assert_kept()
    # The new one is as the old one was.
    first.process = pod.sidecar
    first.assert_kept()
    wait_until(lambda: victims.sides(victims.a) <= {"upstream"}, "nothing of the application's is left open")
    victims.verify()


def test_it_is_killed_again_and_again(victims):
    """What a survivor loses with its peer does not add up."""
    victims.call()
    holdings = Holdings(victims.a)
    for _ in range(10):
        requests = InFlight(victims)
        victims.b.sidecar.kill()
        assert requests.outcomes() == [502] * REQUESTS
        victims.start_sidecar(victims.b)
        victims.call()
    holdings.assert_kept()
    victims.verify()


def assert_only_tls_between_pods(victims: Victims, capture: Capture) -> None:
    """The stranger speaks plain text to the wire, as strangers do, so only what the pods say is looked at."""
    strangers = victims.pods.stranger.addresses
    capture.streams = {
        flow: stream for flow, stream in capture.streams.items()
        if flow.source not in strangers and flow.destination not in strangers}
    assert_only_tls(capture, MARKER.encode())
