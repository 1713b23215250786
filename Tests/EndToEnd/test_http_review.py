"""What a review of the HTTP layer found once: peers and upstreams that hold back, flood or answer out of turn."""

import contextlib
import socket
import ssl
import time

from h2.settings import SettingCodes
from kit import h2wire
from kit.forward import ForwardProxy
from kit.h2wire import Kind, frame, rst_stream, settings
from kit.process import wait_until
from kit.upstream import RequestReader
from kit.wire import connect_tls

MEGABYTE = 1 << 20


def pour(stream, piece: bytes, limit: int, seconds: float = 2) -> int:
    """Sends the piece again and again, never reading, until nothing more is taken; answers how many bytes were."""
    sent = 0
    stream.settimeout(seconds)
    with contextlib.suppress(OSError):
        while sent < limit:
            stream.sendall(piece)
            sent += len(piece)
    return sent


def tls_server(identities, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identities.server_directory / "tls.crt", identities.server_directory / "tls.key")
    context.set_alpn_protocols(list(protocols))
    return context


def answer_all(stream, body: bytes = b"hello") -> None:
    reader = RequestReader(stream)
    while reader.next():
        stream.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


# Memory that a peer can make the proxy hold


def test_pipelined_requests_wait_for_a_client_that_does_not_read(start_proxy, start_upstream):
    """Each answer is small, but there is no end of them: the next request waits until the last answers have gone out."""
    served = 0

    def serve(stream):
        nonlocal served
        reader = RequestReader(stream)
        while reader.next():
            served += 1
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000)

    proxy = start_proxy(upstream_port=start_upstream(serve).port)
    with proxy.connect() as client:
        requests = 2_000
        client.send(b"GET /0 HTTP/1.1\r\nHost: localhost\r\n\r\n" * requests)
        time.sleep(3)
        assert served < requests // 4, f"{served} answers were made for nobody"
        client.stream.settimeout(10)
        for _ in range(requests):
            answer = client.response()
            assert answer.status == 200 and len(answer.body) == 60_000


def test_pipelined_refusals_wait_for_a_client_that_does_not_read(start_proxy):
    """Also those that the proxy makes itself."""
    forward = ForwardProxy(start_proxy)
    with forward.connect() as client:
        before = forward.proxy.process.rss_bytes()
        pour(client.stream, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000, 64 * MEGABYTE)
        assert forward.proxy.process.rss_bytes() - before < 16 * MEGABYTE


def test_the_monitor_port_keeps_no_answers_for_a_client_that_does_not_read(start_proxy):
    proxy = start_proxy()
    before = proxy.process.rss_bytes()
    with socket.create_connection(("127.0.0.1", proxy.monitor_port)) as client:
        sent = pour(client, b"GET /live HTTP/1.1\r\nHost:\r\n\r\n" * 1_000, 64 * MEGABYTE)
        assert proxy.process.rss_bytes() - before < 16 * MEGABYTE, f"after {sent} bytes of requests"
        assert proxy.monitor("/live") == (200, "ok\n")
        # Whoever then reads gets an answer to all of them.
        client.shutdown(socket.SHUT_WR)
        received = 0
        with contextlib.suppress(OSError):
            while piece := client.recv(1 << 20):
                received += piece.count(b"\nok\n")
        assert received > sent // 28 // 2


def test_a_tunnel_reads_no_more_than_its_server_takes(start_proxy, start_upstream):
    """The first burst alone is what a relay may hold; the server's handshake is never answered."""
    server = start_upstream(lambda stream: time.sleep(8))
    forward = ForwardProxy(start_proxy)
    with forward.tunnel(f"127.0.0.1:{server.port}") as client:
        sent = pour(client.stream, b"\0" * MEGABYTE, 64 * MEGABYTE)
        assert sent < 24 * MEGABYTE


