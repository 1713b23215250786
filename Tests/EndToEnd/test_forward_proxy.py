"""OUTBOUND_PROXY_PORT: an application that asks for the proxy by name gets mutual TLS to where its URLs point."""

import base64
import hashlib
import json
import queue
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import KIT
from kit import pattern
from kit.forward import ForwardProxy, Servers
from kit.pki import Authority
from kit.process import Process, wait_until
from kit.proxy import bare_environment, free_port
from kit.wire import Connection, client_context


@pytest.fixture(scope="module")
def servers(scratch, identities):
    """They insist on a client certificate of our authority."""
    running = Servers(scratch / "mutual", identities.authority.server(), identities.ca_file)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def foreign(scratch):
    """Of an authority that the sidecar does not know, and wanting no certificate; with that authority."""
    authority = Authority("Foreign CA")
    authority.write(scratch / "foreign-ca")
    running = Servers(scratch / "foreign", authority.server("foreign"))
    running.authority_file = scratch / "foreign-ca" / "ca.crt"
    yield running
    running.stop()


@pytest.fixture
def forward(start_proxy):
    return ForwardProxy(start_proxy)


def report(done) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Absolute-form


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_url_is_fetched_over_mutual_tls(forward, servers, scheme, host):
    with forward.connect() as client:
        authority = f"{host}:{servers.http}"
        answer = client.request(f"{scheme}://{authority}/echo/x?q=1", host=authority)
    assert answer.status == 200, answer.body
    assert answer.json["client"] == "sidecar-client"
    assert answer.json["target"] == "/echo/x?q=1"
    assert ["host", authority] in answer.json["headers"]


def test_curl_uses_it_as_any_proxy(forward, servers):
    answer = report(forward.curl("-d", "body", f"http://localhost:{servers.http}/echo"))
    assert (answer["method"], answer["body_length"], answer["client"]) == ("POST", 4, "sidecar-client")


def test_http2_by_prior_knowledge_is_forwarded_too(forward, servers):
    authority = f"localhost:{servers.http}"
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "--max-time", "10", "--http2-prior-knowledge", "-w", "\n%{http_version}",
         "--connect-to", f"{authority}:127.0.0.1:{forward.port}", f"http://{authority}/x"],
        capture_output=True, text=True, timeout=15)
    body, _, version = done.stdout.rpartition("\n")
    assert version == "2", done.stderr
    assert json.loads(body)["client"] == "sidecar-client"


@pytest.mark.parametrize("url, target", [
    ("http://{}", "/"), ("http://{}?q", "/?q"), ("http://{}/a?b=c%20d", "/a?b=c%20d"),
])
def test_the_server_sees_the_path_of_the_url(forward, servers, url, target):
    authority = f"localhost:{servers.http}"
    with forward.connect() as client:
        assert client.request(url.format(authority), host=authority).json["target"] == target


def test_options_of_a_host_without_path_is_about_the_server(forward, servers):
    """RFC 9112, section 3.2.4."""
    authority = f"localhost:{servers.http}"
    with forward.connect() as client:
        assert client.request(f"http://{authority}", method="OPTIONS", host=authority).json["target"] == "*"


