"""Every metric of docs/monitoring.md is there from the start, and sums are right under load.

That each of them moves is in `test_metrics_requests.py`, `_handshakes`, `_upstream`, `_plaintext` and `_process`; that none
is missing there in `test_metrics_complete.py`.
"""

import concurrent.futures
import json
import socket
import struct
import threading
import time

import pytest
from kit import h2wire
from kit.forward import ForwardProxy, Servers
from kit.monitor import Metrics, metrics
from kit.process import wait_until

#: Those that have no prefix, and a value before anything has happened.
UNPREFIXED = {
    "tls_reloads_total", "mtls_failures_total", "requests_total", "outbound_requests_total",
    "outbound_request_failures_total", "outbound_connect_success_total", "outbound_connect_failure_total",
    "outbound_upgrade_success_total", "outbound_upgrade_failure_total", "outbound_bytes_sent_total",
    "outbound_bytes_received_total", "outbound_connect_duration_seconds_count",
    "outbound_upgrade_duration_seconds_count",
}
PREFIXED = {
    "request_duration_seconds_count", "handshake_failures_total", "connections_open", "connections_opened_total",
    "request_bytes_total", "response_bytes_total", "upstream_errors_total", "tls_reload_failures_total",
    "plaintext_requests_total", "retries_total", "http2_violations_total", "log_lines_dropped_total",
}


@pytest.fixture
def proxy(start_proxy):
    return start_proxy(ENABLE_METRICS="true")


def test_all_are_there_from_the_start(proxy):
    page = metrics(proxy)
    for name in UNPREFIXED | {f"sidecar_{name}" for name in PREFIXED}:
        assert page.value(name) == 0, name
    assert page.value("sidecar_build_info") == 1
    assert page.value("sidecar_ready") == 1


def test_they_are_off_unless_asked_for(start_proxy):
    status, text = start_proxy().monitor("/metrics")
    assert status == 404 and "ENABLE_METRICS" in text


# Under load

WORKERS, ROUNDS = 4, 60
#: The body of each POST, and what the application answers with.
BODY, ANSWER = b"0123456789" * 30, 1_234


