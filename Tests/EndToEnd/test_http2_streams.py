"""Many requests share one HTTP/2 connection: none gets another's bytes, none waits for another, and there is a limit."""

import hashlib
import random
import time

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from kit import h2wire, pattern
from kit.pairing import VERSIONS


@pytest.fixture(params=VERSIONS)
def target(request, proxies):
    return proxies[request.param]


def test_many_streams_of_mixed_sizes_are_all_the_same_bytes(target):
    sizes = random.Random(1).choices([0, 1, 777, 16_384, 16_385, 65_536, 300_000, 1_500_000], k=80)
    with h2wire.connect(target, seconds=30) as client:
        streams = [client.open(f"/bytes/{size}") for size in sizes]
        for stream, size in zip(streams, sizes):
            client.wait_done(stream)
            assert stream.reset is None and len(stream.body) == size
            assert hashlib.sha256(stream.body).hexdigest() == pattern.checksum(size)


def test_uploads_that_interleave_stay_apart(target):
    with h2wire.connect(target) as client:
        bodies = {client.open(f"/upload/{index}", "POST", end=False): b"%03d" % index * 40_000 for index in range(20)}
        for start in range(0, 120_000, 10_000):
            for stream, body in bodies.items():
                client.send_body(stream, body[start:start + 10_000], end=start == 110_000)
        for index, (stream, body) in enumerate(bodies.items()):
            report = client.wait_done(stream).json
            assert report["target"] == f"/upload/{index}"
            assert report["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_a_slow_request_does_not_hold_up_the_others(target):
    with h2wire.connect(target) as client:
        slow = client.open("/slow/2")
        for _ in range(20):
            assert client.request("/echo").status == 200
        assert not slow.is_done, "20 requests waited for the slow one"
        assert client.wait_done(slow).json == {"slept": 2.0}


def test_a_thousand_requests_one_after_the_other_on_one_connection(target):
    with h2wire.connect(target) as client:
        for number in range(1000):
            assert client.request("/status/200").status == 200, number


def test_the_limit_of_streams_is_announced_and_kept(target):
    """Beyond it a client breaks the protocol: the stream or the connection is refused (RFC 9113, 5.1.2 and 5.4.2)."""
    with h2wire.connect(target) as client:
        limit = client.wait_settings().get(SettingCodes.MAX_CONCURRENT_STREAMS)
        assert limit and 10 <= limit <= 1000, f"announced {limit}"
        running = [client.open("/slow/1") for _ in range(limit)]
        beyond = client.open("/slow/0")
        client.wait(lambda: beyond.is_done or client.is_over, "the stream is refused")
        if client.is_over:
            assert client.goaways[-1][1] in (ErrorCodes.PROTOCOL_ERROR, ErrorCodes.ENHANCE_YOUR_CALM)
        else:
            assert beyond.reset in (ErrorCodes.REFUSED_STREAM, ErrorCodes.PROTOCOL_ERROR)
            assert all(client.wait_done(stream).status == 200 for stream in running)


def test_a_client_that_does_not_know_the_limit_yet_loses_nothing(target):
    """Streams beyond it that were sent before SETTINGS came are refused so that the client knows it may try again."""
    with h2wire.connect(target, seconds=20) as client:
        streams = [client.open("/slow/0.5") for _ in range(150)]
        for stream in streams:
            client.wait_done(stream)
            assert stream.status == 200 or stream.reset == ErrorCodes.REFUSED_STREAM
        assert sum(stream.status == 200 for stream in streams) >= 10
        assert client.request("/echo").status == 200


def test_every_stream_of_a_full_connection_is_served(target):
    """As many at once as are allowed, toward HTTP/1.1 each on a connection of its own."""
    with h2wire.connect(target, seconds=20) as client:
        limit = min(100, client.wait_settings()[SettingCodes.MAX_CONCURRENT_STREAMS])
        started = time.monotonic()
        streams = [client.open("/slow/0.5") for _ in range(limit)]
        assert all(client.wait_done(stream).status == 200 for stream in streams)
        assert time.monotonic() - started < 0.5 * limit / 2, "the requests were served one after the other"
