"""Whatever clients choose, `/metrics` does not grow: no label takes a value of theirs."""

import socket
import threading
import time

from kit.forward import ForwardProxy
from kit.monitor import metrics
from kit.proxy import free_port
from kit.wire import client_context

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


def test_distinct_names_of_servers_and_destinations_do_not_count(start_proxy, identities):
    """SNI toward us, hosts and ports asked of the forward proxy."""
    forward = ForwardProxy(start_proxy, ENABLE_METRICS="true")
    before = metrics(forward.proxy)
    context = client_context(identities.ca_file, identities.caller_directory)
    context.check_hostname = False
    for number in range(200):
        with socket.create_connection(forward.proxy.address) as plain, context.wrap_socket(
                plain, server_hostname=f"name-{number}.test") as tls:
            tls.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            tls.recv(65_536)
    port = free_port()
    with forward.connect() as client:
        for number in range(200):
            host = f"127.0.{number}.1:{port}"
            assert client.request(f"http://{host}/", host=host).status == 502
    after = metrics(forward.proxy)
    assert after.value("outbound_request_failures_total") == 200
    rows = after.series - before.series
    assert {name for name, _ in rows} <= {"sidecar_plaintext_requests_total"}, "the application's own port"
    assert len(rows) <= 2
