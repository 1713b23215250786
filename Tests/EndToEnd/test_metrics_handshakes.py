"""Handshakes by side and outcome, for each reason that can be provoked, and the expiry of certificates."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from datetime import timedelta

from cryptography import x509
from kit.monitor import metrics
from kit.moves import Bench, Case, Cases
from kit.pki import Authority, Pair
from kit.wire import Closed, client_context, connect_plain

CASES = Cases()


def failure(side: str, reason: str) -> str:
    return f'sidecar_handshake_failures_total{{side="{side}",reason="{reason}"}}'


#: Why a failure of this side and reason is in no case.
UNPROVOKABLE = {
    failure("server", "name_mismatch"): "a client has no name to prove",
    failure("client", "no_certificate"): "a TLS server without certificate refuses with an alert: peer_alert",
    failure("client", "no_shared_cipher"): "the server chooses, and says so with an alert: peer_alert",
    failure("server", "internal"): "a failure of the library itself, as for want of memory",
    failure("client", "internal"): "a failure of the library itself, as for want of memory",
    failure("server", "connection"): "OpenSSL tells of a socket's end during a handshake first: reset, truncated",
    failure("client", "connection"): "OpenSSL tells of a socket's end during a handshake first: reset, truncated",
}


@CASES.parametrize()
def test_it_moves(case, bench):
    case.run(bench)


def reset_on_close(stream: socket.socket) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def records(stream: socket.socket):
    """TLS records as they come: kind, and all their bytes."""
    with stream.makefile("rb") as file:
        while len(head := file.read(5)) == 5:
            yield head[0], head + file.read(int.from_bytes(head[3:], "big"))


def flip_signature(record: bytes, kind: int) -> bytes:
    """The last byte of a handshake message of TLS 1.2 is one of its signature."""
    position = 5
    while position + 4 <= len(record):
        size = 4 + int.from_bytes(record[position + 1:position + 4], "big")
        if record[position] == kind:
            spoilt = bytearray(record)
            spoilt[position + size - 1] ^= 1
            return bytes(spoilt)
        position += size
    return record


def server_context(pair, directory, *, client_ca=None, version=None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    home = pair.write(directory)
    context.load_cert_chain(home / "tls.crt", home / "tls.key")
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if version:
        context.minimum_version = context.maximum_version = version
    return context


# A client's handshake with the proxy fails


def with_pair(make: Callable[[Bench], Pair]) -> Callable:
    def act(bench: Bench, proxy) -> None:
        with proxy.connect(make(bench).write(bench.directory / "peer")) as client:
            client.request("/")

    return act


def without_certificate(_, proxy) -> None:
    with proxy.connect_without_certificate() as client:
        client.request("/")


def says(data: bytes, then: Callable[[socket.socket], object] = lambda stream: stream.recv(100)) -> Callable:
    def act(_, proxy) -> None:
        with connect_plain(proxy.address) as client:
            client.send(data)
            then(client.stream)

    return act


def with_context(change: Callable[[ssl.SSLContext], None]) -> Callable:
    def act(bench: Bench, proxy) -> None:
        context = client_context(bench.identities.ca_file, bench.identities.caller_directory)
        change(context)
        with socket.create_connection(proxy.address) as plain, context.wrap_socket(plain, server_hostname="localhost"):
            pass

    return act


def old_version(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def other_ciphers(context: ssl.SSLContext) -> None:
    """The proxy's key is of another kind."""
    old_version(context)
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")


def without_the_key(bench: Bench, proxy) -> None:
    """Its CertificateVerify is spoilt on the way, which TLS 1.2 sends in the clear."""
    context = client_context(bench.identities.ca_file, bench.identities.caller_directory)
    old_version(context)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with connect_plain(proxy.address) as client:
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                session.do_handshake()
            sent, position = outgoing.read(), 0
            while position < len(sent):
                size = 5 + int.from_bytes(sent[position + 3:position + 5], "big")
                client.send(flip_signature(sent[position:position + size], kind=15))
                position += size
            if not (piece := client.stream.recv(65_536)):
                return
            incoming.write(piece)


def distrustful(bench: Bench, proxy) -> None:
    other = bench.identities.stranger.write(bench.directory / "other") / "ca.crt"
    context = client_context(other, bench.identities.caller_directory)
    with socket.create_connection(proxy.address) as plain, context.wrap_socket(plain, server_hostname="localhost"):
        pass


def strange_extension(bench: Bench) -> Pair:
    """A certificate with a critical extension that nobody knows."""
    pair = bench.identities.authority.client("odd")
    old = pair.certificate
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer, subject_name=old.subject, public_key=old.public_key(), serial_number=old.serial_number,
        not_valid_before=old.not_valid_before_utc, not_valid_after=old.not_valid_after_utc, extensions=list(old.extensions))
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    key = bench.identities.authority.pair.key
    return Pair(builder.add_extension(odd, critical=True).sign(key, old.signature_hash_algorithm), pair.key)