class Ledger:
    """What the clients have done, to be compared with what the proxy has counted."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts: dict[str, int] = {}

    def add(self, **counts: int) -> None:
        with self.lock:
            for name, count in counts.items():
                self.counts[name] = self.counts.get(name, 0) + count

    def __getitem__(self, name: str) -> int:
        return self.counts.get(name, 0)


@pytest.fixture
def servers(scratch, identities):
    running = Servers(scratch / "summed", identities.authority.server(), identities.ca_file)
    yield running
    running.stop()


def whole_requests(proxy, ledger: Ledger) -> None:
    with proxy.connect() as client:
        for _ in range(ROUNDS):
            assert client.request(f"/bytes/{ANSWER}", "POST", body=BODY).status == 200
            ledger.add(inbound=1, whole=1, up=len(BODY), down=ANSWER)


def aborted_requests(proxy, ledger: Ledger) -> None:
    """The client is gone before the answer; nothing of an answer has come."""
    for _ in range(ROUNDS // 6):
        with proxy.connect() as client:
            client.send(b"GET /slow/2 HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.02)
            client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ledger.add(inbound_sent=1)


def streams(proxy, ledger: Ledger) -> None:
    """Every third is taken back."""
    with h2wire.connect(proxy) as client:
        for number in range(ROUNDS):
            if number % 3:
                assert client.request(f"/bytes/{ANSWER}", "POST", body=BODY).status == 200
                ledger.add(inbound=1, whole=1, up=len(BODY), down=ANSWER)
            else:
                stream = client.open("/slow/2")
                client.send(h2wire.rst_stream(stream.number))
                ledger.add(inbound=1, left=1)


def tunnels(forward: ForwardProxy, authority: str, ledger: Ledger) -> None:
    for _ in range(ROUNDS // 4):
        with forward.tunnel(authority) as client:
            client.send(BODY)
            assert client.exactly(len(BODY)) == BODY
        ledger.add(outbound=1, tunnels=1, out_up=len(BODY), out_down=len(BODY))


def refused_outbound(forward: ForwardProxy, ledger: Ledger) -> None:
    with forward.connect() as client:
        for _ in range(ROUNDS):
            assert client.request("/").status == 400
            ledger.add(outbound=1, failed=1)


def outbound_requests(forward: ForwardProxy, authority: str, ledger: Ledger) -> None:
    with forward.connect() as client:
        for _ in range(ROUNDS):
            url = f"http://{authority}/bytes/{ANSWER}"
            assert client.request(url, "POST", body=BODY, host=authority).status == 200
            ledger.add(outbound=1, out_up=len(BODY), out_down=ANSWER)


def both_workers_hold(proxy) -> bool:
    held = json.loads(proxy.monitor("/connections")[1])["connections"]
    return len({each["worker"] for each in held}) == 2


def test_sums_are_right_while_two_workers_are_busy(start_proxy, servers):
    """Scrapes while clients of every kind are at work: sums never shrink, and in the end nothing is missing."""
    forward = ForwardProxy(start_proxy, ENABLE_METRICS="true", WORKER_THREADS="2", ACCESS_LOG="off")
    proxy, ledger = forward.proxy, Ledger()
    web, echo = f"localhost:{servers.http}", f"localhost:{servers.echo}"
    acts = WORKERS * [
        (whole_requests, proxy, ledger), (streams, proxy, ledger), (aborted_requests, proxy, ledger),
        (tunnels, forward, echo, ledger), (refused_outbound, forward, ledger), (outbound_requests, forward, web, ledger)]
    shared, last = False, metrics(proxy)
    with concurrent.futures.ThreadPoolExecutor(len(acts)) as pool:
        running = [pool.submit(*act) for act in acts]
        while not all(each.done() for each in running):
            now = metrics(proxy)
            assert_counters_grow(last, now)
            shared, last = shared or both_workers_hold(proxy), now
        for each in running:
            each.result()
    assert shared, "the kernel has given connections to both workers"

    def rests() -> bool:
        page = metrics(proxy)
        return not any(page.value(f"sidecar_{name}") for name in ("requests_in_flight", "connections_open"))

    wait_until(rests, "nothing runs any more")
    page = metrics(proxy)
    aborted = page.value("requests_total") - ledger["inbound"]
    # One that is reset before its head was read has not begun.
    assert 0 <= aborted <= ledger["inbound_sent"]
    ended = {name: page.value("sidecar_request_duration_seconds_count", direction="inbound", status_class=name)
             for name in ("2xx", "none")}
    assert ended == {"2xx": ledger["whole"], "none": ledger["left"] + aborted}
    for direction, name in (("inbound", "requests_total"), ("outbound", "outbound_requests_total")):
        for row, labels in (("count", {}), ("bucket", {"le": "+Inf"})):
            assert page.value(f"sidecar_request_duration_seconds_{row}", direction=direction, **labels) == page.value(name)
    assert page.value("sidecar_request_bytes_total", direction="inbound") == ledger["up"]
    assert page.value("sidecar_response_bytes_total", direction="inbound") == ledger["down"]
    assert page.value("outbound_requests_total") == ledger["outbound"]
    assert page.value("outbound_request_failures_total") == ledger["failed"]
    assert page.value("outbound_connect_success_total") == ledger["tunnels"]
    assert page.value("outbound_bytes_sent_total") == ledger["out_up"]
    assert page.value("outbound_bytes_received_total") == ledger["out_down"]
    opened = page.value("sidecar_connections_opened_total", direction="inbound")
    assert opened == page.value("sidecar_handshakes_total", side="server") + page.value("mtls_failures_total")


def assert_counters_grow(before: Metrics, after: Metrics) -> None:
    for family in before.families.values():
        if family.kind != "gauge":
            for key, value in family.samples.items():
                assert after.families[family.name].samples[key] >= value, key
