"""The clocks of an exchange with an HTTP/2 application: each is reached, and ends no more than its own stream."""

import time

import pytest
from h2.errors import ErrorCodes
from kit import h2wire, pairing
from kit.pairing import VERSIONS
from kit.wire import Closed


@pytest.fixture
def start(start_proxy, h2app):
    return lambda **settings: start_proxy(UPSTREAM_URL=f"h2c://127.0.0.1:{h2app}", WORKER_THREADS="1", **settings)


@pytest.mark.parametrize("version", VERSIONS)
def test_response_timeout(start, version):
    proxy = start(RESPONSE_TIMEOUT_SECS="1")
    with pairing.connect(proxy, version) as caller:
        connection = caller.ask("/echo").json["connection"]
        started = time.monotonic()
        assert caller.ask("/never").status == 504
        assert 0.9 < time.monotonic() - started < 4
        # The stream was ended, not the connection to the application.
        assert caller.ask("/echo").json["connection"] == connection
        # An answer that has begun may take its time.
        assert caller.ask("/drip/3/0.6").body.count(b"line") == 3
        report = caller.ask("/seen").json
    assert ["/never", ErrorCodes.CANCEL] in report["resets"]


def test_an_answer_that_stalls_is_reset_for_an_http2_client(start):
    with h2wire.connect(start(IDLE_TIMEOUT_SECS="1")) as client:
        started = time.monotonic()
        stream = client.wait_done(client.open("/drip/2/8"))
        assert 0.9 < time.monotonic() - started < 5
        assert (stream.status, bytes(stream.body), stream.ended) == (200, b"line 0\n", False)
        assert stream.reset == ErrorCodes.INTERNAL_ERROR
        assert client.request("/echo").status == 200


def test_an_answer_that_stalls_is_never_completed_for_an_http1_client(start):
    proxy = start(IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        started = time.monotonic()
        with pytest.raises((Closed, OSError)):
            client.request("/drip/2/8")
        assert 0.9 < time.monotonic() - started < 5
        assert b"0\r\n\r\n" not in client.buffer
    with proxy.connect() as client:
        assert client.request("/echo").status == 200


def test_an_answer_that_moves_outlives_the_idle_timeout(start):
    with h2wire.connect(start(IDLE_TIMEOUT_SECS="1")) as client:
        assert bytes(client.request("/drip/5/0.5").body).count(b"line") == 5


def test_an_idle_connection_to_the_application_is_closed(start):
    proxy = start(IDLE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        first = client.request("/echo").json["connection"]
    time.sleep(3)
    with proxy.connect() as client:
        assert client.request("/echo").json["connection"] != first
