"""Windows are kept in both directions: whoever does not read makes the sender wait, and nobody's memory pays for it."""

import socket
import time

import pytest
from h2.errors import ErrorCodes
from kit import h2wire, pairing, pattern
from kit.pairing import VERSIONS

MEGABYTE = 1 << 20
HUGE = 1_000_000_000
#: What may wait in sockets and windows between client and application, all of them together.
UNDERWAY = 24 * MEGABYTE


@pytest.fixture
def fresh(start_proxy, app, h2app):
    """Starts a proxy by its application's version: its memory is the test's own doing."""

    def start(upstream: str):
        urls = {"http1": f"http://127.0.0.1:{app['http']}", "h2": f"h2c://127.0.0.1:{h2app}"}
        proxy = start_proxy(UPSTREAM_URL=urls[upstream])
        for version in VERSIONS:
            with pairing.connect(proxy, version) as caller:
                caller.ask("/bytes/1000000")
        return proxy

    return start


@pytest.fixture
def deaf():
    """The port of a server that takes connections and never reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def upload_until_held(client: h2wire.Client, stream: h2wire.Stream, limit: int = 64 * MEGABYTE) -> int:
    """Sends as the windows allow until they have been shut for a second."""
    sent, piece = 0, bytes(16_384)
    while sent < limit:
        try:
            client.wait(lambda: client.room(stream), "the window opens", 1)
        except AssertionError:
            break
        count = client.room(stream)
        client.send_data(stream, piece[:count])
        sent += count
    return sent


def test_an_upload_into_an_http2_application_that_does_not_read_stops(fresh):
    proxy = fresh("h2")
    before = proxy.process.rss_bytes()
    with h2wire.connect(proxy) as client:
        sent = upload_until_held(client, client.open("/never", "POST", end=False))
        assert sent < UNDERWAY, "the window was opened although nobody read"
        assert client.request("/upload", "POST", body=bytes(100_000)).status == 200, "other streams go on"
    assert proxy.process.peak_rss_bytes() - before < 12 * MEGABYTE


def test_an_upload_into_an_http1_application_that_does_not_read_stops(start_proxy, deaf):
    proxy = start_proxy(upstream_port=deaf)
    before = proxy.process.rss_bytes()
    with h2wire.connect(proxy) as client:
        sent = upload_until_held(client, client.open("/", "POST", end=False))
    assert sent < UNDERWAY, "the window was opened although nobody read"
    assert proxy.process.peak_rss_bytes() - before < 12 * MEGABYTE


def test_an_http1_upload_into_an_http2_application_that_does_not_read_stops(fresh):
    proxy = fresh("h2")
    before = proxy.process.rss_bytes()
    sent = 0
    with proxy.connect() as client:
        client.send(b"POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % HUGE)
        client.stream.settimeout(1)
        try:
            for piece in pattern.pieces(64 * MEGABYTE):
                client.stream.sendall(piece)
                sent += len(piece)
        except TimeoutError:
            pass
    assert sent < UNDERWAY
    assert proxy.process.peak_rss_bytes() - before < 12 * MEGABYTE


@pytest.mark.parametrize("upstream", VERSIONS)
def test_a_client_that_sends_beyond_its_window_is_refused_or_not_read(fresh, start_proxy, deaf, upstream):
    proxy = fresh("h2") if upstream == "h2" else start_proxy(upstream_port=deaf)
    before = proxy.process.rss_bytes()
    with h2wire.connect(proxy) as client:
        stream = client.open("/never", "POST", end=False)
        client.stream.settimeout(2)
        try:
            for _ in range(64 * MEGABYTE // 16_384):
                client.send_data(stream, bytes(16_384))
            client.settle(0.5)
            assert stream.reset == ErrorCodes.FLOW_CONTROL_ERROR, "nobody minded 64 MB"
        except OSError:
            pass  # The connection was ended, or is not read any more.
    assert proxy.process.peak_rss_bytes() - before < 12 * MEGABYTE


@pytest.mark.parametrize("upstream", VERSIONS)
def test_a_stream_that_is_not_read_does_not_hold_up_its_neighbours(fresh, upstream):
    with h2wire.connect(fresh(upstream), window=1_000_000, grants=False) as client:
        unread = client.open(f"/bytes/{HUGE}")
        client.wait(lambda: len(unread.body) == client.window, "the window is used up")
        client.grants = True
        assert len(client.request("/bytes/3000000").body) == 3_000_000
        assert len(unread.body) == client.window, "more was sent than the window allows"


@pytest.mark.parametrize("upstream", VERSIONS)
def test_a_client_that_does_not_read_does_not_hold_up_other_clients(fresh, upstream):
    """They share the connection to an HTTP/2 application, and so its window."""
    proxy = fresh(upstream)
    with h2wire.connect(proxy, window=0, grants=False) as unread:
        for _ in range(50):
            unread.wait_head(unread.open(f"/bytes/{HUGE}"))
        for version in VERSIONS:
            with pairing.connect(proxy, version) as caller:
                assert len(caller.ask("/bytes/3000000").body) == 3_000_000


STREAMS = 20
STEP, PAUSE = 2_000, 0.2  # 10 KB/s


@pytest.mark.parametrize("upstream", VERSIONS)
def test_slow_readers_of_a_huge_answer_cost_little_over_http2(fresh, upstream):
    proxy = fresh(upstream)
    before = proxy.process.rss_bytes()
    with h2wire.connect(proxy, window=65_535, grants=False) as client:
        streams = [client.open(f"/bytes/{HUGE}") for _ in range(STREAMS)]
        for stream in streams:
            client.wait(lambda: len(stream.body) >= 65_535, "the first window of the answer")
        for _ in range(8):
            for stream in streams:
                client.grant(stream, STEP)
            client.settle(PAUSE)
        for stream in streams:
            client.wait(lambda: len(stream.body) == 65_535 + 8 * STEP, "what was granted")
        assert (proxy.process.peak_rss_bytes() - before) / STREAMS < MEGABYTE


@pytest.mark.parametrize("upstream", VERSIONS)
def test_slow_readers_of_a_huge_answer_cost_little_over_http1(fresh, upstream):
    proxy = fresh(upstream)
    before = proxy.process.rss_bytes()
    clients = [proxy.connect() for _ in range(STREAMS)]
    try:
        for client in clients:
            client.send(b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n" % HUGE)
        for client in clients:
            client.head()
        for _ in range(8):
            for client in clients:
                assert client.stream.recv(STEP)
            time.sleep(PAUSE)
        assert (proxy.process.peak_rss_bytes() - before) / STREAMS < MEGABYTE
    finally:
        for client in clients:
            client.close()


def test_an_answer_waits_for_a_window_of_0_and_comes_when_it_opens(proxies):
    with h2wire.connect(proxies["http1"], window=0, grants=False) as client:
        stream = client.wait_head(client.open("/bytes/100"))
        client.settle(0.2)
        assert not stream.body and not stream.ended
        for _ in range(100):
            client.grant(stream, 1)
        assert len(client.wait_done(stream).body) == 100
