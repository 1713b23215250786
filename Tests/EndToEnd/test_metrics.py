"""Every metric of docs/monitoring.md is there from the start, and moves when what it counts happens."""

import contextlib
import json
import os
import socket
import subprocess
import threading
import time

import pytest
from kit.forward import ForwardProxy, Servers
from kit.monitor import Metrics, metrics
from kit.pki import Authority
from kit.process import status_bytes, wait_until
from kit.proxy import free_port
from kit.transparent import HTTP
from kit.wire import Closed, client_context, connect_plain

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


@pytest.fixture
def forward(start_proxy):
    return ForwardProxy(start_proxy, ENABLE_METRICS="true")


@pytest.fixture(scope="module")
def servers(scratch, identities):
    running = Servers(scratch / "metered", identities.authority.server(), identities.ca_file)
    yield running
    running.stop()


class Change:
    """What a page says more than it said before."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.before = metrics(proxy)

    def of(self, name: str, **labels: str) -> float:
        now = metrics(self.proxy)
        # A port's row comes with the first answer on it.
        before = self.before.value(name, **labels) if labels.get("port") in (None, "other") else 0
        return now.value(name, **labels) - before

    def comes_to(self, count: float, name: str, **labels: str) -> None:
        wait_until(lambda: self.of(name, **labels) == count, f"{name} {labels} grows by {count}", seconds=5)


def test_all_are_there_from_the_start(proxy):
    page = metrics(proxy)
    for name in UNPREFIXED | {f"sidecar_{name}" for name in PREFIXED}:
        assert page.value(name) == 0, name
    assert page.value("sidecar_build_info") == 1
    assert page.value("sidecar_ready") == 1


def test_they_are_off_unless_asked_for(start_proxy):
    status, text = start_proxy().monitor("/metrics")
    assert status == 404 and "ENABLE_METRICS" in text


def test_inbound_requests_by_class_and_their_bytes(proxy):
    change = Change(proxy)
    with proxy.connect() as client:
        sizes = [len(client.request("/echo", "POST", body=b"x" * 1000).body), len(client.request("/bytes/5000").body)]
        for path in ("/status/404", "/status/404", "/status/503", "/status/301"):
            sizes.append(len(client.request(path).body))
    change.comes_to(6, "requests_total")
    for status_class, count in {"2xx": 2, "3xx": 1, "4xx": 2, "5xx": 1}.items():
        change.comes_to(
            count, "sidecar_request_duration_seconds_count", direction="inbound", status_class=status_class)
    change.comes_to(1000, "sidecar_request_bytes_total", direction="inbound")
    change.comes_to(sum(sizes), "sidecar_response_bytes_total", direction="inbound")
    assert change.of("outbound_requests_total") == 0


def test_durations_are_those_of_the_requests(proxy):
    with proxy.connect() as client:
        client.request("/slow/0.4")
    page = metrics(proxy)
    labels = {"direction": "inbound", "status_class": "2xx"}
    assert 0.4 <= page.value("sidecar_request_duration_seconds_sum", **labels) < 0.5
    assert page.value("sidecar_request_duration_seconds_bucket", le="0.25", **labels) == 0
    assert page.value("sidecar_request_duration_seconds_bucket", le="0.5", **labels) == 1
    assert page.value("sidecar_request_duration_seconds_bucket", le="+Inf", **labels) == 1


def test_requests_and_connections_that_are_open(proxy):
    with proxy.connect() as client:
        client.send(b"GET /slow/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: metrics(proxy).value("sidecar_requests_in_flight") == 1, "one request is in flight")
        page = metrics(proxy)
        assert page.value("sidecar_connections_open", direction="inbound") == 1
        assert page.value("sidecar_upstream_connections_open", direction="inbound") == 1
        client.response()
        wait_until(lambda: metrics(proxy).value("sidecar_requests_in_flight") == 0, "none is left")
    wait_until(lambda: metrics(proxy).value("sidecar_connections_open") == 0, "the connection is closed")
    page = metrics(proxy)
    assert page.value("sidecar_connections_opened_total", direction="inbound") == 1
    assert page.value("sidecar_upstream_connections_opened_total", direction="inbound") == 1


def test_a_client_that_leaves_is_of_no_class(proxy):
    with proxy.connect() as client:
        client.send(b"GET /slow/5 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: metrics(proxy).value("sidecar_requests_in_flight") == 1, "the request is in flight")
        client.stream.shutdown(socket.SHUT_RDWR)
    wait_until(
        lambda: metrics(proxy).value("sidecar_request_duration_seconds_count", status_class="none") == 1, "it ended")


def test_http2_requests_count_like_others(proxy):
    identities = proxy.identities
    done = subprocess.run(
        ["curl", "-sS", "--http2", "--max-time", "5", "--cacert", str(identities.ca_file),
         "--cert", str(identities.caller_directory / "tls.crt"), "--key", str(identities.caller_directory / "tls.key"),
         f"https://localhost:{proxy.port}/echo", f"https://localhost:{proxy.port}/status/404"], capture_output=True)
    assert done.returncode == 0, done.stderr
    page = metrics(proxy)
    assert page.value("requests_total") == 2
    assert page.value("sidecar_request_duration_seconds_count", status_class="4xx") == 1
    assert page.value("sidecar_requests_in_flight") == 0


@pytest.mark.parametrize("kind, reason", [
    ("stranger", "unknown_ca"), ("expired", "expired"), ("early", "not_yet_valid"), ("server", "wrong_purpose"),
    ("none", "no_certificate"), ("plain", "not_tls"), ("gone", "truncated"),
])
def test_failed_handshakes_by_reason(proxy, identities, directory, kind, reason):
    pairs = {
        "stranger": identities.stranger.client, "expired": identities.authority.expired,
        "early": identities.authority.not_yet_valid, "server": identities.authority.server,
    }
    change = Change(proxy)
    with contextlib.suppress(OSError, Closed):
        if kind == "plain":
            with proxy.connect_plain() as client:
                client.request("/")
        elif kind == "gone":
            proxy.connect_plain().close()
        elif kind == "none":
            with proxy.connect_without_certificate() as client:
                client.request("/")
        else:
            with proxy.connect(pairs[kind]().write(directory / kind)) as client:
                client.request("/")
    change.comes_to(1, "mtls_failures_total")
    change.comes_to(1, "sidecar_handshake_failures_total", side="server", reason=reason)
    assert change.of("sidecar_handshakes_total", side="server") == 0


def test_handshakes_and_resumptions(proxy, identities):
    context = client_context(identities.ca_file, identities.caller_directory)
    session = None
    for _ in range(2):
        with socket.create_connection(proxy.address) as plain, context.wrap_socket(
                plain, server_hostname="localhost", session=session) as tls:
            tls.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while tls.recv(65_536):
                pass
            session = tls.session
    page = metrics(proxy)
    assert page.value("sidecar_handshakes_total", side="server") == 2
    assert page.value("sidecar_handshakes_resumed_total", side="server") == 1


@pytest.mark.parametrize("path, reason", [
    ("/nonsense", "malformed_answer"), ("/reset", "connection_broken")])
def test_upstream_errors_by_reason(proxy, path, reason):
    change = Change(proxy)
    with proxy.connect() as client:
        assert client.request(path, "POST").status == 502
    change.comes_to(1, "sidecar_upstream_errors_total", direction="inbound", reason=reason)


def test_an_upstream_that_hangs_up(start_proxy, start_upstream):
    proxy = start_proxy(upstream_port=start_upstream(lambda stream: stream.recv(65_536)).port, ENABLE_METRICS="true")
    with proxy.connect() as client:
        assert client.request("/", "POST").status == 502
    assert metrics(proxy).value("sidecar_upstream_errors_total", reason="closed_early") == 1


def test_an_upstream_that_refuses_or_is_slow(start_proxy):
    proxy = start_proxy(upstream_port=free_port(), ENABLE_METRICS="true")
    with proxy.connect() as client:
        assert client.request("/").status == 502
    assert metrics(proxy).value("sidecar_upstream_errors_total", reason="connect") == 1
    slow = start_proxy(ENABLE_METRICS="true", RESPONSE_TIMEOUT_SECS="1")
    with slow.connect() as client:
        assert client.request("/slow/3").status == 504
    assert metrics(slow).value("sidecar_upstream_errors_total", reason="response_timeout") == 1


def test_retries(start_proxy, start_upstream):
    def serve(stream):
        stream.recv(65_536)
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        stream.recv(65_536)  # the second request of a connection is never answered

    upstream = start_upstream(serve)
    proxy = start_proxy(upstream_port=upstream.port, ENABLE_METRICS="true")
    with proxy.connect() as client:
        assert [client.request("/").status for _ in range(2)] == [200, 200]
    assert metrics(proxy).value("sidecar_retries_total") == 1


def test_violations_of_http2(proxy, identities):
    with proxy.connect(alpn=("h2",)) as client:
        # A frame of DATA on stream 0.
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\1\0\0\0\0\0\0x")
        with contextlib.suppress(OSError, Closed):
            client.until_close()
    wait_until(lambda: metrics(proxy).value("sidecar_http2_violations_total") == 1, "the violation is counted")


def test_the_limit_of_connections(start_proxy):
    proxy = start_proxy(ENABLE_METRICS="true", MAX_CONNECTIONS="2")
    with proxy.connect() as one, proxy.connect() as two:
        one.request("/echo"), two.request("/echo")
        with connect_plain(proxy.address):
            wait_until(
                lambda: metrics(proxy).value("sidecar_connection_limit_reached_total") > 0, "the limit is counted")


# Outbound


def test_outbound_requests_their_bytes_and_failures(forward, servers):
    change = Change(forward.proxy)
    with forward.connect() as client:
        authority = f"localhost:{servers.http}"
        answer = client.request(f"http://{authority}/echo", "POST", body=b"x" * 700, host=authority)
        assert answer.status == 200
        refused = f"localhost:{free_port()}"
        assert client.request(f"http://{refused}/", host=refused).status == 502
    change.comes_to(2, "outbound_requests_total")
    change.comes_to(1, "outbound_request_failures_total")
    change.comes_to(700, "outbound_bytes_sent_total")
    assert change.of("outbound_bytes_received_total") >= len(answer.body)
    change.comes_to(1, "sidecar_handshakes_total", side="client")
    change.comes_to(1, "sidecar_upstream_errors_total", direction="outbound", reason="connect")
    change.comes_to(1, "sidecar_upstream_connect_duration_seconds_count", direction="outbound")
    assert change.of("requests_total") == 0


def test_connect_by_outcome(forward, servers):
    change = Change(forward.proxy)
    with forward.tunnel(f"localhost:{servers.echo}") as client:
        client.send(b"hello")
        assert client.exactly(5) == b"hello"
    with forward.connect() as client:
        refused = f"localhost:{free_port()}"
        client.send(f"CONNECT {refused} HTTP/1.1\r\nHost: {refused}\r\n\r\n".encode())
        assert client.response().status == 502
    change.comes_to(1, "outbound_connect_success_total")
    change.comes_to(1, "outbound_connect_failure_total")
    change.comes_to(1, "outbound_connect_duration_seconds_count")
    change.comes_to(5, "outbound_bytes_sent_total")
    assert change.of("outbound_bytes_received_total") >= 5
    assert change.of("outbound_upgrade_success_total") == 0


def test_upgrades_by_outcome(forward, servers):
    change = Change(forward.proxy)
    authority = f"localhost:{servers.http}"
    wants = (("Connection", "Upgrade"), ("Upgrade", "echo"))
    with forward.connect() as client:
        assert client.request(f"http://{authority}/echo", headers=wants, host=authority).status == 200
        assert client.request(f"http://{authority}/upgrade", headers=wants, host=authority).status == 101
        client.send(b"hello")
        assert client.exactly(5) == b"hello"
    change.comes_to(1, "outbound_upgrade_success_total")
    change.comes_to(1, "outbound_upgrade_failure_total")
    change.comes_to(1, "outbound_upgrade_duration_seconds_count")
    change.comes_to(1, "sidecar_request_duration_seconds_count", direction="outbound", status_class="1xx")


def test_failed_handshakes_with_servers(forward, scratch):
    unknown = Servers(scratch / "unknown-authority", Authority("Nobody's CA").server())
    try:
        change = Change(forward.proxy)
        with forward.connect() as client:
            authority = f"localhost:{unknown.http}"
            assert client.request(f"http://{authority}/", host=authority).status == 502
        change.comes_to(1, "sidecar_handshake_failures_total", side="client", reason="unknown_ca")
        change.comes_to(1, "sidecar_upstream_errors_total", direction="outbound", reason="handshake")
        assert change.of("mtls_failures_total") == 0, "those are the inbound ones"
    finally:
        unknown.stop()


# Captured


def pod_metrics(pod) -> Metrics:
    status, text = pod.monitor("/metrics")
    assert status == 200
    return Metrics(text)


def test_plaintext_by_port(fresh_pods):
    pods = fresh_pods
    pods.start(pods.a, ENABLE_METRICS="true")
    pods.start(pods.b, ENABLE_METRICS="true")
    assert pods.a.curl(f"http://{pods.b.ipv4}:{HTTP}/echo").returncode == 0
    for port in (HTTP, HTTP, 8123):  # nothing listens on the last
        assert pods.stranger.curl(f"http://{pods.b.ipv4}:{port}/", seconds=5).returncode != 0
    page = pod_metrics(pods.b)
    assert page.value("sidecar_plaintext_requests_total", port=str(HTTP), verdict="refused") == 2
    assert page.value("sidecar_plaintext_requests_total", port="other", verdict="refused") == 1
    assert page.value("sidecar_plaintext_requests_total", verdict="allowed") == 0
    assert pod_metrics(pods.a).value("sidecar_handshakes_total", side="client") == 1


def test_plaintext_that_is_allowed(fresh_pods):
    pods = fresh_pods
    pods.start(pods.b, ENABLE_METRICS="true", INBOUND_PLAINTEXT="allow")
    for _ in range(3):
        assert pods.stranger.curl(f"http://{pods.b.ipv4}:{HTTP}/echo").returncode == 0
    page = pod_metrics(pods.b)
    assert page.value("sidecar_plaintext_requests_total", port=str(HTTP), verdict="allowed") == 3
    assert page.value("requests_total") == 3


# The process


def test_the_process_itself(proxy):
    page = metrics(proxy)
    pid = proxy.process.pid
    rss = proxy.process.rss_bytes()
    assert 0.5 * rss < page.value("process_resident_memory_bytes") < 2 * rss
    assert abs(page.value("process_virtual_memory_bytes") - status_bytes(pid, "VmSize")) < 16 << 20
    assert abs(page.value("process_open_fds") - proxy.process.open_descriptors()) <= 2
    assert page.value("process_max_fds") >= 256
    assert abs(page.value("process_start_time_seconds") - time.time()) < 60
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert abs(page.value("process_cpu_seconds_total") - cpu) <= 0.05


def test_certificates_and_readiness(proxy, identities):
    page = metrics(proxy)
    expected = identities.caller.certificate.not_valid_after_utc.timestamp()
    assert abs(page.value("sidecar_certificate_expiry_timestamp_seconds", role="server") - expected) < 120
    assert abs(page.value("sidecar_certificate_expiry_timestamp_seconds", role="client") - expected) < 120
    authority = identities.authority.pair.certificate.not_valid_after_utc.timestamp()
    assert page.value("sidecar_certificate_expiry_timestamp_seconds", role="client_ca") == authority


def test_reloads_that_are_taken_and_refused(start_proxy, identities, directory):
    home = identities.authority.server().write(directory / "reloaded")
    proxy = start_proxy(ENABLE_METRICS="true", SERVER_CERT_DIR=str(home))
    change = Change(proxy)
    identities.authority.server("second").write(home)
    change.comes_to(1, "tls_reloads_total")
    subject = json.loads(proxy.monitor("/certs")[1])["server"]["subject"]
    assert subject == "CN=second"
    (home / "tls.crt").write_text("nonsense")
    wait_until(lambda: change.of("sidecar_tls_reload_failures_total") >= 1, "the refusal is counted")
    assert change.of("tls_reloads_total") == 1
    assert json.loads(proxy.monitor("/certs")[1])["reloads"]["problems"]


# Under load


def test_sums_are_right_while_workers_are_busy(start_proxy):
    """Scrapes while four clients are at work: sums never shrink, and in the end nothing is missing."""
    proxy = start_proxy(ENABLE_METRICS="true", WORKER_THREADS="2")
    count, threads = 400, 4

    def work() -> None:
        with proxy.connect() as client:
            for _ in range(count):
                assert client.request("/echo", "POST", body=b"0123456789").status == 200

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    last = 0.0
    while any(thread.is_alive() for thread in running):
        now = metrics(proxy).value("requests_total")
        assert now >= last
        last = now
    for thread in running:
        thread.join()
    page = metrics(proxy)
    assert page.value("requests_total") == count * threads
    assert page.value("sidecar_request_duration_seconds_count", status_class="2xx") == count * threads
    assert page.value("sidecar_request_duration_seconds_bucket", status_class="2xx", le="+Inf") == count * threads
    assert page.value("sidecar_request_bytes_total") == 10 * count * threads
    assert page.value("sidecar_requests_in_flight") == 0
