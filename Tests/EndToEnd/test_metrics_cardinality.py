"""Whatever clients choose, `/metrics` does not grow: no label takes a value of theirs."""

import contextlib
import socket
import ssl
import threading
import time

from kit import h2wire
from kit.forward import ForwardProxy
from kit.monitor import metrics
from kit.namespace import inside
from kit.pod import url
from kit.process import wait_until
from kit.transparent import HTTP
from kit.wire import Closed, Connection, client_context, connect_tls

THREADS = 4
#: Paths, hosts, methods, user agents and request ids: each request brings five that no other has.
REQUESTS = 200_000


def flood(proxy, number: int) -> None:
    """Requests in batches on one connection, each answered 404 by the application."""
    context = client_context(proxy.identities.ca_file, proxy.identities.caller_directory)
    batch = 200
    with socket.create_connection(proxy.address, timeout=60) as plain, context.wrap_socket(
            plain, server_hostname="localhost") as tls:
        for start in range(0, REQUESTS // THREADS, batch):
            tls.sendall(b"".join(
                b"M%d-%d /status/404/%d/%d?q=%d HTTP/1.1\r\nHost: h%d-%d.test\r\nUser-Agent: u%d-%d\r\nX-Request-Id: r%d-%d\r\n\r\n"
                % ((number, index) * 2 + (index,) + (number, index) * 3) for index in range(start, start + batch)))
            answers = b""
            while answers.count(b"status\n") < batch:
                piece = tls.recv(262_144)
                assert piece, answers[-300:]
                answers += piece


def test_a_million_distinct_values_leave_the_page_as_it_was(start_proxy, start_upstream):
    """200,000 requests with five distinct values each."""

    def serve(stream: socket.socket) -> None:
        rest = b""
        while piece := stream.recv(262_144):
            rest += piece
            count = rest.count(b"\r\n\r\n")
            rest = rest.rpartition(b"\r\n\r\n")[2]
            stream.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nstatus\n" * count)

    proxy = start_proxy(upstream_port=start_upstream(serve).port, ENABLE_METRICS="true", ACCESS_LOG="off")
    with proxy.connect() as client:
        assert client.request("/").status == 404
    before = metrics(proxy)
    memory = proxy.process.rss_bytes()
    started = time.monotonic()
    threads = [threading.Thread(target=flood, args=(proxy, number)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = metrics(proxy)
    print(f"{REQUESTS} requests in {time.monotonic() - started:.0f} s, "
          f"{memory >> 20} → {proxy.process.rss_bytes() >> 20} MiB, page {len(before.text)} → {len(after.text)} bytes")
    assert after.value("requests_total") == REQUESTS + 1
    assert after.series == before.series
    assert len(after.text) < len(before.text) + 2_000, "digits may grow, lines may not"
    assert proxy.process.rss_bytes() < memory + (16 << 20)


def served_once(start_proxy, **settings) -> tuple:
    """A forward proxy whose application has answered, and the series that its page has now."""
    forward = ForwardProxy(start_proxy, ENABLE_METRICS="true", ACCESS_LOG="off", **settings)
    with forward.proxy.connect() as client:
        assert client.request("/echo").status == 200
    return forward, metrics(forward.proxy).series


def test_distinct_streams(start_proxy):
    """HTTP/2: methods, hosts, paths, queries, names and values of fields."""
    forward, before = served_once(start_proxy)
    with h2wire.connect(forward.proxy) as client:
        for start in range(0, 3_000, 50):
            streams = [
                client.open(
                    f"/path-{number}?{number}=q", f"M{number}", authority=f"h{number}.test",
                    headers=((f"x-{number}", f"v{number}"), ("user-agent", f"u{number}"), ("x-request-id", f"r{number}")))
                for number in range(start, start + 50)]
            assert {client.wait_done(stream).status for stream in streams} == {200}
    after = metrics(forward.proxy)
    assert after.value("requests_total") == 3_001
    assert after.series == before


def test_distinct_names_asked_for_in_the_handshake(start_proxy, identities):
    """SNI: most of the handshakes are broken off when the name has been read, for they cost more than the name does."""
    forward, before = served_once(start_proxy)
    context = client_context(identities.ca_file, identities.caller_directory)
    context.check_hostname = False
    for number in range(3_000):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_hostname=f"name-{number}.test")
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        with socket.create_connection(forward.proxy.address) as plain:
            plain.sendall(outgoing.read())
            if number % 20 == 0:
                plain.recv(1)
    for number in range(100):
        with connect_tls(forward.proxy.address, context, server_name=f"name-{number}.test") as client:
            assert client.request("/echo").status == 200
    wait_until(
        lambda: metrics(forward.proxy).value("mtls_failures_total") == 3_000, "the handshakes have failed", seconds=20)
    after = metrics(forward.proxy)
    assert after.value("sidecar_handshakes_total", side="server") == 101
    assert after.series == before


def test_distinct_certificates(start_proxy, identities, directory):
    """Common names and alternative names of clients that are let in, and of those that are not."""
    forward, before = served_once(start_proxy)
    for number in range(40):
        for authority in (identities.authority, identities.stranger):
            pair = authority.client(f"cn-{number}", uris=(f"spiffe://{number}/x",), dns=(f"{number}.test",))
            with contextlib.suppress(OSError, Closed):
                with forward.proxy.connect(pair.write(directory / "client")) as client:
                    assert client.request("/echo").status == 200
    after = metrics(forward.proxy)
    assert after.value("sidecar_handshakes_total", side="server") == 41
    assert after.value("mtls_failures_total") == 40
    assert after.series == before


def test_distinct_destinations(start_proxy):
    """Hosts and ports asked of the forward proxy, in URLs and by CONNECT; nobody listens there."""
    forward, before = served_once(start_proxy)
    count = 2_000
    with forward.connect() as client:
        for number in range(count):
            host = f"127.{number % 250}.{number // 250}.1:{1 + number % 1000}"
            assert client.request(f"http://{host}/", host=host).status == 502
    for number in range(count // 2):
        with forward.connect() as client:
            host = f"127.{number % 250}.{number // 250}.2:{1 + number}"
            client.send(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert client.head().status == 502
    after = metrics(forward.proxy)
    assert after.value("outbound_request_failures_total") == count * 3 // 2
    assert after.value("outbound_connect_failure_total") == count // 2
    assert after.series == before


def test_distinct_source_addresses(start_proxy, identities):
    """127.0.0.0/8 is all one's own."""
    forward, before = served_once(start_proxy)
    context = client_context(identities.ca_file, identities.caller_directory)
    for number in range(300):
        plain = socket.create_connection(
            forward.proxy.address, source_address=(f"127.{number % 100}.{number // 100}.9", 0), timeout=10)
        with Connection(context.wrap_socket(plain, server_hostname="localhost")) as client:
            assert client.request("/echo").status == 200
    after = metrics(forward.proxy)
    assert after.value("sidecar_connections_opened_total", direction="inbound") == 301
    assert after.series == before


def test_distinct_captured_ports(fresh_pods):
    """Plaintext knocks at any port; one row comes with the port that the application has answered on, and none else."""
    pods = fresh_pods
    pods.start(pods.b, ENABLE_METRICS="true")
    before = metrics(pods.b).series

    def knock(ports: range) -> None:
        for port in ports:
            with contextlib.suppress(OSError), socket.create_connection((pods.b.ipv4, port), timeout=5) as plain:
                plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
                plain.recv(1)

    inside(pods.stranger.namespace, lambda: knock(range(20_000, 22_000)))
    after = metrics(pods.b)
    assert after.value("sidecar_plaintext_requests_total", port="other", verdict="refused") == 2_000
    assert after.series == before
    pods.start(pods.a)
    assert pods.a.curl(url(pods.b.ipv4, HTTP, "/echo")).returncode == 0
    rows = {("port", str(HTTP))}
    assert {label for _, labels in metrics(pods.b).series - before for label in labels if label[0] == "port"} == rows
