"""Requests by direction, class and outcome, and their bytes to the byte: each case says what moves, and by how much."""

import contextlib
import socket
import struct

import pytest
from kit import h2wire
from kit.forward import ForwardProxy, Servers
from kit.monitor import metrics
from kit.moves import Cases
from kit.process import wait_until
from kit.proxy import free_port
from kit.wire import Closed

CASES = Cases()
UPGRADE = (("Connection", "Upgrade"), ("Upgrade", "echo"))


@pytest.fixture(scope="module")
def servers(scratch, identities):
    running = Servers(scratch / "metered", identities.authority.server(), identities.ca_file)
    yield running
    running.stop()


@CASES.parametrize()
def test_it_moves(case, bench, servers):
    case.run(bench)


def ended(direction: str, status_class: str) -> str:
    return f'sidecar_request_duration_seconds_count{{direction="{direction}",status_class="{status_class}"}}'


def carried(which: str, direction: str) -> str:
    return f'sidecar_{which}_bytes_total{{direction="{direction}"}}'


def in_flight(proxy) -> float:
    return metrics(proxy).value("sidecar_requests_in_flight")


def raw(forward: ForwardProxy, request: str) -> bytes:
    """All that comes back; for requests after which the proxy closes, or is asked to."""
    with forward.connect() as client:
        client.send(request.encode())
        return client.until_close()


def reset_on_close(client) -> None:
    """A client that only ends its half may still wait for its answer."""
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# Inbound


@CASES.moves({
    "requests_total": 6, ended("inbound", "2xx"): 2, ended("inbound", "3xx"): 1, ended("inbound", "4xx"): 2,
    ended("inbound", "5xx"): 1, carried("request", "inbound"): 1000, carried("response", "inbound"): 5000 + 4 * 7 + 300,
    "outbound_requests_total": 0,
})
def answers_by_class(bench):
    def serve(stream: socket.socket) -> None:
        bodies = {
            b"/large": (200, 5000), b"/small": (201, 300), b"/1": (404, 7), b"/2": (410, 7), b"/3": (503, 7), b"/4": (301, 7)}
        while head := stream.recv(65_536):
            status, length = bodies[head.split()[1]]
            stream.sendall(b"HTTP/1.1 %d Answer\r\nContent-Length: %d\r\n\r\n" % (status, length) + bytes(length))

    yield (proxy := bench.proxy(upstream_port=bench.start_upstream(serve).port))
    with proxy.connect() as client:
        assert client.request("/large", "POST", body=b"x" * 1000).status == 200
        for path in ("/small", "/1", "/2", "/3", "/4"):
            client.request(path)


@CASES.moves({
    ended("inbound", "1xx"): 1, "requests_total": 1, carried("request", "inbound"): 5,
    carried("response", "inbound"): 5 + 6,
})
def an_upgrade(bench):
    """What the server says in one breath with its 101 counts too."""
    def serve(stream: socket.socket) -> None:
        stream.recv(65_536)
        stream.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi you")
        while piece := stream.recv(65_536):
            stream.sendall(piece)

    yield (proxy := bench.proxy(upstream_port=bench.start_upstream(serve).port))
    with proxy.connect() as client:
        assert client.request("/upgrade", headers=UPGRADE).status == 101
        assert client.exactly(6) == b"hi you"
        client.send(b"hello")
        assert client.exactly(5) == b"hello"


@CASES.moves({
    ended("inbound", "5xx"): 2, ended("inbound", "4xx"): 2, "requests_total": 4, carried("request", "inbound"): 3,
    carried("response", "inbound"): 0,
})
def answers_of_the_proxys_own(bench):
    """An error's text comes from no application: it is in the access log's bytes, not in these."""
    yield (proxy := bench.proxy(upstream_port=free_port()))
    with proxy.connect() as client:
        assert client.request("/").body
        assert client.request("/", "POST", body=b"123").body
    with proxy.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.response().status == 400
    with h2wire.connect(proxy) as client:
        assert client.wait_done(client.open("/", headers=(("host", "another"),))).status == 400


