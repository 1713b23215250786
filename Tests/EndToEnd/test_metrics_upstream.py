"""Connections to and fro, and upstreams that fail: each reason that can be provoked, in both directions."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from datetime import timedelta

import pytest
from conftest import needs_root
from kit import h2wire
from kit.forward import Servers
from kit.monitor import metrics
from kit.moves import Bench, Case, Cases
from kit.names import NameServer
from kit.pki import Authority
from kit.pod import MONITOR_PORT
from kit.process import wait_until
from kit.proxy import free_port
from kit.reload import wait_reloaded
from kit.volume import write
from kit.wire import Closed, connect_plain

CASES = Cases()


@pytest.fixture(scope="module")
def servers(scratch, identities):
    running = Servers(scratch / "reached", identities.authority.server(), identities.ca_file)
    yield running
    running.stop()


@CASES.parametrize()
def test_it_moves(case, bench, servers):
    case.run(bench)


def error(direction: str, reason: str) -> str:
    return f'sidecar_upstream_errors_total{{direction="{direction}",reason="{reason}"}}'


#: Why a failure of this direction and reason is in no case.
UNPROVOKABLE = {
    error("inbound", "no_address"): "without an address of UPSTREAM_URL there is no upstream, but 503 and an unready pod",
    error("inbound", "lookup_timeout"): "UPSTREAM_URL is looked up apart from requests",
    error("inbound", "loop"): "captured connections to the proxy's own ports are closed before they are requests",
}


def act_on(direction: str, reason: str, serve: Callable[[Bench], Callable] | None, **settings: str) -> Case:
    """A request whose upstream is `serve`, in plain text inbound and in TLS outbound."""

    def action(bench):
        port = bench.start_upstream(serve(bench)).port if serve else free_port()
        if direction == "inbound":
            yield (proxy := bench.proxy(upstream_port=port, **settings))
            client, target, host = proxy.connect(), "/", "localhost"
        else:
            yield (forward := bench.forward(**settings)).proxy
            host = f"localhost:{port}"
            client, target = forward.connect(), f"http://{host}/"
        with client, contextlib.suppress(OSError, Closed):
            client.request(target, "POST", host=host)

    action.__name__ = f"{direction}_{reason}"
    return Case(action, {error(direction, reason): 1})


def plain(act: Callable[[socket.socket], object]) -> Callable:
    """Acts when a request has come."""

    def serve(stream: socket.socket) -> None:
        stream.recv(65_536)
        act(stream)

    return lambda _: serve


def encrypted(act: Callable[[ssl.SSLSocket], object], alpn: tuple[str, ...] = ()) -> Callable:
    """The same, under TLS."""

    def prepare(bench: Bench) -> Callable:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        home = bench.identities.authority.server().write(bench.directory / "far")
        context.load_cert_chain(home / "tls.crt", home / "tls.key")
        if alpn:
            context.set_alpn_protocols(list(alpn))

        def serve(stream: socket.socket) -> None:
            with context.wrap_socket(stream, server_side=True) as tls:
                tls.recv(65_536)
                act(tls)

        return serve

    return prepare


def reset(stream: socket.socket) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def nonsense(stream: socket.socket) -> None:
    stream.sendall(b"220 mail.example ESMTP\r\n\r\n")


def wait(stream: socket.socket) -> None:
    stream.recv(65_536)


def say_goodbye(tls: ssl.SSLSocket) -> None:
    with contextlib.suppress(OSError):
        tls.unwrap()


CASES += [
    act_on("inbound", "connect", None),
    act_on("outbound", "connect", None),
    act_on("inbound", "connection_broken", plain(reset)),
    act_on("inbound", "closed_early", plain(lambda stream: None)),
    act_on("outbound", "closed_early", encrypted(say_goodbye)),
    act_on("inbound", "malformed_answer", plain(nonsense)),
    act_on("outbound", "malformed_answer", encrypted(nonsense)),
    act_on("inbound", "response_timeout", plain(wait), RESPONSE_TIMEOUT_SECS="1"),
    act_on("outbound", "response_timeout", encrypted(wait), RESPONSE_TIMEOUT_SECS="1"),
    act_on("outbound", "handshake", plain(nonsense)),
    act_on("outbound", "handshake_timeout", plain(wait), HANDSHAKE_TIMEOUT_SECS="1"),
    # An end without close_notify, where more was due.
    act_on("outbound", "tls", encrypted(lambda tls: tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nonly"))),
]


@contextlib.contextmanager
def full_listener():
    """A port whose kernel answers nobody any more: its backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as held:
        for _ in range(4):
            stream = held.enter_context(socket.socket())
            stream.setblocking(False)
            stream.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@CASES.moves({error("inbound", "connect_timeout"): 1})
