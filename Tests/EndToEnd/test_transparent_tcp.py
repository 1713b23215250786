"""What is not HTTP crosses as opaque bytes inside mutual TLS."""

import hashlib
import json
import socket
import ssl
import threading
import time

import pytest
from kit import pattern
from kit.capture import Capture, assert_only_tls
from kit.namespace import inside
from kit.transparent import BANNER, ECHO, EOF, HTTP, TLS
from kit.wire import Connection, client_context

FAMILIES = pytest.mark.parametrize("family", ["ipv4", "ipv6"])
MARKER = b"opaque-secret-51c2"


@FAMILIES
def test_an_echo_is_the_same_bytes(pods, family):
    with Capture(pods.network.namespace, pods.b.port) as capture:
        with Connection(pods.a.connect(getattr(pods.b, family), ECHO)) as client:
            for number in range(20):
                message = b"\x00\x01binary" + MARKER + bytes([number]) * number * 500
                client.send(message)
                assert client.exactly(len(message)) == message
            client.stream.shutdown(socket.SHUT_WR)
            assert client.until_close() == b""
    assert_only_tls(capture, MARKER)


@FAMILIES
def test_a_server_that_speaks_first_is_heard(pods, family):
    with Capture(pods.network.namespace, pods.b.port) as capture:
        with Connection(pods.a.connect(getattr(pods.b, family), BANNER)) as client:
            assert client.line() == "220 this server speaks first"
            client.send(b"HELO " + MARKER + b"\r\n")
            assert client.line() == f"HELO {MARKER.decode()}"
    assert_only_tls(capture, MARKER)
    assert not capture.holds(b"speaks first")


@FAMILIES
def test_half_close_is_kept_in_both_directions(pods, family):
    size = 3_000_000
    with Connection(pods.a.connect(getattr(pods.b, family), EOF), seconds=20) as client:
        for piece in pattern.pieces(size):
            client.send(piece)
        client.stream.shutdown(socket.SHUT_WR)
        report = json.loads(client.until_close())
    assert report == {"sha256": pattern.checksum(size), "length": size}


def test_a_reset_of_the_server_reaches_the_client(pods):
    with Connection(pods.a.connect(pods.b.ipv4, 9998)) as client:
        try:
            client.send(b"\x00hello")
            assert client.until_close() == b""
        except ConnectionError:
            pass


@pytest.fixture
def tls_app(fresh_pods):
    """An application in b that does its own TLS, with a certificate of its own CA, on a port that is not captured."""
    pods = fresh_pods
    pods.start(pods.a)
    pair = pods.write("own-tls", pods.other_authority.server("own", addresses=pods.b.addresses))
    pods.b.start_app("--tls", str(TLS), "--certificate", str(pair / "tls.crt"), "--key", str(pair / "tls.key"))
    return pods


@FAMILIES
def test_the_applications_own_tls_is_relayed_untouched(tls_app, family):
    pods = tls_app
    address = getattr(pods.b, family)
    context = ssl.create_default_context(cadata=pods.other_authority.pem.decode())
    with Capture(pods.network.namespace, pods.b.port) as capture:
        plain = pods.a.connect(address, TLS)
        with Connection(context.wrap_socket(plain, server_hostname=address)) as client:
            leaf = client.stream.getpeercert()
            assert ((("commonName", "own"),),) == leaf["subject"], "the sidecar put itself between"
            assert client.request("/echo/own", host="own").json["target"] == "/echo/own"
    assert capture.client_hellos() == 1


def test_an_application_that_is_slow_with_its_own_tls_still_gets_it(tls_app):
    """By then the sidecar has tried TLS of its own, in case the server speaks first, and was refused."""
    pods = tls_app
    context = ssl.create_default_context(cadata=pods.other_authority.pem.decode())
    plain = pods.a.connect(pods.b.ipv4, TLS)
    time.sleep(0.7)
    with Connection(context.wrap_socket(plain, server_hostname=pods.b.ipv4)) as client:
        assert client.request("/late", host="own").json["target"] == "/late"


def test_bytes_both_ways_at_once(pods):
    """Each side has more under way than all buffers hold: whoever reads only after writing would hang."""
    size = 30_000_000
    received = hashlib.sha256()
    with Connection(pods.a.connect(pods.b.ipv6, ECHO), seconds=30) as client:
        def send() -> None:
            # The first byte tells nothing of any protocol.
            client.send(b"\x00")
            for piece in pattern.pieces(size):
                client.send(piece)
            client.stream.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        assert client.exactly(1) == b"\x00"
        received.update(client.buffer)
        while piece := client.stream.recv(1 << 20):
            received.update(piece)
        thread.join()
    assert received.hexdigest() == pattern.checksum(size)


def test_http_to_a_port_of_raw_tcp_does_not_break_the_next_connection(pods):
    with Connection(pods.a.connect(pods.b.ipv4, ECHO)) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            client.response()
        except Exception:  # Whatever it is told: the echo of a request is no answer.
            pass
    with Connection(pods.a.connect(pods.b.ipv4, HTTP)) as client:
        assert client.request("/echo", host=pods.b.ipv4).status == 200


def test_what_a_client_sent_before_it_broke_off_is_delivered(pods):
    """Many clients close without TLS's goodbye: all they sent arrives, and then not an end but a break."""
    content = b"\x00" + bytes(1_000_000)
    context = client_context(pods.ca_file, pods.write("abrupt", pods.authority.client("abrupt")))
    with inside(pods.b.namespace, lambda: socket.create_server((pods.b.ipv4, 0))) as listener:
        listener.settimeout(5)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        plain = pods.stranger.connect(pods.b.ipv4, listener.getsockname()[1])
        client = context.wrap_socket(plain, server_hostname=pods.b.ipv4)

        def send() -> None:
            client.sendall(content)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        application, _ = listener.accept()
        with client, application:
            application.settimeout(5)
            received = 0
            with pytest.raises(ConnectionResetError):
                while piece := application.recv(20_000):
                    received += len(piece)
                    time.sleep(0.005)  # the sidecar hears of the client's end before it has handed on everything
            assert received == len(content)
            sender.join()
