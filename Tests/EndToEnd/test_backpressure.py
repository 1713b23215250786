"""Memory stays bounded whatever a peer does, and others are served meanwhile."""

import socket
import threading
import time

import pytest
from kit import pattern
from kit.process import wait_until

MEGABYTE = 1 << 20
LIMIT = 12 * MEGABYTE


@pytest.fixture
def fresh(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.request("/bytes/1000000")
    return proxy


def test_a_reader_that_stops_makes_the_upstream_wait(fresh):
    before = fresh.process.rss_bytes()
    with fresh.connect() as client:
        client.send(b"GET /bytes/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        client.head()
        time.sleep(2)
        assert fresh.process.peak_rss_bytes() - before < LIMIT
        with fresh.connect() as other:
            assert other.request("/echo").status == 200


def test_an_upstream_that_does_not_read_makes_the_client_wait(fresh):
    before = fresh.process.rss_bytes()
    with fresh.connect(seconds=2) as client:
        client.send(b"POST /slow/30 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\nX-Body: unread\r\n\r\n")
        client.stream.settimeout(2)
        sent = 0
        try:
            for piece in pattern.pieces(64 * MEGABYTE):
                client.stream.sendall(piece)
                sent += len(piece)
        except (TimeoutError, ConnectionError):
            pass
        assert fresh.process.peak_rss_bytes() - before < LIMIT


def test_a_hundred_slow_readers_cost_little(fresh):
    before = fresh.process.rss_bytes()
    clients = [fresh.connect() for _ in range(100)]
    try:
        for client in clients:
            client.send(b"GET /bytes/100000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(2)
        assert fresh.process.rss_bytes() - before < 40 * MEGABYTE
        with fresh.connect() as other:
            assert other.request("/echo").status == 200
    finally:
        for client in clients:
            client.close()


def test_connections_leave_no_descriptor_behind(fresh):
    before = fresh.process.open_descriptors()

    def churn() -> None:
        for _ in range(25):
            with fresh.connect() as client:
                client.request("/echo")
            with fresh.connect() as client:
                client.send(b"GET /bytes/10000000 HTTP/1.1\r\nHost: a\r\n\r\n")
                client.fill()
            with socket.create_connection(fresh.address):
                pass

    threads = [threading.Thread(target=churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: fresh.process.open_descriptors() <= before + 10, "descriptors are closed again")


def test_an_idle_connection_is_closed_after_its_time(start_proxy):
    proxy = start_proxy(IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        client.request("/echo")
        assert client.is_closed()


def test_connections_above_the_limit_do_not_harm_those_below(start_proxy):
    proxy = start_proxy(MAX_CONNECTIONS="10")
    clients = [proxy.connect() for _ in range(8)]
    try:
        waiting = [socket.create_connection(proxy.address) for _ in range(30)]
        for client in clients:
            assert client.request("/echo").status == 200
        for connection in waiting:
            connection.close()
    finally:
        for client in clients:
            client.close()
    with proxy.connect() as client:
        assert client.request("/echo").status == 200
