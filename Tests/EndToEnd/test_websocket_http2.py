"""WebSocket over HTTP/2 by extended CONNECT (RFC 8441), to an application that knows the HTTP/1.1 upgrade only."""

import threading

import pytest
from h2.settings import SettingCodes
from kit import h2wire
from kit.pairing import seen
from kit.process import wait_until
from websockets.sync.server import serve
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage

MESSAGES = 10_000


class WebSocketApp:
    """Echoes every message; remembers the requests that began its connections, and how many ended."""

    def __init__(self) -> None:
        self.requests: list = []
        self.ended = 0
        self.server = serve(self.echo, "127.0.0.1", 0, compression=None, max_size=None)
        self.port = self.server.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def echo(self, connection) -> None:
        self.requests.append(connection.request)
        try:
            for message in connection:
                connection.send(message)
        finally:
            self.ended += 1

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()


@pytest.fixture
def websocket_app():
    app = WebSocketApp()
    yield app
    app.stop()


@pytest.fixture
def client(start_proxy, websocket_app):
    with h2wire.connect(start_proxy(upstream_port=websocket_app.port), seconds=20) as client:
        assert client.wait_settings().get(SettingCodes.ENABLE_CONNECT_PROTOCOL) == 1
        yield client


def connect(client: h2wire.Client, path: str = "/chat", *headers: tuple[str, str]) -> h2wire.Stream:
    stream = client.start([
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", path),
        (":authority", "localhost"), ("sec-websocket-version", "13"), *headers], end=False)
    return client.wait_head(stream)


class WebSocket:
    def __init__(self, client: h2wire.Client, stream: h2wire.Stream):
        assert stream.status == 200, f"{stream.status}: {bytes(stream.body)!r}"
        self.client, self.stream = client, stream
        self.frames = Frames(ConnectionType.CLIENT)
        self.parts: list = []
        self.messages: list = []

    def send(self, *events) -> None:
        self.client.send_body(self.stream, b"".join(self.frames.send(event) for event in events), end=False)

    def receive(self, count: int) -> list:
        """The next so many messages, each whole."""
        self.client.wait(lambda: self.read() >= count, f"{count} WebSocket messages")
        messages, self.messages = self.messages, []
        return messages

    def read(self) -> int:
        """How many messages have come so far."""
        content = bytes(self.stream.body)
        self.stream.body.clear()
        self.frames.receive_data(content)
        for event in self.frames.events():
            if isinstance(event, Ping):
                self.send(event.response())
                continue
            assert isinstance(event, Message), event
            self.parts.append(event.data)
            if event.message_finished:
                self.messages.append(type(event.data)().join(self.parts))
                self.parts = []
        return len(self.messages)


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


def test_ten_thousand_messages_are_echoed_in_order(client):
    websocket = WebSocket(client, connect(client))
    received = 0
    for start in range(0, MESSAGES, 500):
        websocket.send(*(TextMessage(data=f"message {number}") for number in range(start, start + 500)))
        for text in websocket.receive(500):
            assert text == f"message {received}"
            received += 1
    assert received == MESSAGES


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


def test_a_refused_upgrade_is_an_answer_not_a_websocket(start_proxy, proxies):
    with h2wire.connect(proxies["http1"]) as client:
        stream = client.wait_done(connect(client, "/status/403"))
        assert stream.status == 403 and bytes(stream.body) == b"status\n"
        assert client.request("/echo").status == 200


def test_an_unknown_protocol_is_refused(client):
    stream = client.wait_done(client.start([
        (":method", "CONNECT"), (":protocol", "smuggle"), (":scheme", "https"), (":path", "/"),
        (":authority", "localhost")], end=False))
    assert stream.reset is not None or 400 <= stream.status < 600