def test_interim_answers_without_end_are_cut(start_proxy, start_upstream):
    """An HTTP/2 client that does not read must not have all of them kept for it."""
    sent = 0

    def serve(stream):
        nonlocal sent
        RequestReader(stream).next()
        sent = pour(stream, b"HTTP/1.1 102 Processing\r\n\r\n" * 1_000, 64 * MEGABYTE, 3)

    proxy = start_proxy(upstream_port=start_upstream(serve).port)
    before = proxy.process.rss_bytes()
    with h2wire.connect(proxy) as client:
        stream = client.open("/")
        time.sleep(2)
        assert proxy.process.rss_bytes() - before < 16 * MEGABYTE
        client.wait_done(stream)
        assert stream.status == 502 and 0 < len(stream.informational) < 1_000
    assert sent < 16 * MEGABYTE


def test_resets_are_not_queued_without_end(start_proxy):
    """A client that never acknowledges SETTINGS and does not read: each stream above the limit is refused."""
    proxy = start_proxy()
    block = h2wire.headers([(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")])[9:]
    with h2wire.Client(proxy.connect(alpn=("h2",)).stream, values={SettingCodes.INITIAL_WINDOW_SIZE: 0}) as client:
        before = proxy.process.rss_bytes()
        client.stream.settimeout(2)
        with contextlib.suppress(OSError):
            for start in range(1, 1 << 21, 2_000):
                client.send(b"".join(frame(Kind.HEADERS, 5, number, block) for number in range(start, start + 2_000, 2)))
        assert proxy.process.rss_bytes() - before < 24 * MEGABYTE


def test_an_upstream_that_answers_without_the_body_keeps_no_stream(start_proxy, start_upstream):
    """It never opens the window: the body that waits for it must not hold a stream of the connection for ever."""
    heard = bytearray()

    def serve(stream):
        stream.sendall(settings({SettingCodes.INITIAL_WINDOW_SIZE: 0}))
        received, number = b"", 1
        while piece := stream.recv(65_536):
            received += piece
            heard.extend(piece)
            if len(received) > 300:  # HEADERS with a long path
                time.sleep(0.3)  # the proxy gets the whole body meanwhile
                stream.sendall(h2wire.headers([(":status", "200")], number, end=True))
                received, number = b"", number + 2

    port = start_upstream(serve).port
    proxy = start_proxy(UPSTREAM_URL=f"h2c://127.0.0.1:{port}", WORKER_THREADS="1")
    with h2wire.connect(proxy) as client:
        client.wait_settings()
        assert client.request("/" + "%s" * 300).status == 200  # until now the window was not known
        assert client.request("/" + "%d" * 300, "POST", body=b"x" * 1_000).status == 200
        wait_until(lambda: rst_stream(3)[:9] in heard, "the stream is given up", 3)


# Uploads that begin before the upstream's protocol is known


def test_a_large_upload_may_begin_before_the_protocol_is_known(start_proxy, start_upstream, identities):
    def serve(stream):
        time.sleep(1)
        with tls_server(identities, "http/1.1").wrap_socket(stream, server_side=True) as secured:
            request = RequestReader(secured).next()
            body = str(len(request.body)).encode()
            secured.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    server = start_upstream(serve)
    forward = ForwardProxy(start_proxy)
    with h2wire.connect_plain(forward.port) as client:
        stream = client.request("/", "POST", authority=f"127.0.0.1:{server.port}", body=b"x" * (2 * MEGABYTE))
        assert (stream.status, bytes(stream.body)) == (200, str(2 * MEGABYTE).encode())


def test_a_head_waits_with_its_upload_however_large_it_may_be(start_proxy, start_upstream, identities):
    def serve(stream):
        time.sleep(1)
        with tls_server(identities, "http/1.1").wrap_socket(stream, server_side=True) as secured:
            answer_all(secured)

    url = f"https://127.0.0.1:{start_upstream(serve).port}"
    proxy = start_proxy(UPSTREAM_URL=url, UPSTREAM_PROTOCOL="h2c", MAX_HEADER_BYTES="400000")
    head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
    fields = "".join(f"X-Fill-{number}: {'x' * 30_000}\r\n" for number in range(12))
    with proxy.connect() as client:
        client.send((head + fields + "\r\n").encode() + b"x" * 100_000)
        assert client.response().status == 200


def test_such_an_upload_goes_no_faster_than_the_upstream(start_proxy, start_upstream, identities):
    """What was kept meanwhile may fill the upstream's window: then the client waits as for any other."""
    def serve(stream):
        time.sleep(1)
        with tls_server(identities, "h2").wrap_socket(stream, server_side=True) as secured:
            secured.sendall(settings({}))
            while secured.recv(65_536):
                pass

    server = start_upstream(serve)
    forward = ForwardProxy(start_proxy)
    with h2wire.connect_plain(forward.port) as client:
        stream = client.open("/", "POST", authority=f"127.0.0.1:{server.port}", end=False)
        sent = 0
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline and not stream.is_done and sent < 16 * MEGABYTE:
            room = client.room(stream)
            # Within what waits for a connection, until there is one.
            if time.monotonic() < deadline - 2.5 and sent >= 200_000:
                room = 0
            if room:
                client.send_data(stream, b"x" * room)
                sent += room
            else:
                client.settle(0.02)
        assert not stream.is_done
        assert 65_536 <= sent < MEGABYTE


def test_a_cancelled_request_leaves_nothing_behind_that_fails_the_next(start_proxy, start_upstream, identities):
    silent = start_upstream(lambda stream: time.sleep(10))

    def serve(stream):
        time.sleep(1.5)
        with tls_server(identities, "http/1.1").wrap_socket(stream, server_side=True) as secured:
            answer_all(secured)

    slow = start_upstream(serve)
    forward = ForwardProxy(start_proxy, HANDSHAKE_TIMEOUT_SECS="2")
    with h2wire.connect_plain(forward.port) as client:
        client.wait_settings()
        cancelled = client.open("/", authority=f"127.0.0.1:{silent.port}")
        client.settle(0.2)
        client.reset(cancelled)
        client.settle(0.8)
        assert client.request("/", authority=f"127.0.0.1:{slow.port}").status == 200


# Clocks


def test_a_whole_request_waits_for_its_answer_whatever_pieces_it_came_in(start_proxy, start_upstream):
    """IDLE_TIMEOUT_SECS is about bodies that stop; RESPONSE_TIMEOUT_SECS, which is off, about slow answers."""
    def serve(stream):
        reader = RequestReader(stream)
        while reader.next():
            time.sleep(2.5)
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    proxy = start_proxy(upstream_port=start_upstream(serve).port, IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        assert client.request("/").status == 200
        client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n")
        time.sleep(0.2)
        client.send(b"body")
        assert client.response().status == 200


def test_pings_do_not_keep_a_stalled_stream(start_proxy):
    proxy = start_proxy(IDLE_TIMEOUT_SECS="1")
    with h2wire.connect(proxy) as client:
        stream = client.open("/upload", "POST", end=False)
        deadline = time.monotonic() + 5
        while not stream.is_done and time.monotonic() < deadline:
            client.send(frame(Kind.PING, payload=b"pingpong"))
            client.settle(0.2)
        assert stream.status == 408


def test_a_client_without_alpn_may_take_its_time(start_proxy, identities):
    """On the explicit port nobody speaks before the client."""
    proxy = start_proxy()
    context = ssl.create_default_context(cafile=identities.ca_file)
    directory = identities.caller_directory
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    with connect_tls(proxy.address, context) as client:
        time.sleep(1)
        assert client.request("/").status == 200


# Frames


def test_pings_that_go_with_data_are_no_flood(start_proxy, start_upstream):
    """gRPC measures the path with a PING for each DATA that it gets, and its client may send nothing else for hours."""
    def serve(stream):
        RequestReader(stream).next()
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")
        for _ in range(300):
            stream.sendall(b"0123456789")
            time.sleep(0.005)

    proxy = start_proxy(upstream_port=start_upstream(serve).port)
    with h2wire.connect(proxy) as client:
        stream = client.open("/")
        seen = 0
        while not stream.is_done:
            client.wait(lambda: len(stream.body) > seen or stream.is_done, "more of the answer")
            seen = len(stream.body)
            client.send(frame(Kind.PING, payload=b"pingpong") * 20)
        assert stream.ended and len(stream.body) == 3_000
        client.settle(0.2)
        assert not client.goaways


def test_pings_now_and_then_are_no_flood(start_proxy, start_upstream):
    def serve(stream):
        RequestReader(stream).next()
        time.sleep(3)
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    proxy = start_proxy(upstream_port=start_upstream(serve).port)
    with h2wire.connect(proxy) as client:
        stream = client.open("/")
        for _ in range(8):
            client.send(frame(Kind.PING, payload=b"pingpong") * 150)
            client.settle(0.3)
        assert client.wait_done(stream).status == 200


def test_the_largest_head_of_an_upstream_reaches_an_http2_client(start_proxy, start_upstream):
    def serve(stream):
        RequestReader(stream).next()
        fields = b"".join(b"x-%03d: %s\r\n" % (number, b"v" * 245) for number in range(250))
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + fields + b"\r\nok")

    proxy = start_proxy(upstream_port=start_upstream(serve).port)
    with h2wire.connect(proxy) as client:
        client.decoder.max_header_list_size = MEGABYTE
        answer = client.request("/")
        assert answer.status == 200 and len(answer.headers) >= 250


def test_an_answer_cut_without_an_error_is_not_passed_on_as_one(start_proxy, start_upstream):
    """RST_STREAM with NO_ERROR in the middle of an answer: the client must be able to tell that it is not whole."""
    def serve(stream):
        stream.sendall(settings({}))
        received = b""
        while b"/cut" not in received and len(received) < 300:
            received += stream.recv(65_536)
        stream.sendall(
            h2wire.headers([(":status", "200")], end=False) + frame(Kind.DATA, 0, 1, b"half") + rst_stream(1, 0))
        stream.recv(65_536)
        time.sleep(1)

    port = start_upstream(serve).port
    proxy = start_proxy(UPSTREAM_URL=f"h2c://127.0.0.1:{port}")
    with h2wire.connect(proxy) as client:
        stream = client.wait_done(client.open("/cut" + "x" * 250))
        assert not stream.ended and stream.reset != 0


# Other protocols


def websocket(client, authority: str) -> h2wire.Stream:
    return client.start([
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/chat"),
        (":authority", authority), ("sec-websocket-version", "13")], end=False)


def test_a_tunnel_of_http2_goes_on_by_http1(start_proxy, start_upstream, identities):
    """Also to a server that would rather speak HTTP/2, as another sidecar would."""
    def serve(stream):
        with tls_server(identities, "h2", "http/1.1").wrap_socket(stream, server_side=True) as secured:
            assert secured.selected_alpn_protocol() == "http/1.1"
            request = RequestReader(secured).next()
            assert request.all("upgrade") == ["websocket"]
            secured.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            while piece := secured.recv(65_536):
                secured.sendall(piece)

    server = start_upstream(serve)
    forward = ForwardProxy(start_proxy)
    with h2wire.connect_plain(forward.port) as client:
        client.wait_settings()
        stream = client.wait_head(websocket(client, f"127.0.0.1:{server.port}"))
        assert stream.status == 200
        client.send_data(stream, b"there and back")
        client.wait(lambda: bytes(stream.body) == b"there and back", "the echo")


def test_an_upstream_of_http2_only_makes_no_tunnels(start_proxy, h2app):
    """A 200 for a stream that leads nowhere would leave the client waiting."""
    proxy = start_proxy(UPSTREAM_URL=f"h2c://127.0.0.1:{h2app}")
    with h2wire.connect(proxy) as client:
        client.wait_settings()
        assert client.wait_head(websocket(client, "localhost")).status == 501
    with proxy.connect() as client:
        upgrade = (("Connection", "upgrade"), ("Upgrade", "websocket"))
        assert client.request("/", headers=upgrade).status == 501
        assert client.request("/echo").status == 200
