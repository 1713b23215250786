"""SIGTERM on HTTP/2: a goodbye first, running streams finish, then the end with 0."""

import hashlib

import pytest
from h2.errors import ErrorCodes
from kit import h2wire, pattern


@pytest.fixture(params=["http1", "h2"])
def proxy(request, start_proxy, app, h2app):
    urls = {"http1": f"http://127.0.0.1:{app['http']}", "h2": f"h2c://127.0.0.1:{h2app}"}
    return start_proxy(UPSTREAM_URL=urls[request.param])


def wait_goodbye(client: h2wire.Client) -> int:
    """The last stream that the server will serve."""
    client.wait(lambda: client.goaways, "GOAWAY")
    assert all(code == ErrorCodes.NO_ERROR for _, code in client.goaways)
    return client.goaways[-1][0]


def test_an_idle_connection_gets_a_goodbye_and_is_closed(proxy):
    with h2wire.connect(proxy) as client:
        client.request("/echo")
        proxy.process.terminate()
        wait_goodbye(client)
        client.wait_over()
    assert proxy.process.wait(3) == 0


def test_running_streams_finish(proxy):
    with h2wire.connect(proxy) as client:
        streams = [client.open("/slow/0.9") for _ in range(5)]
        client.settle(0.4)
        proxy.process.terminate()
        assert wait_goodbye(client) >= streams[-1].number
        assert [client.wait_done(stream).status for stream in streams] == [200] * 5
        client.wait_over()
    assert proxy.process.wait(3) == 0


def test_a_running_download_finishes(proxy):
    size = 20_000_000
    with h2wire.connect(proxy, window=100_000) as client:
        stream = client.wait_head(client.open(f"/bytes/{size}"))
        proxy.process.terminate()
        wait_goodbye(client)
        client.wait_done(stream)
        assert stream.ended and hashlib.sha256(stream.body).hexdigest() == pattern.checksum(size)
    assert proxy.process.wait(3) == 0


def test_a_running_upload_finishes(proxy):
    with h2wire.connect(proxy) as client:
        stream = client.open("/upload", "POST", end=False)
        client.send_body(stream, bytes(1000), end=False)
        client.settle(0.3)
        proxy.process.terminate()
        wait_goodbye(client)
        client.send_body(stream, bytes(1_000_000))
        assert client.wait_done(stream).json["body_length"] == 1_001_000
    assert proxy.process.wait(3) == 0


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
def test_a_stream_that_crosses_the_goodbye_on_its_way_is_served(proxy, busy):
    with h2wire.connect(proxy) as client:
        client.request("/echo")
        running = [client.open("/slow/0.9")] if busy else []
        client.settle(0.3)
        proxy.process.terminate()
        assert wait_goodbye(client) == 2**31 - 1, "the first goodbye names no last stream"
        late = client.open("/echo")
        assert [client.wait_done(stream).status for stream in [late, *running]] == [200] * (1 + busy)
        client.wait_over()
        assert client.goaways[-1][0] == late.number
    assert proxy.process.wait(3) == 0


def test_a_stream_after_the_last_goodbye_is_told_that_it_may_be_tried_again(proxy):
    with h2wire.connect(proxy) as client:
        running = client.open("/slow/1.5")
        client.settle(0.3)
        proxy.process.terminate()
        client.wait(lambda: len(client.goaways) == 2, "the last goodbye")
        late = client.open("/echo")
        assert client.wait_done(running).status == 200
        client.wait_over()
        assert not late.is_done and late.number > min(number for number, _ in client.goaways)
    assert proxy.process.wait(3) == 0


def test_the_drain_has_a_limit(start_proxy):
    proxy = start_proxy(SHUTDOWN_TIMEOUT_SECS="1")
    with h2wire.connect(proxy) as client:
        client.open("/slow/20")
        client.settle(0.3)
        proxy.process.terminate()
        client.wait_over(4)
    proxy.process.wait(3)