@CASES.moves({ended("inbound", "none"): 2, "requests_total": 2, 'sidecar_requests_in_flight{direction="inbound"}': 0})
def clients_that_leave(bench):
    yield (proxy := bench.proxy())
    with proxy.connect() as client:
        client.send(b"GET /slow/5 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: in_flight(proxy) == 1, "the request is in flight")
        client.stream.shutdown(socket.SHUT_RDWR)
    with h2wire.connect(proxy) as client:
        stream = client.open("/slow/5")
        client.send(h2wire.rst_stream(stream.number))
        client.settle(0.1)


@CASES.moves({'sidecar_requests_in_flight{direction="inbound"}': 2})
def requests_that_run(bench):
    yield (proxy := bench.proxy())
    with proxy.connect() as one, h2wire.connect(proxy) as two:
        one.send(b"GET /slow/5 HTTP/1.1\r\nHost: a\r\n\r\n")
        two.open("/slow/5")
        yield


@CASES.moves({'sidecar_requests_in_flight{direction="outbound"}': 1})
def requests_outbound_that_run(bench):
    yield (forward := bench.forward()).proxy
    with forward.connect() as client:
        authority = f"localhost:{bench.get('servers').http}"
        client.send(f"GET http://{authority}/slow/5 HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        yield


@CASES.moves({
    "sidecar_retries_total": 1, "requests_total": 2,
    'sidecar_upstream_errors_total{direction="inbound",reason="closed_early"}': 1})
def a_request_that_is_sent_again(bench):
    def serve(stream: socket.socket) -> None:
        stream.recv(65_536)
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        stream.recv(65_536)  # the second request of a connection is never answered

    yield (proxy := bench.proxy(upstream_port=bench.start_upstream(serve).port))
    with proxy.connect() as client:
        assert [client.request("/").status for _ in range(2)] == [200, 200]


@CASES.moves({"sidecar_http2_violations_total": 1})
def a_violation_of_http2(bench):
    yield (proxy := bench.proxy())
    with proxy.connect(alpn=("h2",)) as client:
        client.send(h2wire.PREFACE + h2wire.settings({}) + h2wire.frame(h2wire.Kind.DATA, 0, 0, b"x"))
        with contextlib.suppress(OSError, Closed):
            client.until_close()


# Outbound: each request ends whole or as a failure


@CASES.moves({
    "outbound_requests_total": 5, "outbound_request_failures_total": 0, "outbound_bytes_sent_total": 700,
    "outbound_bytes_received_total": 5000 + 3 * 7, ended("outbound", "2xx"): 2, ended("outbound", "3xx"): 1,
    ended("outbound", "4xx"): 1, ended("outbound", "5xx"): 1, carried("request", "outbound"): 700,
    carried("response", "outbound"): 5000 + 3 * 7, "requests_total": 0,
})
def whole_answers_of_destinations(bench):
    yield (forward := bench.forward()).proxy
    authority = f"localhost:{bench.get('servers').http}"
    with forward.connect() as client:
        assert client.request(f"http://{authority}/bytes/5000", "POST", body=b"x" * 700, host=authority).status == 200
        for status in (204, 301, 404, 503):
            assert client.request(f"http://{authority}/status/{status}", host=authority).status == status


@CASES.moves({
    "outbound_requests_total": 8, "outbound_request_failures_total": 8, "outbound_connect_failure_total": 0,
    "outbound_upgrade_failure_total": 0, "outbound_bytes_sent_total": 0, "outbound_bytes_received_total": 9,
    ended("outbound", "4xx"): 4, ended("outbound", "5xx"): 2, ended("outbound", "2xx"): 1, ended("outbound", "none"): 1,
    carried("response", "outbound"): 9,
})
def requests_without_a_whole_answer(bench):
    yield (forward := bench.forward()).proxy
    web = bench.get("servers").http
    refused = f"localhost:{free_port()}"
    # Refused by the proxy: two for their form, two as malformed.
    for head in (
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close", "GET http://x:bad/ HTTP/1.1\r\nHost: x:bad\r\nConnection: close",
            "GET http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: a", "GET http://x/ HTTP/1.1\r\nHost: y"):
        assert b" 400 " in raw(forward, head + "\r\n\r\n").split(b"\r\n")[0]
    # Failed on the way.
    for target in (f"http://{refused}/", f"http://localhost:{web}/reset"):
        with forward.connect() as client:
            assert client.request(target, "POST", host=target.split("/")[2]).status == 502
    # Cut in the middle, and given up by the application.
    with forward.connect() as client, contextlib.suppress(OSError, Closed):
        client.request(f"http://localhost:{web}/truncated", host=f"localhost:{web}")
    with forward.connect() as client:
        client.send(f"GET http://localhost:{web}/slow/5 HTTP/1.1\r\nHost: localhost:{web}\r\n\r\n".encode())
        wait_until(lambda: in_flight(forward.proxy) == 1, "the request is in flight")
        reset_on_close(client)


@CASES.moves({
    "outbound_requests_total": 3, "outbound_request_failures_total": 3, ended("outbound", "4xx"): 1,
    ended("outbound", "5xx"): 1, ended("outbound", "none"): 1, "outbound_bytes_received_total": 0,
})
def streams_without_a_whole_answer(bench):
    yield (forward := bench.forward()).proxy
    web = f"localhost:{bench.get('servers').http}"
    with h2wire.connect_plain(forward.port) as client:
        assert client.wait_done(client.open("/", headers=(("host", "y"),), authority="x")).status == 400
        assert client.wait_done(client.open("/", authority=f"localhost:{free_port()}")).status == 502
        stream = client.open("/slow/5", authority=web)
        wait_until(lambda: in_flight(forward.proxy) == 1, "the request is in flight")
        client.send(h2wire.rst_stream(stream.number))
        client.settle(0.1)


@CASES.moves({
    "outbound_requests_total": 1, "outbound_request_failures_total": 0, "outbound_connect_success_total": 1,
    "outbound_connect_failure_total": 0, "outbound_connect_duration_seconds_count": 1, ended("outbound", "2xx"): 1,
    "outbound_bytes_sent_total": 5, "outbound_bytes_received_total": 5, carried("response", "outbound"): 5,
})
def a_connect_that_stands(bench):
    yield (forward := bench.forward()).proxy
    with forward.tunnel(f"localhost:{bench.get('servers').echo}") as client:
        client.send(b"hello")
        assert client.exactly(5) == b"hello"


@CASES.moves({
    "outbound_requests_total": 5, "outbound_request_failures_total": 5, "outbound_connect_success_total": 0,
    "outbound_connect_failure_total": 5, "outbound_connect_duration_seconds_count": 0,
    "outbound_bytes_received_total": 0, 'sidecar_upstream_errors_total{direction="outbound",reason="connect"}': 1,
    'sidecar_upstream_errors_total{direction="outbound",reason="loop"}': 1,
})
def connects_that_fail(bench):
    yield (forward := bench.forward()).proxy
    refused, own = (f"127.0.0.1:{port}" for port in (free_port(), forward.proxy.monitor_port))
    for target, host, status in (
            (refused, refused, 502), (own, own, 403), ("x:1", "y", 400), ("x", "x", 400), ("/x", "x", 400)):
        answer = raw(forward, f"CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer


@CASES.moves({
    "outbound_upgrade_success_total": 1, "outbound_upgrade_failure_total": 2, "outbound_upgrade_duration_seconds_count": 1,
    "outbound_connect_success_total": 0, "outbound_requests_total": 3, "outbound_request_failures_total": 1,
    ended("outbound", "1xx"): 1, ended("outbound", "2xx"): 1, ended("outbound", "5xx"): 1,
})
def upgrades_by_outcome(bench):
    """One that is answered with something else has an answer, only not the one it wanted."""
    yield (forward := bench.forward()).proxy
    authority, refused = f"localhost:{bench.get('servers').http}", f"localhost:{free_port()}"
    with forward.connect() as client:
        assert client.request(f"http://{refused}/", headers=UPGRADE, host=refused).status == 502
        assert client.request(f"http://{authority}/echo", headers=UPGRADE, host=authority).status == 200
        assert client.request(f"http://{authority}/upgrade", headers=UPGRADE, host=authority).status == 101


# More about them


def test_durations_are_those_of_the_requests(start_proxy):
    proxy = start_proxy(ENABLE_METRICS="true")
    with proxy.connect() as client:
        client.request("/slow/0.4")
    page = metrics(proxy)
    labels = {"direction": "inbound", "status_class": "2xx"}
    assert 0.4 <= page.value("sidecar_request_duration_seconds_sum", **labels) < 0.5
    assert page.value("sidecar_request_duration_seconds_bucket", le="0.25", **labels) == 0
    assert page.value("sidecar_request_duration_seconds_bucket", le="0.5", **labels) == 1
    assert page.value("sidecar_request_duration_seconds_bucket", le="+Inf", **labels) == 1
