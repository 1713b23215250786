"""WebSocket over a stream of HTTP/2 (RFC 8441), and an application that knows the HTTP/1.1 upgrade only."""

from __future__ import annotations

import socket
import threading

from websockets.sync.server import serve
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import Message, Ping

from . import h2wire


class WebSocketApp:
    """Echoes every message of an HTTP/1.1 upgrade, in this process; remembers the requests that began its connections, and how many ended."""

    def __init__(self, listener: socket.socket) -> None:
        self.requests: list = []
        self.ended = 0
        self.port = listener.getsockname()[1]
        self.server = serve(self.echo, sock=listener, compression=None, max_size=None)
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


def connect(
    client: h2wire.Client, path: str = "/chat", *headers: tuple[str, str], authority: str = "localhost",
) -> h2wire.Stream:
    stream = client.start([
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", path),
        (":authority", authority), ("sec-websocket-version", "13"), *headers], end=False)
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