#: By reason: what a client does, and with which settings of the proxy.
CLIENTS: dict[str, tuple] = {
    "no_certificate": (without_certificate,),
    "unknown_ca": (with_pair(lambda bench: bench.identities.stranger.client()),),
    "expired": (with_pair(lambda bench: bench.identities.authority.expired()),),
    "not_yet_valid": (with_pair(lambda bench: bench.identities.authority.not_yet_valid()),),
    "wrong_purpose": (with_pair(lambda bench: bench.identities.authority.server()),),
    "bad_signature": (without_the_key,),
    "bad_certificate": (with_pair(strange_extension),),
    "no_shared_version": (with_context(old_version), {"TLS_MIN_VERSION": "1.3"}),
    "no_shared_cipher": (with_context(other_ciphers),),
    "not_tls": (says(b"GET / HTTP/1.1\r\n\r\n"),),
    "peer_alert": (distrustful,),
    "truncated": (says(b"", lambda stream: stream.shutdown(socket.SHUT_WR)),),
    "reset": (says(b"\x16\x03\x01", reset_on_close),),
    "protocol": (says(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"),),
    "timeout": (says(b"\x16\x03\x01", lambda stream: stream.recv(100)), {"HANDSHAKE_TIMEOUT_SECS": "1"}),
}


def client_case(reason: str, act: Callable, settings: dict[str, str] = {}) -> Case:
    def action(bench):
        yield (proxy := bench.proxy(**settings))
        with contextlib.suppress(OSError, Closed):
            act(bench, proxy)

    action.__name__ = f"server_{reason}"
    return Case(action, {
        failure("server", reason): 1, "mtls_failures_total": 1, 'sidecar_handshakes_total{side="server"}': 0})


CASES += [client_case(reason, *how) for reason, how in CLIENTS.items()]


# The proxy's handshake with a server fails


def as_server(make: Callable[[Bench], ssl.SSLContext]) -> Callable:
    def prepare(bench: Bench) -> Callable[[socket.socket], None]:
        context = make(bench)

        def serve(stream: socket.socket) -> None:
            with context.wrap_socket(stream, server_side=True) as tls:
                tls.recv(65_536)

        return serve

    return prepare


def pair_of(make: Callable[[Bench], Pair]) -> Callable:
    return as_server(lambda bench: server_context(make(bench), bench.directory / "far"))


def answers(data: bytes, then: Callable[[socket.socket], object] = lambda stream: stream.recv(100)) -> Callable:
    def serve(stream: socket.socket) -> None:
        stream.recv(65_536)
        stream.sendall(data)
        then(stream)

    return lambda _: serve


def spoilt_key_exchange(bench: Bench) -> Callable[[socket.socket], None]:
    """A server whose ServerKeyExchange of TLS 1.2 is spoilt on its way, as by one that does not hold the key."""
    context = server_context(bench.identities.authority.server(), bench.directory / "far", version=ssl.TLSVersion.TLSv1_2)

    def serve(stream: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_side=True)
        for _, record in records(stream):
            incoming.write(record)
            with contextlib.suppress(ssl.SSLWantReadError):
                session.do_handshake()
            sent, position = outgoing.read(), 0
            while position < len(sent):
                size = 5 + int.from_bytes(sent[position + 3:position + 5], "big")
                stream.sendall(flip_signature(sent[position:position + size], kind=12))
                position += size

    return serve


def refuses_everyone(bench: Bench) -> ssl.SSLContext:
    return server_context(
        bench.identities.authority.server(), bench.directory / "far", version=ssl.TLSVersion.TLSv1_2,
        client_ca=bench.identities.stranger.write(bench.directory / "other") / "ca.crt")


def old_server_hello() -> bytes:
    """TLS 1.1, which the client has not offered."""
    hello = b"\x03\x02" + bytes(32) + b"\0" + b"\xc0\x09" + b"\0"
    message = b"\x02" + len(hello).to_bytes(3, "big") + hello
    return b"\x16\x03\x02" + len(message).to_bytes(2, "big") + message


SERVERS: dict[str, tuple] = {
    "unknown_ca": (pair_of(lambda bench: bench.identities.stranger.server()),),
    "expired": (pair_of(lambda bench: bench.identities.authority.server(
        not_before=timedelta(days=-2), not_after=timedelta(hours=-1))),),
    "not_yet_valid": (pair_of(lambda bench: bench.identities.authority.server(not_before=timedelta(days=2))),),
    "wrong_purpose": (pair_of(lambda bench: bench.identities.authority.client(dns=("localhost",))),),
    "bad_signature": (spoilt_key_exchange,),
    "bad_certificate": (pair_of(strange_extension),),
    "name_mismatch": (pair_of(lambda bench: bench.identities.authority.server(dns=("other.test",), addresses=())),),
    "no_shared_version": (answers(old_server_hello()),),
    "not_tls": (answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"),),
    "peer_alert": (as_server(refuses_everyone),),
    "truncated": (answers(b"", lambda stream: None),),
    "reset": (answers(b"", reset_on_close),),
    "protocol": (answers(b"\x16\x03\x03\x00\x04\x63\x00\x00\x00"),),
    "timeout": (answers(b""), {"HANDSHAKE_TIMEOUT_SECS": "1"}),
}


def server_case(reason: str, prepare: Callable, settings: dict[str, str] = {}) -> Case:
    def action(bench):
        server = bench.start_upstream(prepare(bench))
        yield (forward := bench.forward(**settings)).proxy
        with forward.connect() as client:
            authority = f"localhost:{server.port}"
            client.request(f"http://{authority}/", host=authority)

    action.__name__ = f"client_{reason}"
    told = "handshake_timeout" if reason == "timeout" else "handshake"
    upstream = f'sidecar_upstream_errors_total{{direction="outbound",reason="{told}"}}'
    return Case(action, {
        failure("client", reason): 1, upstream: 1, "mtls_failures_total": 0, "outbound_request_failures_total": 1})


CASES += [server_case(reason, *how) for reason, how in SERVERS.items()]


# Those that succeed, and floods of those that do not


@CASES.moves({'sidecar_handshakes_total{side="server"}': 2, 'sidecar_handshakes_resumed_total{side="server"}': 1})
def clients_that_come_back(bench):
    yield (proxy := bench.proxy())
    context = client_context(bench.identities.ca_file, bench.identities.caller_directory)
    session = None
    for _ in range(2):
        with socket.create_connection(proxy.address) as plain, context.wrap_socket(
                plain, server_hostname="localhost", session=session) as tls:
            tls.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while tls.recv(65_536):
                pass
            session = tls.session


@CASES.moves({'sidecar_handshakes_total{side="client"}': 2, 'sidecar_handshakes_resumed_total{side="client"}': 1})
def servers_that_are_called_again(bench):
    context = server_context(bench.identities.authority.server(), bench.directory / "far")

    def serve(stream: socket.socket) -> None:
        with context.wrap_socket(stream, server_side=True) as tls:
            tls.recv(65_536)
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    server = bench.start_upstream(serve)
    yield (forward := bench.forward()).proxy
    for _ in range(2):
        with forward.connect() as client:
            authority = f"localhost:{server.port}"
            assert client.request(f"http://{authority}/", host=authority).status == 200


@CASES.moves({
    "sidecar_handshake_reports_dropped_total": lambda was, now: 0 < now - was <= 250, "mtls_failures_total": 300})
def a_flood_of_failures(bench):
    """Fifty a second are described; a slow machine may take two seconds, or three."""
    yield (proxy := bench.proxy())
    streams = [socket.create_connection(proxy.address) for _ in range(300)]
    for stream in streams:
        stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
    for stream in streams:
        stream.recv(100)
        stream.close()


# Certificates


def expiry(role: str) -> str:
    return f'sidecar_certificate_expiry_timestamp_seconds{{role="{role}"}}'


def days(count: int):
    """As many, but for the time that the tests have taken since the first certificates were made."""
    return lambda was, now: abs(now - was - count * 86400) < 2 * 3600


@CASES.moves({
    "tls_reloads_total": lambda was, now: now > was, expiry("server"): days(-80),
    expiry("client"): days(-70), expiry("client_ca"): days(100), expiry("server_ca"): days(50),
})
def a_rotation_of_everything(bench):
    """Pairs and anchors are replaced; the expiry of each role moves by as much as its own certificates differ."""
    authority = bench.identities.authority
    server, client = (bench.directory / role for role in ("server-pair", "client-pair"))
    authority.server(not_after=timedelta(days=90)).write(server)
    authority.client(not_after=timedelta(days=90)).write(client)
    yield bench.proxy(SERVER_CERT_DIR=str(server), CLIENT_CERT_DIR=str(client))
    Authority("Next for clients", not_after=timedelta(days=465)).write(server)
    Authority("Next for servers", not_after=timedelta(days=415)).write(client)
    authority.server(not_after=timedelta(days=10)).write(server)
    authority.client(not_after=timedelta(days=20)).write(client)


def test_certificates_expire_when_their_files_say(start_proxy, identities):
    page = metrics(start_proxy(ENABLE_METRICS="true"))
    pairs = {
        "server": identities.server_directory / "tls.crt", "client": identities.client_directory / "tls.crt",
        "client_ca": identities.ca_file, "server_ca": identities.ca_file}
    for role, file in pairs.items():
        expected = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc.timestamp()
        assert page.value("sidecar_certificate_expiry_timestamp_seconds", role=role) == expected
