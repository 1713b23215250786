"""SIGTERM lets running work finish; a second signal does not wait."""

import contextlib
import hashlib
import signal
import socket
import ssl
import time

from kit import h2wire, pattern
from kit.forward import ForwardProxy
from kit.process import wait_until
from kit.wire import client_context, connect_plain

#: The beginning of a ClientHello: a record of 512 bytes is announced.
HALF_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)
UPGRADE = b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


def test_an_idle_proxy_ends_at_once_with_0(start_proxy):
    proxy = start_proxy()
    proxy.process.terminate()
    assert proxy.process.wait(3) == 0


def test_sigint_ends_it_too(start_proxy):
    proxy = start_proxy()
    proxy.process.child.send_signal(signal.SIGINT)
    assert proxy.process.wait(3) == 0


def test_a_running_request_finishes_and_its_connection_closes(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(b"GET /slow/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.5)
        proxy.process.terminate()
        answer = client.response()
        assert answer.json == {"slept": 2.0}
        assert answer.closes
        assert client.is_closed()
    assert proxy.process.wait(3) == 0


def test_a_running_download_finishes(start_proxy):
    proxy = start_proxy()
    size = 100_000_000
    with proxy.connect() as client:
        client.send(f"GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        client.head()
        proxy.process.terminate()
        body = client.exactly(size)
    assert hashlib.sha256(body).hexdigest() == pattern.checksum(size)
    assert proxy.process.wait(3) == 0


def test_idle_connections_are_closed_and_new_ones_refused_while_draining(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as idle, proxy.connect() as busy:
        idle.request("/echo")
        busy.send(b"GET /slow/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        proxy.process.terminate()
        assert idle.is_closed()

        def refused() -> bool:
            try:
                # Left in the backlog of a listener that nobody serves it would be neither refused nor closed.
                with connect_plain(proxy.address, seconds=0.3) as client:
                    return client.is_closed()
            except ConnectionRefusedError:
                return True

        wait_until(refused, "new connections are refused", 1)
        assert proxy.process.is_running
        assert busy.response().status == 200
    assert proxy.process.wait(3) == 0


def test_ready_turns_503_while_draining(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(b"GET /slow/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        proxy.process.terminate()
        wait_until(lambda: proxy.monitor("/ready")[0] == 503, "/ready answers 503", 1.5)
        assert proxy.monitor("/live")[0] == 200
        client.response()


def test_the_drain_has_a_limit(start_proxy):
    proxy = start_proxy(SHUTDOWN_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        client.send(b"GET /slow/20 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        started = time.monotonic()
        proxy.process.terminate()
        assert proxy.process.wait(4) == 0
        assert time.monotonic() - started > 0.8


def test_a_second_signal_ends_it_at_once(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(b"GET /slow/20 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        proxy.process.terminate()
        time.sleep(0.3)
        assert proxy.process.is_running
        proxy.process.terminate()
        assert proxy.process.wait(2) == 0


# Connections that have asked nothing yet


def test_who_is_silent_does_not_hold_the_end(start_proxy):
    """Neither before its handshake, nor in the middle of it, nor in the middle of its first request."""
    proxy = start_proxy(HANDSHAKE_TIMEOUT_SECS="60", HEADER_TIMEOUT_SECS="60", SHUTDOWN_TIMEOUT_SECS="60")
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(proxy.address))
        for _ in range(5):
            stack.enter_context(socket.create_connection(proxy.address)).sendall(HALF_HELLO)
        for _ in range(5):
            stack.enter_context(proxy.connect()).send(b"GET /echo HTTP/1.1\r\nHo")
            stack.enter_context(proxy.connect())
        time.sleep(0.3)
        proxy.process.terminate()
        assert proxy.process.wait(4) == 0


def test_who_is_silent_at_the_forward_proxy_does_not_hold_the_end(start_proxy):
    forward = ForwardProxy(start_proxy, HEADER_TIMEOUT_SECS="60", SHUTDOWN_TIMEOUT_SECS="60")
    with contextlib.ExitStack() as stack:
        for half in (b"", b"GE", b"GET http://localhost/ HTTP/1.1\r\nHo"):
            stack.enter_context(forward.connect()).send(half)
        time.sleep(0.3)
        forward.proxy.process.terminate()
        assert forward.proxy.process.wait(4) == 0


def halves(proxy, protocol: str | None = None) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO, socket.socket]:
    """A client in the middle of its handshake: it has said hello, and half of that has arrived."""
    context = client_context(proxy.identities.ca_file, proxy.identities.caller_directory)
    if protocol:
        context.set_alpn_protocols([protocol])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    plain = socket.create_connection(proxy.address, timeout=5)
    hello = outgoing.read()
    plain.sendall(hello[:100])
    outgoing.write(hello[100:])
    return tls, incoming, outgoing, plain


def finish(tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, plain: socket.socket) -> None:
    while True:
        try:
            plain.sendall(outgoing.read())
            tls.do_handshake()
            return plain.sendall(outgoing.read())
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(65_536))


def read(tls: ssl.SSLObject, incoming: ssl.MemoryBIO, plain: socket.socket) -> bytes:
    """What comes until the end of the connection."""
    text = b""
    while True:
        try:
            piece = tls.read(65_536)
            if not piece:
                return text
            text += piece
        except ssl.SSLWantReadError:
            piece = plain.recv(65_536)
            incoming.write(piece) if piece else incoming.write_eof()
        except ssl.SSLEOFError:
            return text


def test_a_client_in_the_middle_of_its_handshake_is_served(start_proxy):
    proxy = start_proxy()
    tls, incoming, outgoing, plain = halves(proxy)
    with plain:
        time.sleep(0.2)
        proxy.process.terminate()
        time.sleep(0.8)
        finish(tls, incoming, outgoing, plain)
        time.sleep(0.8)  # the handshake has its time, and then the request
        tls.write(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        plain.sendall(outgoing.read())
        answer = read(tls, incoming, plain)
    assert answer.startswith(b"HTTP/1.1 200 ") and b"\r\nconnection: close\r\n" in answer.lower()
    assert proxy.process.wait(4) == 0


def test_a_request_that_arrives_in_halves_is_served(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(b"GET /echo HTTP/1.1\r\nHo")
        time.sleep(0.2)
        proxy.process.terminate()
        time.sleep(0.8)
        client.send(b"st: a\r\n\r\n")
        answer = client.response()
        assert answer.status == 200 and answer.closes
    assert proxy.process.wait(4) == 0


def test_http2_that_comes_while_clients_are_asked_to_go_is_served_and_asked_too(start_proxy):
    proxy = start_proxy()
    assert proxy.monitor("/drain", "POST")[0] == 200
    with h2wire.connect(proxy) as client:
        streams = [client.open("/echo") for _ in range(3)]
        client.wait(lambda: all(stream.is_done for stream in streams), "the answers")
        assert [stream.status for stream in streams] == [200] * 3
        client.wait_over()
        assert client.goaways
    with h2wire.connect(proxy) as silent:
        silent.wait_over()
    assert proxy.process.is_running


# Tunnels


def test_an_upgraded_connection_goes_on_until_it_ends(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(UPGRADE)
        assert client.head().status == 101
        client.send(b"before")
        assert client.exactly(6) == b"before"
        proxy.process.terminate()
        time.sleep(3)
        assert proxy.process.is_running, "it waits for the tunnel"
        client.send(b"after")
        assert client.exactly(5) == b"after"
    assert proxy.process.wait(3) == 0


def test_an_upgraded_connection_is_cut_at_the_limit(start_proxy):
    proxy = start_proxy(SHUTDOWN_TIMEOUT_SECS="2")
    with proxy.connect() as client:
        client.send(UPGRADE)
        assert client.head().status == 101
        started = time.monotonic()
        proxy.process.terminate()
        assert proxy.process.wait(5) == 0
        assert time.monotonic() - started > 1.8
