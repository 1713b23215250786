"""Who gives up a request is heard on the other side, in either version, and it costs only that one request."""

import socket

import pytest
from h2.errors import ErrorCodes
from kit import h2wire, pairing
from kit.pairing import VERSIONS
from kit.process import wait_until
from kit.upstream import Upstream
from kit.wire import Closed


@pytest.fixture
def record(h2app):
    """What the HTTP/2 application saw, asked without any proxy."""

    def ask() -> dict:
        with h2wire.connect_plain(h2app) as client:
            return client.request("/seen", scheme="http").json

    return ask


@pytest.fixture
def hanging():
    """A server that reads and never answers: its port, and how its connections ended."""
    ends: list[str] = []

    def serve(stream: socket.socket) -> None:
        try:
            while stream.recv(65_536):
                pass
            ends.append("closed")
        except OSError:
            ends.append("reset")

    server = Upstream(serve)
    yield server.port, ends
    server.close()


# By the client

@pytest.mark.parametrize("uploads", [False, True])
def test_a_stream_that_the_client_resets_is_reset_at_the_http2_application(proxies, record, uploads):
    target = f"/never?reset-{uploads}"
    with h2wire.connect(proxies["h2"]) as client:
        number = client.request("/echo").json["connection"]
        stream = client.open(target, "POST" if uploads else "GET", end=not uploads)
        if uploads:
            client.send_body(stream, b"some", end=False)
        wait_until(lambda: target in record()["targets"], "the application got the request")
        client.reset(stream)
        [code] = wait_until(
            lambda: [code for seen, code in record()["resets"] if seen == target], "the application hears of it")
        assert code != -1, "the whole connection was closed"
        assert client.request("/echo").json["connection"] == number, "both connections go on"


def test_a_stream_that_the_client_resets_closes_the_http1_connection(start_proxy, hanging):
    port, ends = hanging
    with h2wire.connect(start_proxy(upstream_port=port)) as client:
        stream, other = client.open("/"), client.open("/other")
        client.settle(0.5)
        client.reset(stream)
        wait_until(lambda: len(ends) == 1, "the application's connection is closed")
        client.settle(0.3)
        assert len(ends) == 1 and not other.is_done, "the other request was given up too"


def test_a_connection_that_the_client_closes_resets_all_its_streams(proxies, record):
    targets = [f"/never?closed-{index}" for index in range(5)]
    with h2wire.connect(proxies["h2"]) as client:
        for target in targets:
            client.open(target)
        wait_until(lambda: set(targets) <= set(record()["targets"]), "the application got the requests")
    wait_until(lambda: set(targets) <= {seen for seen, _ in record()["resets"]}, "the application hears of it")


def test_an_http1_client_that_goes_away_resets_its_stream(proxies, record):
    with proxies["h2"].connect() as client:
        client.send(b"GET /never?gone HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: "/never?gone" in record()["targets"], "the application got the request")
    [code] = wait_until(
        lambda: [code for seen, code in record()["resets"] if seen == "/never?gone"], "the application hears of it")
    assert code != -1, "the whole connection was closed"


def test_a_download_that_the_client_resets_frees_the_connection(proxies):
    for version in VERSIONS:
        with h2wire.connect(proxies[version], window=65_535, grants=False) as client:
            for _ in range(20):
                client.reset(client.wait_head(client.open("/bytes/100000000")))
            client.grants = True
            assert client.request("/echo").status == 200


# By the application

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("code", [ErrorCodes.CANCEL, ErrorCodes.INTERNAL_ERROR, ErrorCodes.ENHANCE_YOUR_CALM])
def test_a_stream_that_the_application_resets_before_its_answer_is_502(proxies, version, code):
    with pairing.connect(proxies["h2"], version) as caller:
        number = caller.ask("/echo").json["connection"]
        target = f"/reset/{int(code)}?{version}"
        assert caller.ask(target).status == 502
        assert caller.ask("/echo").json["connection"] == number
        assert caller.ask("/seen").json["targets"].count(target) == 1, "it may have been processed"


def test_a_stream_that_the_application_resets_in_its_answer_is_reset_for_an_http2_client(proxies):
    with h2wire.connect(proxies["h2"]) as client:
        stream = client.wait_done(client.open(f"/reset-body/{int(ErrorCodes.INTERNAL_ERROR)}"))
        assert stream.reset is not None and not stream.ended, "a cut answer looks whole"
        assert bytes(stream.body) in (b"only this", b"")
        assert client.request("/echo").status == 200


def test_a_stream_that_the_application_resets_in_its_answer_is_cut_for_an_http1_client(proxies):
    with proxies["h2"].connect() as client:
        client.send(b"GET /reset-body/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((Closed, ConnectionError)):
            client.response()


def test_an_http1_answer_that_is_cut_resets_the_stream_only(proxies):
    with h2wire.connect(proxies["http1"]) as client:
        neighbour = client.open("/slow/0.5")
        stream = client.wait_done(client.open("/truncated"))
        assert stream.reset is not None and not stream.ended, "a cut answer looks whole"
        assert client.wait_done(neighbour).status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_an_answer_that_comes_before_the_body_is_whole_although_the_rest_is_not_wanted(proxies, version):
    """RST_STREAM with NO_ERROR after a whole answer (RFC 9113, 8.1) is no failure."""
    if version == "h2":
        with h2wire.connect(proxies["h2"]) as client:
            stream = client.open("/refuse", "POST", end=False)
            client.send_body(stream, bytes(10_000), end=False)
            client.wait(lambda: stream.ended, "the whole answer")
            assert stream.status == 417
            client.send_data(stream, b"late", end=True)
            assert client.request("/echo").status == 200
    else:
        with proxies["h2"].connect() as client:
            client.send(b"POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegin")
            assert client.response().status == 417


def test_a_request_taken_back_in_the_same_breath_is_logged_and_goes_nowhere(start_proxy, start_upstream):
    seen: list[bytes] = []

    def serve(stream: socket.socket) -> None:
        while received := stream.recv(65_536):
            seen.append(received)
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    proxy = start_proxy(upstream_port=start_upstream(serve).port)
    with h2wire.connect(proxy) as client:
        assert client.request("/first").status == 200
        number = client.next_number
        request = h2wire.headers([
            (":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", "/taken-back")], end=False)[9:]
        client.send(b"".join(
            h2wire.frame(h2wire.Kind.HEADERS, h2wire.END_HEADERS, each, request)
            + h2wire.frame(h2wire.Kind.DATA, 0, each, b"x" * 100) + h2wire.rst_stream(each)
            for each in range(number, number + 80, 2)))  # one TLS record
        client.next_number = number + 80
        assert client.request("/last").status == 200
        wait_until(lambda: proxy.process.stdout.count("/taken-back") == 40, "each of them is logged")
    assert len(seen) == 2 and b"/first" in seen[0] and b"/last" in seen[1]
    assert proxy.process.stdout.count('"response_flags":"DC"') == 40
