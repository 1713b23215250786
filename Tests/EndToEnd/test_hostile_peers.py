"""Peers that misbehave: what a review of the data plane found once must not come back."""

import os
import time

from kit.upstream import Upstream


def cpu_ticks(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def head(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return None
        received += piece
    return received


def test_a_record_that_comes_in_part_costs_no_cpu(start_proxy):
    """A worker must sleep until the rest of a TLS record is there."""
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.response().status == 200
        # The beginning of an application-data record, written below the TLS layer.
        assert os.write(client.stream.fileno(), b"\x17\x03\x03") == 3
        before = cpu_ticks(proxy.process.pid)
        time.sleep(1)
        assert cpu_ticks(proxy.process.pid) - before < 20


def test_a_malformed_chunk_in_a_running_answer_cuts_it(start_proxy):
    """An error answer must not be taken for the rest of another answer."""
    def serve(connection):
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")
        connection.recv(65536)
        time.sleep(1)

    proxy = start_proxy(upstream_port=Upstream(serve).port)
    with proxy.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        received = b""
        while b"0123456789" not in received:
            received += client.stream.recv(65536)
        client.send(b"ZZ\r\n")
        try:
            while piece := client.stream.recv(65536):
                received += piece
        except OSError:
            pass
        assert b"400 Bad Request" not in received


def test_an_upgraded_connection_outlives_the_response_timeout(start_proxy):
    """RESPONSE_TIMEOUT_SECS is over when the answer, 101, is there."""
    def serve(connection):
        head(connection)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while piece := connection.recv(65536):
            connection.sendall(piece)

    proxy = start_proxy(upstream_port=Upstream(serve).port, RESPONSE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        assert client.response().status == 101
        for _ in range(4):
            client.send(b"ping")
            assert client.stream.recv(4) == b"ping"
            time.sleep(0.5)


def test_a_stalled_upload_is_ended(start_proxy, app):
    """A body that stops coming must not hold a connection for ever."""
    proxy = start_proxy(IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        assert client.response().status == 408


def test_each_request_is_answered_once_when_connecting_fails_at_once(start_proxy):
    """255.255.255.255 refuses a connect in the call itself: every request gets its own 502, none is run twice."""
    proxy = start_proxy(UPSTREAM_URL="http://255.255.255.255:80", wait=False).wait_ready()
    with proxy.connect() as client:
        for index in range(3):
            client.send(f"GET /r{index} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert client.response().status == 502
    with proxy.connect() as client:
        client.send(b"".join(f"GET /p{index} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for index in range(3)))
        assert [client.response().status for _ in range(3)] == [502, 502, 502]
