"""SIGTERM lets running work finish; a second signal does not wait."""

import hashlib
import signal
import time

from kit import pattern
from kit.process import wait_until
from kit.wire import connect_plain


def test_an_idle_proxy_ends_at_once_with_0(start_proxy):
    proxy = start_proxy()
    proxy.process.terminate()
    assert proxy.process.wait(3) == 0


def test_sigint_ends_it_too(start_proxy):
    proxy = start_proxy()
    proxy.process.child.send_signal(signal.SIGINT)
    assert proxy.process.wait(3) == 0


def test_a_running_request_finishes_and_its_connection_closes(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(b"GET /slow/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.5)
        proxy.process.terminate()
        answer = client.response()
        assert answer.json == {"slept": 2.0}
        assert answer.closes
        assert client.is_closed()
    assert proxy.process.wait(3) == 0


def test_a_running_download_finishes(start_proxy):
    proxy = start_proxy()
    size = 100_000_000
    with proxy.connect() as client:
        client.send(f"GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        client.head()
        proxy.process.terminate()
        body = client.exactly(size)
    assert hashlib.sha256(body).hexdigest() == pattern.checksum(size)
    assert proxy.process.wait(3) == 0


def test_idle_connections_are_closed_and_new_ones_refused_while_draining(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as idle, proxy.connect() as busy:
        idle.request("/echo")
        busy.send(b"GET /slow/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        proxy.process.terminate()
        assert idle.is_closed()

        def refused() -> bool:
            try:
                # Left in the backlog of a listener that nobody serves it would be neither refused nor closed.
                with connect_plain(proxy.address, seconds=0.3) as client:
                    return client.is_closed()
            except ConnectionRefusedError:
                return True

        wait_until(refused, "new connections are refused", 1)
        assert proxy.process.is_running
        assert busy.response().status == 200
    assert proxy.process.wait(3) == 0


def test_ready_turns_503_while_draining(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(b"GET /slow/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        proxy.process.terminate()
        wait_until(lambda: proxy.monitor("/ready")[0] == 503, "/ready answers 503", 1.5)
        assert proxy.monitor("/live")[0] == 200
        client.response()


def test_the_drain_has_a_limit(start_proxy):
    proxy = start_proxy(SHUTDOWN_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        client.send(b"GET /slow/20 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        started = time.monotonic()
        proxy.process.terminate()
        assert proxy.process.wait(4) == 0
        assert time.monotonic() - started > 0.8


def test_a_second_signal_ends_it_at_once(start_proxy):
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(b"GET /slow/20 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        proxy.process.terminate()
        time.sleep(0.3)
        assert proxy.process.is_running
        proxy.process.terminate()
        assert proxy.process.wait(2) == 0
