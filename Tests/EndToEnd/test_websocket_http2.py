"""WebSocket over HTTP/2 by extended CONNECT (RFC 8441), to an application that knows the HTTP/1.1 upgrade only."""

import socket

import pytest
from h2.settings import SettingCodes
from kit import h2wire
from kit.forward import ForwardProxy
from kit.h2websocket import WebSocket, WebSocketApp, connect
from kit.namespace import inside
from kit.pairing import seen
from kit.process import wait_until
from wsproto.events import BytesMessage, CloseConnection, TextMessage

MESSAGES = 10_000


@pytest.fixture
def websocket_app():
    app = WebSocketApp(socket.create_server(("127.0.0.1", 0)))
    yield app
    app.stop()


@pytest.fixture
def client(start_proxy, websocket_app):
    with h2wire.connect(start_proxy(upstream_port=websocket_app.port), seconds=20) as client:
        assert client.wait_settings().get(SettingCodes.ENABLE_CONNECT_PROTOCOL) == 1
        yield client


@pytest.fixture(params=["explicit", "captured", "forwarded"])
def way(request, start_proxy):
    """A client of a sidecar or two, the authority to ask for and the application behind."""
    pods = request.getfixturevalue("pods") if request.param == "captured" else None

    def listen() -> socket.socket:
        return socket.create_server(("0.0.0.0", 0))

    app = WebSocketApp(inside(pods.b.namespace, listen) if pods else listen())
    if pods:
        client = h2wire.Client(pods.a.connect(pods.b.ipv4, app.port), seconds=20)
        authority = f"b.test:{app.port}"
    else:
        peer = start_proxy(upstream_port=app.port)
        forward = request.param == "forwarded" and ForwardProxy(start_proxy)
        client = h2wire.connect_plain(forward.port, seconds=20) if forward else h2wire.connect(peer, seconds=20)
        authority = f"localhost:{peer.port}"
    with client:
        yield client, authority, app
    app.stop()


def test_a_websocket_is_opened_by_extended_connect(client, websocket_app):
    stream = connect(client, "/chat?room=1", ("sec-websocket-protocol", "soap"), ("origin", "https://example"))
    assert (stream.status, stream.ended) == (200, False)
    assert stream.all("sec-websocket-accept") == [], "the accept value belongs to HTTP/1.1"
    [request] = wait_until(lambda: websocket_app.requests, "the application has the connection")
    assert request.path == "/chat?room=1"
    headers = seen({"headers": list(request.headers.raw_items())})
    assert headers["origin"] == ["https://example"]
    assert headers["upgrade"] == ["websocket"] and headers["sec-websocket-version"] == ["13"]
    assert headers["x-forwarded-for"] == ["127.0.0.1"]


def test_ten_thousand_messages_are_echoed_in_order(way):
    client, authority, app = way
    websocket = WebSocket(client, connect(client, authority=authority))
    received = 0
    for start in range(0, MESSAGES, 500):
        websocket.send(*(TextMessage(data=f"message {number}") for number in range(start, start + 500)))
        for text in websocket.receive(500):
            assert text == f"message {received}"
            received += 1
    assert received == MESSAGES
    websocket.send(CloseConnection(code=1000))
    client.send_body(websocket.stream, b"")
    client.wait_done(websocket.stream)
    assert websocket.stream.ended
    wait_until(lambda: app.ended == 1, "the application's side has ended")


def test_a_large_message_is_echoed_whole(client):
    websocket = WebSocket(client, connect(client))
    content = bytes(range(256)) * 8192
    websocket.send(BytesMessage(data=content))
    assert websocket.receive(1) == [content]


def test_a_websocket_and_requests_share_the_connection(client, websocket_app):
    sockets = [WebSocket(client, connect(client)) for _ in range(5)]
    for number, websocket in enumerate(sockets):
        websocket.send(TextMessage(data=f"mine {number}"))
    for number, websocket in enumerate(sockets):
        assert websocket.receive(1) == [f"mine {number}"]
    assert client.request("/plain").status == 426, "the application upgrades only; its answer comes through"


def test_the_close_handshake_ends_the_stream_on_both_sides(client, websocket_app):
    websocket = WebSocket(client, connect(client))
    websocket.send(TextMessage(data="hello"))
    websocket.receive(1)
    websocket.send(CloseConnection(code=1000))
    client.send_body(websocket.stream, b"")
    client.wait_done(websocket.stream)
    assert websocket.stream.ended
    wait_until(lambda: websocket_app.ended == 1, "the application's side has ended")


def test_a_reset_of_the_client_ends_the_applications_connection(client, websocket_app):
    websocket = WebSocket(client, connect(client))
    websocket.send(TextMessage(data="hello"))
    websocket.receive(1)
    client.reset(websocket.stream)
    wait_until(lambda: websocket_app.ended == 1, "the application's side has ended")
    assert WebSocket(client, connect(client)).stream.status == 200


def test_a_refused_upgrade_is_an_answer_not_a_websocket(proxies):
    """The client has not ended its side: it is told to (RFC 9113, 8.1), or each refusal would keep a stream open."""
    with h2wire.connect(proxies["http1"]) as client:
        for _ in range(120):
            stream = connect(client, "/status/403")
            client.wait(lambda: stream.ended and stream.reset is not None, "the stream is over in both directions")
            assert (stream.status, bytes(stream.body), stream.reset) == (403, b"status\n", 0)
        assert client.request("/echo").status == 200


def test_an_upgrade_that_ends_with_its_head_is_one_whose_client_has_said_all(client, websocket_app):
    stream = client.start([
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/chat"),
        (":authority", "localhost"), ("sec-websocket-version", "13")], end=True)
    client.wait_done(stream)
    assert stream.status == 200
    wait_until(lambda: websocket_app.ended == 1, "the application's side has ended")


def test_an_unknown_protocol_is_refused(client):
    stream = client.wait_done(client.start([
        (":method", "CONNECT"), (":protocol", "smuggle"), (":scheme", "https"), (":path", "/"),
        (":authority", "localhost")], end=False))
    assert stream.reset is not None or 400 <= stream.status < 600
