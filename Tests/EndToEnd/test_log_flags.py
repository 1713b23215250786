"""The access log says whose end it was, and what is known of a request that was refused for its head."""

import contextlib
import json
import socket
import struct

import pytest
from kit import h2wire
from kit.forward import ForwardProxy
from kit.h2websocket import connect as connect_websocket
from kit.process import wait_until
from kit.wire import Closed

AGREE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
UPGRADE = (("Connection", "Upgrade"), ("Upgrade", "echo"))


def access_lines(proxy) -> list[dict]:
    return [line for line in map(json.loads, proxy.process.stdout.splitlines()) if line["message"] == "access"]


def reset(stream: socket.socket) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


def echo_until(stays: bool):
    """A server that agrees to an upgrade and echoes once; then it echoes on, or resets the connection."""

    def serve(stream: socket.socket) -> None:
        stream.recv(65_536)
        stream.sendall(AGREE)
        stream.sendall(stream.recv(65_536))
        if not stays:
            return reset(stream)
        while piece := stream.recv(65_536):
            stream.sendall(piece)

    return serve


# Tunnels: the second line of each is that of its end


def end_of_tunnel(proxy) -> dict:
    wait_until(lambda: len(access_lines(proxy)) == 2, "the tunnel's end is logged")
    line = access_lines(proxy)[1]
    assert (line["bytes_received"], line["bytes_sent"]) == (5, 5)
    return line


@pytest.mark.parametrize("way, flag", [("goodbye", "-"), ("no close_notify", "DC"), ("reset", "DC")])
def test_an_upgraded_client_that_leaves(start_proxy, start_upstream, way, flag):
    proxy = start_proxy(upstream_port=start_upstream(echo_until(True)).port)
    client = proxy.connect()
    assert client.request("/upgrade", headers=UPGRADE).status == 101
    client.send(b"hello")
    assert client.exactly(5) == b"hello"
    match way:
        case "goodbye":
            with contextlib.suppress(OSError):
                client.stream.unwrap().close()
        case "reset":
            reset(client.stream)
        case "no close_notify":
            client.close()
    line = end_of_tunnel(proxy)
    assert line["response_flags"] == flag
    assert ("reason" in line) == (flag != "-")


def test_a_server_that_breaks_off_an_upgrade(start_proxy, start_upstream):
    proxy = start_proxy(upstream_port=start_upstream(echo_until(False)).port)
    with proxy.connect() as client:
        assert client.request("/upgrade", headers=UPGRADE).status == 101
        client.send(b"hello")
        with contextlib.suppress(OSError, Closed):
            client.until_close()
        assert end_of_tunnel(proxy)["response_flags"] == "UC"


@pytest.mark.parametrize("who, flag", [("client", "DC"), ("server", "UC")])
def test_who_resets_a_connect_tunnel(start_proxy, start_upstream, who, flag):
    def serve(stream: socket.socket) -> None:
        stream.sendall(stream.recv(65_536))
        reset(stream) if who == "server" else stream.recv(1)

    forward = ForwardProxy(start_proxy)
    with forward.tunnel(f"127.0.0.1:{start_upstream(serve).port}") as client, contextlib.suppress(OSError, Closed):
        client.send(b"\x16\x03\x01\x00\x00")  # TLS of the application's own: what follows is not looked at
        assert client.exactly(5) == b"\x16\x03\x01\x00\x00"
        if who == "client":
            reset(client.stream)
        else:
            client.until_close()
    assert end_of_tunnel(forward.proxy)["response_flags"] == flag


@pytest.mark.parametrize("who, flag", [("client", "DC"), ("server", "UC")])
def test_who_breaks_off_a_websocket_over_http2(start_proxy, start_upstream, who, flag):
    def serve(stream: socket.socket) -> None:
        stream.recv(65_536)
        stream.sendall(AGREE.replace(b"echo", b"websocket"))
        stream.sendall(stream.recv(65_536))
        reset(stream) if who == "server" else stream.recv(1)

    proxy = start_proxy(upstream_port=start_upstream(serve).port)
    with h2wire.connect(proxy) as client:
        stream = connect_websocket(client)
        assert stream.status == 200
        client.send_body(stream, b"hello", end=False)
        if who == "client":
            client.wait(lambda: stream.body == b"hello", "the echo")
            client.send(h2wire.rst_stream(stream.number))
        line = wait_until(lambda: access_lines(proxy)[1:], "the tunnel's end is logged")[0]
    assert line["response_flags"] == flag and line["reason"]


# Requests that are refused for their heads


def refused(proxy, head: bytes) -> dict:
    with proxy.connect() as client:
        client.send(head)
        status = client.response().status
    return wait_until(
        lambda: [line for line in access_lines(proxy) if line["response_code"] == status], "the refusal is logged")[-1]


@pytest.mark.parametrize("head, status, method, path", [
    (b"GET /known/path?secret HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "GET", "/known/path"),
    (b"PURGE /known HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", 431, "PURGE", "/known"),
    (b"PUT /known HTTP/1.1\r\nHost: a\r\nX", 408, "PUT", "/known"),
    (b"GET /known HTTP/1.1\r\n\r\n", 400, "GET", "/known"),
    (b"GET /" + b"p" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "GET", "/" + "p" * 1023),
    (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "", ""),
    (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "", ""),
    (b"GET /half", 408, "", ""),
], ids=["two lengths", "431", "408", "no host", "414", "malformed line", "malformed method", "half a line"])
def test_what_is_known_of_a_refused_head(start_proxy, head, status, method, path):
    proxy = start_proxy(HEADER_TIMEOUT_SECS="1")
    with proxy.connect() as client:  # what another request has left must not show
        client.request("/echo/another", "DELETE", host="another.test")
    line = refused(proxy, head)
    assert (line["response_code"], line["protocol"]) == (status, "HTTP/1.1")
    assert (line["method"], line["path"], line["request_id"]) == (method, path, "")
    assert "secret" not in proxy.process.stdout


@pytest.mark.parametrize("fields, status, method, path", [
    ([(":path", "/known?x"), *((f"x-{number}", "y") for number in range(300))], 431, "GET", "/known"),
    ([(":path", "/known"), ("x-large", "y" * 40_000)], 431, "GET", "/known"),
    ([(":path", "/" + "p" * 20_000)], 414, "GET", "/" + "p" * 1023),
    ([(":path", "/known"), ("host", "another")], 400, "", ""),
], ids=["too many fields", "too large", "414", "two hosts"])
def test_http2_is_told_as_http2(start_proxy, fields, status, method, path):
    proxy = start_proxy()
    with h2wire.connect(proxy) as client:
        stream = client.start([(":method", "GET"), (":scheme", "https"), (":authority", "a"), *fields])
        assert client.wait_done(stream).status == status
    line = wait_until(lambda: access_lines(proxy), "the refusal is logged")[-1]
    assert (line["response_code"], line["protocol"], line["method"], line["path"]) == (status, "HTTP/2", method, path)