def test_the_host_of_a_connect_may_lack_the_port(forward, servers):
    """As clients in Java send it."""
    with forward.connect() as client:
        client.send(f"CONNECT localhost:{servers.echo} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.head().status == 200


def test_a_client_that_begins_late_is_served(forward, servers):
    with forward.connect() as client:
        time.sleep(0.5)
        authority = f"localhost:{servers.http}"
        assert client.request(f"http://{authority}/", host=authority).status == 200


def test_the_servers_of_these_tests_refuse_clients_without_certificate(servers, identities):
    context = client_context(identities.ca_file, None)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with socket.create_connection(("127.0.0.1", servers.http), timeout=10) as plain:
            stream = context.wrap_socket(plain, server_hostname="localhost")
            stream.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert stream.recv(1) == b""  # TLS 1.3 tells the client only when it reads
            raise ConnectionError


def test_requests_share_a_pooled_connection(forward, servers):
    numbers = []
    for _ in range(2):
        with forward.connect() as client:
            for _ in range(2):
                url = f"http://localhost:{servers.http}/echo"
                numbers.append(client.request(url, host=f"localhost:{servers.http}").json["connection"])
    assert len(set(numbers)) <= 2, "a connection for each worker, at most"


def test_hosts_of_one_client_connection_may_differ(forward, servers):
    with forward.connect() as client:
        for host in ("localhost", "127.0.0.1", "localhost"):
            authority = f"{host}:{servers.http}"
            assert ["host", authority] in client.request(f"http://{authority}/", host=authority).json["headers"]


def test_fields_for_the_proxy_do_not_cross(forward, servers):
    done = forward.curl(
        "--proxy-user", "app:secret", "--proxy-header", "Proxy-Connection: keep-alive",
        f"http://localhost:{servers.http}/echo")
    names = [name.lower() for name, _ in report(done)["headers"]]
    assert not [name for name in names if name.startswith("proxy-")]


def test_bodies_stream_through(forward, servers):
    size = 20_000_000
    with forward.connect(seconds=30) as client:
        answer = client.request(f"http://localhost:{servers.http}/bytes/{size}", host=f"localhost:{servers.http}")
    assert hashlib.sha256(answer.body).hexdigest() == pattern.checksum(size)


def test_an_upgrade_becomes_a_stream(forward, servers):
    with forward.connect() as client:
        upgrade = (("Connection", "Upgrade"), ("Upgrade", "echo"))
        authority = f"localhost:{servers.http}"
        answer = client.request(f"http://{authority}/upgrade", headers=upgrade, host=authority)
        assert answer.status == 101
        client.send(b"ping")
        assert client.exactly(4) == b"ping"


@pytest.mark.parametrize("default, cidrs", [("deny", "10.0.0.0/8"), ("passthrough", "192.0.2.0/24")])
def test_what_is_said_of_captured_connections_does_not_count_here(start_proxy, servers, default, cidrs):
    forward = ForwardProxy(start_proxy, OUTBOUND_DEFAULT=default, OUTBOUND_MTLS_CIDRS=cidrs)
    assert report(forward.curl(f"http://localhost:{servers.http}/"))["client"] == "sidecar-client"


def test_it_needs_no_server_certificate_when_it_is_all_there_is(start_proxy, servers, directory):
    forward = ForwardProxy(start_proxy, TLS_LISTEN_PORT="", SERVER_CERT_DIR=str(directory / "none"))
    assert report(forward.curl(f"http://localhost:{servers.http}/"))["client"] == "sidecar-client"


def test_it_listens_on_loopback_only(forward):
    """Whoever reaches it speaks with the pod's certificate."""
    hexadecimal = f":{forward.port:04X}"
    listening = [
        line.split()[1].removesuffix(hexadecimal)
        for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[1].endswith(hexadecimal) and line.split()[3] == "0A"]
    assert sorted(listening) == sorted(["0100007F", "00000000000000000000000001000000"])


# Who the server must be


@pytest.fixture
def misnamed(directory, identities):
    pair = identities.authority.server("other", dns=("other.test",), addresses=("192.0.2.1",))
    running = Servers(directory / "misnamed", pair, identities.ca_file)
    yield running
    running.stop()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_the_server_must_prove_the_host_of_the_url(forward, misnamed, host):
    done = forward.curl("-w", "%{http_code}", f"http://{host}:{misnamed.http}/")
    assert done.stdout == "upstream failed\n502"


@pytest.mark.parametrize("verify, status", [("ca", 200), ("san:*.test", 200), ("san:spiffe://*", 502)])
def test_outbound_verify_says_how(start_proxy, misnamed, verify, status):
    forward = ForwardProxy(start_proxy, OUTBOUND_VERIFY=verify)
    assert forward.curl("-w", "%{http_code}", f"http://localhost:{misnamed.http}/").stdout.endswith(str(status))


def test_a_foreign_authority_is_not_trusted(forward, foreign):
    assert forward.curl("-w", "%{http_code}", f"http://localhost:{foreign.http}/").stdout.endswith("502")


# CONNECT


def test_the_applications_own_tls_goes_through_untouched(forward, foreign):
    answer = report(forward.curl("-p", "--cacert", str(foreign.authority_file), f"https://localhost:{foreign.http}/x"))
    assert answer["target"] == "/x"
    assert answer["client"] is None


def test_plain_text_in_a_tunnel_becomes_mutual_tls(forward, servers):
    answer = report(forward.curl("-p", f"http://localhost:{servers.http}/x"))
    assert answer["client"] == "sidecar-client"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_tunnel_to_an_address_literal(forward, servers, host):
    with forward.tunnel(f"{host}:{servers.echo}", early=b"\x00early") as client:
        assert client.exactly(6) == b"\x00early"


def test_bytes_sent_with_connect_are_not_lost(forward, servers):
    with forward.tunnel(f"localhost:{servers.http}", early=b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        answer = client.response()
    assert (answer.json["target"], answer.json["client"]) == ("/first", "sidecar-client")


def test_a_client_hello_sent_with_connect_is_not_lost(forward, foreign):
    context = ssl.create_default_context(cafile=foreign.authority_file)
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, to_send, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with forward.tunnel(f"localhost:{foreign.http}", early=to_send.read()) as client:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if not client.buffer:
                    client.fill()
                received.write(client.buffer)
                client.buffer = b""
    assert tls.getpeercert()["subject"] == ((("commonName", "foreign"),),)


def test_a_server_that_speaks_first_is_heard_over_mutual_tls(forward, servers):
    with forward.tunnel(f"localhost:{servers.banner}") as client:
        assert client.line() == "220 this server speaks first"
        client.send(b"\x16 whatever comes now is data")
        assert client.exactly(28) == b"\x16 whatever comes now is data"


@pytest.mark.parametrize("trusted", [True, False])
def test_a_client_that_is_slow_with_its_own_tls_still_gets_it(forward, servers, foreign, identities, trusted):
    """The proxy has tried TLS of its own by then, with success or without."""
    chosen, authority = (servers, identities.ca_file) if trusted else (foreign, foreign.authority_file)
    context = client_context(authority, identities.caller_directory)
    client = forward.tunnel(f"localhost:{chosen.http}")
    time.sleep(0.7)
    with Connection(context.wrap_socket(client.stream, server_hostname="localhost")) as client:
        assert client.request("/late").json["client"] == ("caller" if trusted else None)


@pytest.mark.parametrize("first, offered", [
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2"), (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http/1.1"), (b"\x00", None),
])
def test_the_handshake_offers_what_the_application_speaks(forward, identities, first, offered):
    """Servers of gRPC hang up on clients that do not offer HTTP/2 (ALPN)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=identities.ca_file)
    context.load_cert_chain(identities.server_directory / "tls.crt", identities.server_directory / "tls.key")
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with forward.tunnel(f"localhost:{listener.getsockname()[1]}", early=first):
            listener.settimeout(10)
            plain, _ = listener.accept()
            with Connection(context.wrap_socket(plain, server_side=True)) as server:
                assert server.stream.selected_alpn_protocol() == offered
                assert server.exactly(len(first)) == first


def test_plain_grpc_through_the_proxy_is_grpc_over_mutual_tls(forward, start_proxy, directory):
    """As gRPC does it with `http_proxy` set: CONNECT, then HTTP/2; at the other end another sidecar."""
    server = Process([sys.executable, str(KIT / "grpcapp.py"), "0"], directory / "grpcapp")
    try:
        peer = start_proxy(upstream_port=json.loads(server.wait_for_line("grpc"))["grpc"])
        done = subprocess.run(
            [sys.executable, str(KIT / "grpccalls.py"), f"localhost:{peer.port}"], capture_output=True, text=True,
            timeout=90, env=bare_environment() | {"http_proxy": forward.url})
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    calls = wait_until(
        lambda: [json.loads(line) for line in peer.process.stdout.splitlines() if '"access"' in line], "calls in the log")
    assert all(call["protocol"] == "HTTP/2" and "sidecar-client" in call["peer_identity"] for call in calls)


def test_half_close_is_kept_in_an_untouched_tunnel(forward, app):
    size = 3_000_000
    with forward.tunnel(f"localhost:{app['eof']}", seconds=20) as client:
        client.send(b"\x16")
        for piece in pattern.pieces(size - 1):
            client.send(piece)
        client.stream.shutdown(socket.SHUT_WR)
        assert json.loads(client.until_close())["length"] == size


def test_half_close_is_kept_where_tls_is_made(forward, servers):
    with forward.tunnel(f"localhost:{servers.echo}") as client:
        client.send(b"the last words")
        client.stream.shutdown(socket.SHUT_WR)
        assert client.until_close() == b"the last words"


def test_an_idle_tunnel_ends(start_proxy, servers):
    forward = ForwardProxy(start_proxy, IDLE_TIMEOUT_SECS="1")
    with forward.tunnel(f"localhost:{servers.echo}", early=b"\x00") as client:
        assert client.exactly(1) == b"\x00"
        assert client.is_closed()


def settled_descriptors(process: Process) -> int:
    """How many are open when all threads have started."""
    counts: list[int] = []

    def are_settled() -> bool:
        time.sleep(0.1)
        counts.append(process.open_descriptors())
        return len(counts) >= 5 and len(set(counts[-5:])) == 1

    wait_until(are_settled, "the process has started")
    return counts[-1]


def test_clients_that_have_left_before_the_answer_hold_nothing(forward, servers):
    """Their kernel resets the connection with the answer to CONNECT unacknowledged, and it stays so for ever."""
    before = settled_descriptors(forward.proxy.process)
    request = f"CONNECT localhost:{servers.echo} HTTP/1.1\r\nHost: localhost:{servers.echo}\r\n\r\n".encode()
    for _ in range(50):
        with forward.connect() as client:
            client.send(request + b"\x00")
    wait_until(lambda: forward.proxy.process.open_descriptors() <= before, "descriptors are closed", 5)


def test_the_log_has_the_tunnel_and_its_bytes(forward, servers):
    authority = f"localhost:{servers.echo}"
    with forward.tunnel(authority) as client:
        client.send(b"\x00" * 1000)
        client.exactly(1000)

    def lines() -> list[dict]:
        found = [json.loads(line) for line in forward.proxy.process.stdout.splitlines() if '"access"' in line]
        return found if len(found) >= 2 else []

    asked, carried = wait_until(lines, "two lines in the log")
    assert (asked["method"], asked["authority"], asked["response_code"]) == ("CONNECT", authority, 200)
    assert (carried["protocol"], carried["bytes_received"], carried["bytes_sent"]) == ("TCP", 1000, 1000)
    for line in (asked, carried):
        assert line["direction"] == "outbound"
        assert line["upstream_host"].endswith(f":{servers.echo}")


def test_a_tunnel_outlives_the_beginning_of_a_drain(forward, servers):
    with forward.tunnel(f"localhost:{servers.echo}", early=b"\x00") as client:
        client.exactly(1)
        forward.proxy.process.terminate()
        wait_until(lambda: forward.proxy.monitor("/ready")[0] == 503, "draining")
        client.send(b"still here")
        assert client.exactly(10) == b"still here"
    assert forward.proxy.process.wait(5) == 0


# What is refused


def ask(forward: ForwardProxy, head: str) -> tuple[int, bytes, bool]:
    """Status and text of the answer, and whether the connection ends with it."""
    with forward.connect() as client:
        client.send(head.encode())
        answer = client.response()
        assert (answer.header("content-type") or "").startswith("text/plain")
        return answer.status, answer.body, answer.closes and client.is_closed()


def test_502_when_the_destination_refuses(forward):
    port = free_port()
    assert ask(forward, f"GET http://localhost:{port}/ HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")[0] == 502
    assert ask(forward, f"CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")[0] == 502


def test_nothing_that_follows_a_failed_connect_is_taken_for_a_request(forward, servers):
    refused, good = f"localhost:{free_port()}", f"localhost:{servers.http}"
    smuggled = f"GET http://{good}/smuggled HTTP/1.1\r\nHost: {good}\r\n\r\n"
    status, _, closes = ask(forward, f"CONNECT {refused} HTTP/1.1\r\nHost: {refused}\r\n\r\n{smuggled}")
    assert (status, closes) == (502, True)
    with forward.connect() as client:
        seen = client.request(f"http://{good}/seen", host=good).json["targets"]
    assert "/smuggled" not in seen


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("which", ["port", "inbound", "monitor"])
def test_403_for_a_request_that_would_come_back(forward, host, which):
    ports = {"port": forward.port, "inbound": forward.proxy.port, "monitor": forward.proxy.monitor_port}
    authority = f"{host}:{ports[which]}"
    for head in (f"GET http://{authority}/ HTTP/1.1", f"CONNECT {authority} HTTP/1.1"):
        status, body, _ = ask(forward, f"{head}\r\nHost: {authority}\r\n\r\n")
        assert (status, body) == (403, b"the request would come back to this proxy\n")


@pytest.mark.parametrize("line", [
    "GET / HTTP/1.1", "OPTIONS * HTTP/1.1", "GET http://localhost:0/ HTTP/1.1", "GET http://localhost:65536/ HTTP/1.1",
    "GET http://[::1/ HTTP/1.1", "GET http://[localhost]/ HTTP/1.1", "GET http://a%20b/ HTTP/1.1",
    "GET ftp://localhost/ HTTP/1.1", "GET http://user@localhost/ HTTP/1.1", "CONNECT localhost HTTP/1.1",
    "CONNECT localhost: HTTP/1.1", "CONNECT localhost:0 HTTP/1.1", "CONNECT http://localhost:1/ HTTP/1.1",
    "CONNECT /x HTTP/1.1",
])
def test_400_for_what_names_no_destination(forward, line):
    host = line.split()[1].removeprefix("http://").removesuffix("/") if "://" in line else "localhost"
    host = line.split()[1] if line.startswith("CONNECT l") else host
    assert ask(forward, f"{line}\r\nHost: {host}\r\n\r\n")[0] == 400


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x00\x05hello\r\n\r\n", b"\x00\x01\x02\r\n\r\n"])
def test_400_for_what_is_not_http(forward, garbage):
    with forward.connect() as client:
        client.send(garbage)
        assert client.response().status == 400


def test_400_for_connect_with_a_body(forward, servers):
    authority = f"localhost:{servers.echo}"
    status, _, closes = ask(
        forward, f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 5\r\n\r\nhello")
    assert (status, closes) == (400, True)


def test_credentials_for_the_proxy_are_neither_asked_for_nor_needed(forward, servers):
    credentials = base64.b64encode(b"app:wrong").decode()
    authority = f"localhost:{servers.http}"
    with forward.connect() as client:
        answer = client.request(
            f"http://{authority}/", host=authority, headers=(("Proxy-Authorization", f"Basic {credentials}"),))
    assert answer.status == 200


def test_connect_is_not_served_to_peers(proxy):
    with proxy.connect() as client:
        client.send(b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n")
        assert client.response().status == 501


def test_the_end_of_a_tunnel_arrives_whatever_the_buffers_hold(forward, identities, start_upstream):
    """The goodbye of TLS finds the socket full now and then; it is sent when there is room, not forgotten."""
    pair = identities.write("full", identities.authority.server("localhost"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair / "tls.crt", pair / "tls.key")
    counts = queue.Queue()

    def serve(plain):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        with context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False) as stream:
            time.sleep(0.02)
            count = 0
            while piece := stream.recv(4_096):
                count += len(piece)
            counts.put(count)

    server = start_upstream(serve)
    for size in range(5_000, 300_000, 5_001):
        with forward.tunnel(f"localhost:{server.port}") as client:
            client.send(bytes(size))
            client.stream.shutdown(socket.SHUT_WR)
            assert counts.get(timeout=5) == size
