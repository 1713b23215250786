"""WebSocket and every other protocol that is begun by Upgrade crosses unchanged; a refused one is an ordinary answer."""

from __future__ import annotations

import contextlib
import hashlib
import queue
import random
import socket
import threading
import time

import pytest
from kit import pattern
from kit.namespace import inside
from kit.process import wait_until
from kit.proxy import free_port
from kit.transparent import HTTP
from kit.upstream import RequestReader
from kit.wire import Connection, HalfClosableTLS, client_context
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

ASK = b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: %s\r\n\r\n"
AGREE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


class Service:
    """A WebSocket server in this process; it may listen in another network namespace."""

    def __init__(self, listener: socket.socket):
        self.port = listener.getsockname()[1]
        #: Code and reason of each connection that a client has closed; None without a closing handshake.
        self.closes: queue.Queue[tuple[int, str] | None] = queue.Queue()
        self.server = serve(
            self.handle, sock=listener, compression=None, ping_interval=None,
            select_subprotocol=lambda _, offered: "chat" if "chat" in offered else None)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def handle(self, socket: ServerConnection) -> None:
        path = socket.request.path
        try:
            if path == "/who":
                socket.send(socket.request.headers["X-Client-CN"])
            elif path == "/ping":
                socket.send("alive" if socket.ping(b"anyone there?").wait(10) else "silent")
            elif path == "/enough":
                return socket.close(4002, "enough")
            elif path == "/vanish":
                return socket.socket.shutdown(2)
            for message in socket:
                socket.send(message)
        except ConnectionClosed:
            pass
        finally:
            received = socket.protocol.close_rcvd
            self.closes.put(received and (received.code, received.reason))

    def stop(self) -> None:
        self.server.shutdown()


class Ways:
    """The ways of a client to a service, each through one sidecar or two."""

    def __init__(self, request: pytest.FixtureRequest):
        self.request = request
        self.services: list[Service] = []

    def service(self, namespace: str | None = None) -> Service:
        def listen() -> socket.socket:
            return socket.create_server(("0.0.0.0", 0))

        self.services.append(Service(inside(namespace, listen) if namespace else listen()))
        return self.services[-1]

    def start_proxy(self, **settings):
        return self.request.getfixturevalue("start_proxy")(**settings)

    def peer(self):
        """A sidecar with a service behind its explicit port."""
        return self.start_proxy(upstream_port=self.service().port, INJECT_CLIENT_HEADERS="cn")

    def forward_port(self) -> int:
        port = free_port()
        self.start_proxy(OUTBOUND_PROXY_PORT=str(port))
        return port

    def explicit(self):
        proxy = self.peer()
        context = client_context(proxy.identities.ca_file, proxy.identities.caller_directory)
        return lambda path, **options: connect(f"wss://localhost:{proxy.port}{path}", ssl=context, **options)

    def captured(self):
        pods = self.request.getfixturevalue("pods")
        port = self.service(pods.b.namespace).port
        return lambda path, **options: connect(
            f"ws://{pods.b.ipv4}:{port}{path}", sock=pods.a.connect(pods.b.ipv4, port), **options)

    def by_connect(self):
        peer, forward = self.peer(), self.forward_port()
        return lambda path, **options: connect(
            f"ws://localhost:{peer.port}{path}", **options | {"proxy": f"http://127.0.0.1:{forward}"})

    def untouched(self):
        """TLS of the client's own, through the tunnel that CONNECT makes."""
        peer, forward = self.peer(), self.forward_port()
        context = client_context(peer.identities.ca_file, peer.identities.caller_directory)
        return lambda path, **options: connect(
            f"wss://localhost:{peer.port}{path}", ssl=context, **options | {"proxy": f"http://127.0.0.1:{forward}"})

    def absolute(self):
        peer, forward = self.peer(), self.forward_port()

        def absolute_form(stream, protocol, **options) -> ClientConnection:
            origin_form = protocol.connect

            def handshake():
                request = origin_form()
                request.path = f"http://localhost:{peer.port}{request.path}"
                return request

            protocol.connect = handshake
            return ClientConnection(stream, protocol, **options)

        return lambda path, **options: connect(
            f"ws://localhost:{peer.port}{path}", sock=socket.create_connection(("127.0.0.1", forward)),
            create_connection=absolute_form, **options)