def inbound_connect_timeout(bench):
    with full_listener() as port:
        yield (proxy := bench.proxy(UPSTREAM_URL=f"http://127.0.0.1:{port}", CONNECT_TIMEOUT_SECS="1"))
        with proxy.connect() as client:
            assert client.request("/").status == 504


@CASES.moves({error("outbound", "connect_timeout"): 1})
def outbound_connect_timeout(bench):
    with full_listener() as port:
        yield (forward := bench.forward(CONNECT_TIMEOUT_SECS="1")).proxy
        with forward.connect() as client:
            host = f"127.0.0.1:{port}"
            assert client.request(f"http://{host}/", host=host).status == 504


def inbound_tls(reason: str, serve: Callable[[Bench], Callable], **settings: str) -> Case:
    """UPSTREAM_URL may be https too."""

    def action(bench):
        port = bench.start_upstream(serve(bench)).port
        yield (proxy := bench.proxy(UPSTREAM_URL=f"https://localhost:{port}", **settings))
        with proxy.connect() as client, contextlib.suppress(OSError, Closed):
            client.request("/", "POST")

    action.__name__ = f"inbound_{reason}"
    return Case(action, {error("inbound", reason): 1})


CASES += [
    inbound_tls("handshake", plain(nonsense)),
    inbound_tls("handshake_timeout", plain(wait), HANDSHAKE_TIMEOUT_SECS="1"),
    inbound_tls("tls", encrypted(lambda tls: tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nonly"))),
]


@CASES.moves({error("inbound", "stream_reset"): 1})
def inbound_stream_reset(bench):
    yield (proxy := bench.proxy(UPSTREAM_URL=f"h2c://127.0.0.1:{bench.get('h2app')}"))
    with proxy.connect() as client:
        assert client.request("/reset/8").status == 502


@CASES.moves({error("outbound", "stream_reset"): 1})
def outbound_stream_reset(bench):
    def refuse(tls: ssl.SSLSocket) -> None:
        tls.sendall(h2wire.settings({}))
        acknowledged = h2wire.frame(h2wire.Kind.SETTINGS, h2wire.ACK)  # sent after the request at the earliest
        while acknowledged not in (received := tls.recv(65_536)):
            assert received
        tls.sendall(h2wire.rst_stream(1))
        wait(tls)

    server = bench.start_upstream(encrypted(refuse, alpn=("h2",))(bench))
    yield (forward := bench.forward()).proxy
    with h2wire.connect_plain(forward.port) as client:
        assert client.wait_done(client.open("/", authority=f"localhost:{server.port}")).status == 502


@CASES.moves({error("outbound", "loop"): 1, error("outbound", "connection_broken"): 1})
def outbound_loop_and_broken_tunnel(bench):
    """To itself; and a server that resets a tunnel whose TLS is the application's own."""
    server = bench.start_upstream(plain(reset)(bench))
    yield (forward := bench.forward()).proxy
    own = f"127.0.0.1:{forward.proxy.monitor_port}"
    with forward.connect() as client:
        assert client.request(f"http://{own}/", host=own).status == 403
    with forward.tunnel(f"127.0.0.1:{server.port}") as client, contextlib.suppress(OSError):
        client.send(b"\x16\x03\x01\x00\x05hello")
        client.until_close()


@CASES.moves({error("outbound", "no_address"): 1, error("outbound", "lookup_timeout"): 1})
def outbound_look_ups(bench):
    """In a pod with a name server of its own."""
    needs_root()
    pods, port = bench.get("fresh_pods"), free_port()
    names = NameServer(pods.a.namespace, {"silent.test": None})
    pods.a.resolv_conf = NameServer.resolv_conf(bench.directory)
    try:
        home = pods.identity(pods.a)
        pods.a.run_sidecar(pods.binary, {
            "OUTBOUND_PROXY_PORT": str(port), "TLS_LISTEN_PORT": "", "CLIENT_CERT_DIR": str(home),
            "SERVER_CERT_DIR": str(home), "CA_DIR": str(pods.ca_directory), "MONITOR_PORT": str(MONITOR_PORT),
            "CONNECT_TIMEOUT_SECS": "1", "WORKER_THREADS": "1", "ENABLE_METRICS": "true"})
        yield pods.a
        for name, status in (("nowhere.test", 502), ("silent.test", 504)):
            done = pods.a.run(
                "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-x", f"http://127.0.0.1:{port}", f"http://{name}/")
            assert done.stdout == str(status)
    finally:
        names.stop()


# Connections


def connection(which: str, direction: str) -> str:
    return f'sidecar_{which}{{direction="{direction}"}}'


def of_all_connections(direction: str, opened: int, held: int) -> dict:
    return {
        connection("connections_opened_total", direction): opened, connection("connections_open", direction): held,
        connection("upstream_connections_opened_total", direction): opened,
        connection("upstream_connections_open", direction): held,
        connection("upstream_connect_duration_seconds_count", direction): opened}


@CASES.moves(of_all_connections("inbound", 2, 2))
def inbound_connections_that_are_open(bench):
    yield (proxy := bench.proxy())
    with proxy.connect() as one, proxy.connect() as two:
        for client in (one, two):
            client.send(b"GET /slow/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        yield


@CASES.moves(of_all_connections("outbound", 2, 2))
def outbound_connections_that_are_open(bench):
    yield (forward := bench.forward()).proxy
    echo = f"localhost:{bench.get('servers').echo}"
    with forward.tunnel(echo) as one, forward.tunnel(echo) as two:
        for client in (one, two):
            client.send(b"hello")
            assert client.exactly(5) == b"hello"
        yield


@CASES.moves(of_all_connections("outbound", 1, 0))
def outbound_connections_that_have_ended(bench):
    yield (forward := bench.forward()).proxy
    with forward.tunnel(f"localhost:{bench.get('servers').echo}") as client:
        client.send(b"hello")
        assert client.exactly(5) == b"hello"


@CASES.moves({
    connection("connections_opened_total", "inbound"): 1, connection("connections_open", "inbound"): 0,
    connection("upstream_connections_opened_total", "inbound"): 1})
def inbound_connections_that_have_ended(bench):
    yield (proxy := bench.proxy())
    with proxy.connect() as client:
        assert client.request("/echo").status == 200


@CASES.moves({"sidecar_connection_limit_reached_total": lambda was, now: now > was})
def more_connections_than_the_limit(bench):
    yield (proxy := bench.proxy(MAX_CONNECTIONS="2"))
    with proxy.connect() as one, proxy.connect() as two:
        one.request("/echo"), two.request("/echo")
        with connect_plain(proxy.address):
            yield


def was_ended(reason: str) -> str:
    return f'sidecar_connections_ended_total{{reason="{reason}"}}'


@CASES.moves({was_ended("trust_anchor_removed"): 2, was_ended("cut"): 1, was_ended("expired"): 1})
def peers_that_would_be_refused_by_now(bench):
    """Two whose authority is removed, one of them busy for too long, and one whose certificate expires."""
    trust, own, second = bench.directory / "trust", bench.identities.authority, Authority("Second CA")
    trust.mkdir(mode=0o755)
    write(trust / "ca.crt", own.pem + second.pem)
    guest = second.client("guest").write(bench.directory / "guest")
    brief = own.client("brief", not_after=timedelta(seconds=2)).write(bench.directory / "brief")
    yield (proxy := bench.proxy(CA_DIR=str(trust), SHUTDOWN_TIMEOUT_SECS="1"))
    clients = [proxy.connect(pair, seconds=15) for pair in (brief, guest, guest)]
    for client in clients:
        assert client.request("/echo").status == 200
    clients[2].send(b"GET /slow/30 HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until(lambda: metrics(proxy).value("sidecar_requests_in_flight") == 1, "it is in flight")
    write(trust / "ca.crt", own.pem)
    wait_reloaded(proxy)
    assert all(client.is_closed() for client in clients)