@pytest.fixture
def ways(request):
    ways = Ways(request)
    yield ways
    for service in ways.services:
        service.stop()


@pytest.fixture(params=["explicit", "captured", "by_connect", "untouched", "absolute"])
def dial(request, ways):
    """Connects to a path of the service."""
    way = getattr(ways, request.param)()
    return lambda path, **options: way(path, **{"compression": None, "proxy": None, "ping_interval": None} | options)


def messages(count: int):
    """Text and binary of all sizes, small ones mostly, each bound of the framing among them."""
    chance = random.Random(count)
    for _ in range(count):
        size = chance.choice((0, 1, 125, 126, 127, 1_000))
        if chance.random() < 0.03:
            size = chance.choice((16_384, 65_535, 65_536, chance.randrange(65_536)))
        start = chance.randrange(len(pattern.BLOCK) - size)
        content = pattern.BLOCK[start:start + size]
        yield content if chance.random() < 0.5 else content.hex()[:size]


def test_ten_thousand_messages_come_back_as_they_were(dial):
    with dial("/echo") as client:
        def send() -> None:
            for message in messages(10_000):
                client.send(message)

        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        for number, message in enumerate(messages(10_000)):
            assert client.recv(timeout=30) == message, f"message {number}"
        sending.join(10)


def test_pings_are_answered_in_both_directions(dial):
    with dial("/ping") as client:
        assert client.recv(timeout=10) == "alive"
        assert client.ping(b"and you?").wait(10)


def test_the_server_learns_who_calls_and_both_agree_on_a_subprotocol(dial, ways):
    with dial("/who", subprotocols=["other", "chat"]) as client:
        assert client.recv(timeout=10) in ("caller", "a", "sidecar-client")
        assert client.subprotocol == "chat"


def test_a_close_code_of_the_client_reaches_the_server(dial, ways):
    with dial("/echo") as client:
        client.close(4001, "done")
    assert ways.services[-1].closes.get(timeout=10) == (4001, "done")


def test_a_close_code_of_the_server_reaches_the_client(dial):
    with dial("/enough") as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4002, "enough")


def test_an_end_without_goodbye_is_one_for_the_other_side_too(dial, ways):
    with dial("/vanish") as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd is None
    assert ways.services[-1].closes.get(timeout=10) is None
    with dial("/echo") as client:
        client.socket.shutdown(socket.SHUT_RDWR)
    assert ways.services[-1].closes.get(timeout=10) is None


# An upgrade that the server refuses

def refusing(status: bytes):
    """Answers an upgrade with something else, and goes on."""
    def serve_connection(stream):
        reader = RequestReader(stream)
        while request := reader.next():
            if request.all("upgrade"):
                stream.sendall(b"HTTP/1.1 %s\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\nnay\n" % status)
            else:
                said = "\n".join(f"{name}: {value}" for name, value in request.fields).encode()
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
    return serve_connection


@pytest.mark.parametrize("status", [
    b"200 OK", b"403 Forbidden", b"404 Not Found", b"426 Upgrade Required", b"503 Service Unavailable",
])
def test_a_refused_upgrade_is_an_ordinary_answer_and_http_goes_on(start_proxy, start_upstream, status):
    upstream = start_upstream(refusing(status))
    proxy = start_proxy(upstream_port=upstream.port, WORKER_THREADS="1", INJECT_CLIENT_HEADERS="cn")
    with proxy.connect() as client:
        for _ in range(2):
            client.send(ASK % b"websocket")
            answer = client.response()
            assert (answer.status, answer.body, answer.closes) == (int(status[:3]), b"nay\n", False)
            # Who takes an upgrade for granted stops looking at what follows.
            said = client.request("/next", headers=(("X-Client-CN", "admin"),)).body.decode()
            assert "X-Client-CN: caller" in said and "admin" not in said
    assert upstream.connections == 1


def test_what_follows_a_refused_upgrade_is_a_request_of_its_own(start_proxy, start_upstream):
    proxy = start_proxy(upstream_port=start_upstream(refusing(b"426 Upgrade Required")).port)
    with proxy.connect() as client:
        client.send(ASK % b"websocket" + b"GET / HTTP/1.1\r\nHost: a\r\nX-Client-CN: admin\r\n\r\n")
        assert client.response().status == 426
        assert b"admin" not in client.response().body


@pytest.mark.parametrize("content", [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\nContent-Length: 2\r\n\r\nhi",
], ids=["not asked", "asked without Connection", "asked with a body"])
def test_a_switch_that_nobody_asked_for_is_502(start_proxy, start_upstream, content):
    def serve_connection(stream):
        RequestReader(stream).next()
        stream.sendall(AGREE + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        stream.recv(1)

    proxy = start_proxy(upstream_port=start_upstream(serve_connection).port)
    with proxy.connect() as client:
        client.send(content)
        assert client.response().status == 502


# Tunnels, whatever is spoken in them

@pytest.mark.parametrize("protocol", [b"echo", b"irc", b"TLS/1.0", b"WebSocket", b"a, b"])
def test_any_protocol_may_be_switched_to(start_proxy, start_upstream, protocol):
    asked = []

    def serve_connection(stream):
        asked.append(RequestReader(stream).next())
        stream.sendall(AGREE)
        while piece := stream.recv(65_536):
            stream.sendall(piece.upper())

    proxy = start_proxy(upstream_port=start_upstream(serve_connection).port)
    with proxy.connect() as client:
        client.send(ASK % protocol)
        answer = client.response()
        assert (answer.status, answer.header("upgrade"), answer.header("connection").lower()) == (101, "echo", "upgrade")
        client.send(b"\x00\xffGET / HTTP/1.1\r\n\r\n")
        assert client.exactly(20) == b"\x00\xffGET / HTTP/1.1\r\n\r\n"
    assert asked[0].all("upgrade") == [protocol.decode()]
    assert [value.lower() for value in asked[0].all("connection")] == ["upgrade"]


def test_bytes_on_either_side_of_the_switch_are_not_lost(start_proxy, start_upstream):
    """The client does not wait for the answer, and the server speaks in the same breath as it agrees."""
    received = queue.Queue()

    def serve_connection(stream):
        reader = RequestReader(stream)
        reader.next()
        stream.sendall(AGREE + b"welcome")
        received.put(reader.exactly(5))
        stream.sendall(b"goodbye")

    proxy = start_proxy(upstream_port=start_upstream(serve_connection).port)
    with proxy.connect() as client:
        client.send(ASK % b"echo" + b"early")
        assert client.response().status == 101
        assert client.until_close() == b"welcomegoodbye"
    assert received.get(timeout=10) == b"early"


@pytest.mark.parametrize("reader", ["client", "server"])
def test_whoever_stops_reading_makes_the_other_side_wait(start_proxy, start_upstream, reader):
    size, sent, received = 64 << 20, [], queue.Queue()
    may_read = threading.Event()

    def write(send) -> None:
        for piece in pattern.pieces(size):
            send(piece)
            sent.append(len(piece))

    def read(exactly) -> None:
        received.put(hashlib.sha256(exactly(size)).hexdigest())

    def serve_connection(stream):
        RequestReader(stream).next()
        stream.sendall(AGREE)
        if reader == "client":
            write(stream.sendall)
            stream.recv(1)
        else:
            may_read.wait(30)
            read(Connection(stream, seconds=30).exactly)

    def is_stalled() -> bool:
        before = len(sent)
        time.sleep(0.5)
        return len(sent) == before > 0

    proxy = start_proxy(upstream_port=start_upstream(serve_connection).port)
    with proxy.connect(seconds=30) as client:
        client.send(ASK % b"echo")
        assert client.response().status == 101
        before = proxy.process.rss_bytes()
        if reader == "server":
            writing = threading.Thread(target=write, args=(client.send,), daemon=True)
            writing.start()
        wait_until(is_stalled, "the writer waits")
        assert sum(sent) < size
        assert proxy.process.rss_bytes() - before < 12 << 20
        may_read.set()
        if reader == "client":
            read(client.exactly)
        assert received.get(timeout=30) == pattern.checksum(size)


def connect_half_closable(proxy) -> Connection:
    context = client_context(proxy.identities.ca_file, proxy.identities.caller_directory)
    return Connection(HalfClosableTLS(socket.create_connection(proxy.address, timeout=10), context))


def test_the_server_may_end_its_half_first(start_proxy, start_upstream):
    received = queue.Queue()

    def serve_connection(stream):
        reader = RequestReader(stream)
        reader.next()
        stream.sendall(AGREE + b"that was all")
        stream.shutdown(socket.SHUT_WR)
        while reader.fill():
            pass
        received.put(reader.buffer)

    proxy = start_proxy(upstream_port=start_upstream(serve_connection).port)
    with connect_half_closable(proxy) as client:
        client.send(ASK % b"echo")
        assert client.response().status == 101
        assert client.until_close() == b"that was all"
        for piece in pattern.pieces(1_000_000):
            client.send(piece)
        client.stream.shutdown(socket.SHUT_WR)
        assert received.get(timeout=10) == pattern.BLOCK[:1_000_000]


@pytest.mark.parametrize("way", ["explicit", "captured"])
def test_the_client_may_end_its_half_first(request, way):
    if way == "explicit":
        client, host = connect_half_closable(request.getfixturevalue("proxy")), b"a"
    else:
        pods = request.getfixturevalue("pods")
        client, host = Connection(pods.a.connect(pods.b.ipv4, HTTP)), pods.b.ipv4.encode()
    size = 100_000
    with client:
        client.send((ASK % b"echo").replace(b"Host: a", b"Host: " + host))
        assert client.response().status == 101
        client.send(pattern.BLOCK[:size])
        client.stream.shutdown(socket.SHUT_WR)
        assert client.until_close() == pattern.BLOCK[:size]


def test_a_silent_tunnel_is_ended_on_both_sides(start_proxy, start_upstream):
    ended = threading.Event()

    def serve_connection(stream):
        RequestReader(stream).next()
        stream.sendall(AGREE)
        with contextlib.suppress(ConnectionError):
            stream.recv(1)
        ended.set()

    proxy = start_proxy(upstream_port=start_upstream(serve_connection).port, IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        client.send(ASK % b"echo")
        assert client.response().status == 101
        started = time.monotonic()
        assert client.is_closed()
        assert time.monotonic() - started > 0.9
        assert ended.wait(10)


@pytest.mark.parametrize("speaker", ["client", "server"])
def test_a_tunnel_lives_on_while_either_side_speaks(start_proxy, start_upstream, speaker):
    heard = []

    def serve_connection(stream):
        RequestReader(stream).next()
        stream.sendall(AGREE)
        while speaker == "server":
            stream.sendall(b".")
            time.sleep(0.2)
        while piece := stream.recv(100):
            heard.append(piece)

    proxy = start_proxy(upstream_port=start_upstream(serve_connection).port, IDLE_TIMEOUT_SECS="2")
    with proxy.connect() as client:
        client.send(ASK % b"echo")
        assert client.response().status == 101
        if speaker == "server":
            assert client.exactly(12) == b"." * 12
        else:
            for _ in range(12):
                client.send(b".")
                time.sleep(0.2)
            wait_until(lambda: b"".join(heard) == b"." * 12, "all of it came")


def test_a_tunnels_place_is_free_when_it_has_ended(start_proxy, app):
    proxy = start_proxy(MAX_CONNECTIONS="1", WORKER_THREADS="1")
    for _ in range(3):
        with proxy.connect() as client:
            client.send(ASK % b"echo")
            assert client.response().status == 101
            client.send(b"hello")
            assert client.exactly(5) == b"hello"
