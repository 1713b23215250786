"""Malformed and excessive HTTP/2: each vector is refused as RFC 9113 says, and nobody else notices.

To add a vector, add a line to MALFORMED, FRAMES, OPENINGS or FLOODS: its name, its bytes, what is expected.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass

import pytest
from h2.errors import ErrorCodes as Code
from kit import h2flood, h2wire
from kit.h2flood import get, post
from kit.h2wire import (
    ACK, END_HEADERS, END_STREAM, LARGEST_WINDOW, PADDED, PREFACE, PRIORITY, Kind, frame, headers, literal, rst_stream,
    settings, window_update)
from kit.pairing import VERSIONS
from kit.process import wait_until

MEGABYTE = 1 << 20
#: What all vectors together may add to a proxy that has served a little.
GROWTH = 40 * MEGABYTE
#: Codes of a server that has had enough.
ENOUGH = {Code.ENHANCE_YOUR_CALM, Code.INTERNAL_ERROR, Code.PROTOCOL_ERROR, Code.REFUSED_STREAM}


# What is expected

@dataclass(frozen=True)
class Refused:
    """The request is, by RST_STREAM or an error status; a stricter server may end the connection (RFC 9113, 5.4.2)."""

    codes: frozenset[int] = frozenset({Code.PROTOCOL_ERROR})
    statuses: frozenset[int] = frozenset({400})
    silently: bool = False

    def check(self, client: h2wire.Client) -> None:
        stream = client.streams[1]
        client.wait(lambda: stream.is_done or client.goaways or client.is_over, "the request is refused", 5)
        if stream.ended:
            assert stream.status in self.statuses, f"answered {stream.status}"
        elif stream.reset is not None:
            assert stream.reset in self.codes, Code(stream.reset).name
        else:
            Ended(self.codes, self.silently).check(client)


@dataclass(frozen=True)
class Ended:
    """The connection is: GOAWAY with one of the codes, then the end. With `silently` the GOAWAY may be missing."""

    codes: frozenset[int] = frozenset({Code.PROTOCOL_ERROR})
    silently: bool = False

    def check(self, client: h2wire.Client) -> None:
        client.wait_over(5)
        for _, code in client.goaways:
            assert code in self.codes or code == Code.NO_ERROR, Code(code).name
        assert self.silently or any(code in self.codes for _, code in client.goaways), f"GOAWAYs: {client.goaways}"


@dataclass(frozen=True)
class Served:
    """It is unusual, but allowed: the connection goes on."""

    def check(self, client: h2wire.Client) -> None:
        assert client.request("/echo").status == 200


@dataclass(frozen=True)
class Tolerated:
    """RFC 9113 leaves it to the server, or servers differ for good reasons: refused, ended or passed over, not followed."""

    def check(self, client: h2wire.Client) -> None:
        client.settle(0.3)
        stream = client.streams[1]
        if client.is_over or client.goaways:
            return
        # Told or not: a client that has broken the protocol may hear of it late.
        following = client.open("/echo")
        client.wait(lambda: following.is_done or client.goaways or client.is_over, "the next request is answered", 5)
        if not client.is_over and not client.goaways:
            assert not stream.ended or 400 <= stream.status < 500 or bytes(stream.body) == b"", stream
            assert following.status == 200


def codes(*values: Code) -> frozenset[int]:
    return frozenset(values)


FRAME_SIZE = Ended(codes(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR))
FLOW = codes(Code.FLOW_CONTROL_ERROR)
COMPRESSION = Ended(codes(Code.COMPRESSION_ERROR, Code.PROTOCOL_ERROR))
CLOSED = codes(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR)
TOO_LARGE = Refused(frozenset(ENOUGH) | {Code.CANCEL, Code.COMPRESSION_ERROR}, frozenset({400, 431}), silently=True)

# Requests that are malformed (RFC 9113, 8.1.1); toward HTTP/1.1 most of them would smuggle something.

GET = get("/smuggled")
POST = post("/smuggled")
HIDDEN = " HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled"


def but(*changes: tuple[str, str | None], request: list = GET) -> list[tuple[str, str]]:
    """The request with other pseudo-headers; None takes one away."""
    values = dict(request) | dict(changes)
    return [(name, value) for name, value in values.items() if value is not None]


MALFORMED: dict[str, list[tuple]] = {
    # Names
    "upper-case name": [*GET, ("X-Upper", "a")],
    "empty name": [*GET, ("", "a")],
    "blank in name": [*GET, ("x a", "a")],
    "colon in name": [*GET, ("x:a", "a")],
    "CRLF in name": [*GET, ("x-a: b\r\nx-smuggled", "a")],
    "NUL in name": [*GET, ("x\0a", "a")],
    "control in name": [*GET, ("x\x01a", "a")],
    "DEL in name": [*GET, ("x\x7fa", "a")],
    "byte above 127 in name": [*GET, ("x\xe9", "a")],
    # Values
    "CRLF in value": [*GET, ("x-a", "b\r\nx-smuggled: yes")],
    "CR in value": [*GET, ("x-a", "b\rc")],
    "LF in value": [*GET, ("x-a", "b\nx-smuggled: yes")],
    "NUL in value": [*GET, ("x-a", "b\0c")],
    "request in value": [*GET, ("x-a", "b\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a")],
    "CRLF in cookie": [*GET, ("cookie", "a=1"), ("cookie", "b=2\r\nx-smuggled: yes")],
    # Fields of an HTTP/1.1 connection (8.2.2)
    "connection": [*GET, ("connection", "close")],
    "keep-alive": [*GET, ("keep-alive", "timeout=5")],
    "proxy-connection": [*GET, ("proxy-connection", "keep-alive")],
    "transfer-encoding": [*POST, ("transfer-encoding", "chunked")],
    "upgrade": [*GET, ("upgrade", "websocket")],
    "te other than trailers": [*GET, ("te", "gzip")],
    # Pseudo-headers (8.3)
    "pseudo-header after field": [*GET[:3], ("x-a", "b"), GET[3]],
    "two methods": [*GET, (":method", "POST")],
    "two paths": [*GET, (":path", "/other")],
    "two schemes": [*GET, (":scheme", "http")],
    "two authorities": [*GET, (":authority", "other")],
    "unknown pseudo-header": [*GET, (":smuggled", "a")],
    "status in request": [*GET, (":status", "200")],
    "protocol without CONNECT": [*GET, (":protocol", "websocket")],
    "no method": but((":method", None)),
    "no scheme": but((":scheme", None)),
    "no path": but((":path", None)),
    "no pseudo-header": [("x-a", "smuggled")],
    "nothing": [],
    "CONNECT with scheme and path": but((":method", "CONNECT")),
    # The request line that HTTP/1.1 would make of them
    "empty path": but((":path", "")),
    "path without slash": but((":path", "smuggled")),
    "blank in path": but((":path", "/smuggled HTTP/1.1")),
    "tab in path": but((":path", "/smuggled\tHTTP/1.1")),
    "request in path": but((":path", "/" + HIDDEN)),
    "LF in path": but((":path", "/smuggled\nx: y")),
    "NUL in path": but((":path", "/smuggled\0")),
    "control in path": but((":path", "/smug\x01gled")),
    "asterisk for GET": but((":path", "*")),
    "empty method": but((":method", "")),
    "blank in method": but((":method", "GET /smuggled")),
    "request in method": but((":method", "GET /smuggled" + HIDDEN)),
    "separator in method": but((":method", "GE(T")),
    "blank in authority": but((":authority", "local host")),
    "request in authority": but((":authority", "localhost\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a")),
    "LF in authority": but((":authority", "localhost\nx: y")),
    "NUL in authority": but((":authority", "localhost\0")),
    "path in authority": but((":authority", "localhost/smuggled")),
    "blank in scheme": but((":scheme", "https ")),
    "request in scheme": but((":scheme", "https\r\nx: y")),
    "two hosts": [*but((":authority", None)), ("host", "a"), ("host", "b")],
    # Lengths (8.1.1)
    "length of a request without body": [*POST, ("content-length", "5")],
    "length that is no number": [*POST, ("content-length", "five")],
    "signed length": [*POST, ("content-length", "+0")],
    "negative length": [*POST, ("content-length", "-1")],
    "empty length": [*POST, ("content-length", "")],
    "length list": [*POST, ("content-length", "0, 5")],
    "huge length": [*POST, ("content-length", "18446744073709551616")],
    "two lengths": [*POST, ("content-length", "0"), ("content-length", "5")],
}

# Frames that no client sends; what stream 1 is for them is a request that ends at once, unless they bring their own.

OPEN = headers(post("/never"), end=False)
SHORT = headers([*post("/partial"), ("content-length", "10")], end=False)
BLOCK = b"".join(literal(*field) for field in GET)
BAD_SETTINGS = {"push 2": {2: 2}, "frame size 16383": {5: 16_383}, "frame size 2^24": {5: 1 << 24}}

FRAMES: dict[str, tuple[bytes, object]] = {
    # Bodies that are not what was announced
    "body shorter than its length": (SHORT + frame(Kind.DATA, END_STREAM, 1, b"12345"), Refused()),
    "body longer than its length": (SHORT + frame(Kind.DATA, END_STREAM, 1, b"12345678901"), Refused()),
    "pseudo-header in trailers": (OPEN + headers([(":path", "/smuggled")]), Refused()),
    "trailers that do not end": (OPEN + headers([("x-a", "b")], end=False), Refused()),
    "upper-case trailer": (OPEN + headers([("X-A", "b")]), Refused()),
    "CRLF in trailer": (headers(post("/upload"), end=False) + headers([("x-a", "b\r\nx-smuggled: c")]), Refused()),
    # Streams that are not there (5.1)
    "DATA on idle stream": (frame(Kind.DATA, END_STREAM, 1, b"data"), Ended()),
    "DATA on stream 0": (frame(Kind.DATA, END_STREAM, 0, b"data"), Ended()),
    "DATA after the end": (headers(post("/slow/1")) + frame(Kind.DATA, 0, 1, b"data"), Refused(CLOSED)),
    "HEADERS after the end": (headers(post("/slow/1")) + headers([("x-a", "b")]), Refused(CLOSED)),
    "HEADERS on stream 0": (headers(GET, stream=0), Ended()),
    "even stream": (headers(GET, stream=2), Ended()),
    "stream that goes back": (headers(get("/echo"), stream=3) + headers(GET, stream=1), Tolerated()),
    "RST_STREAM on idle stream": (rst_stream(1), Ended()),
    "RST_STREAM on stream 0": (rst_stream(0), Ended()),
    "WINDOW_UPDATE on idle stream": (window_update(1, 1), Ended()),
    "PUSH_PROMISE of a client": (OPEN + frame(Kind.PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + BLOCK), Ended()),
    "PRIORITY on stream 0": (frame(Kind.PRIORITY, 0, 0, b"\0\0\0\1\0"), Ended()),
    "PRIORITY on itself": (frame(Kind.PRIORITY, 0, 1, b"\0\0\0\1\0"), Tolerated()),
    "HEADERS that depend on themselves": (
        frame(Kind.HEADERS, END_HEADERS | END_STREAM | PRIORITY, 1, b"\0\0\0\1\0" + BLOCK), Tolerated()),
    # Windows (6.9)
    "WINDOW_UPDATE of 0": (OPEN + window_update(1, 0), Refused()),
    "WINDOW_UPDATE of 0 for all": (window_update(0, 0), Ended()),
    "window beyond 2^31": (OPEN + window_update(1, LARGEST_WINDOW), Refused(FLOW)),
    "window beyond 2^31 for all": (window_update(0, LARGEST_WINDOW), Ended(FLOW)),
    "initial window of 2^31": (settings({4: 1 << 31}), Ended(FLOW)),
    "windows beyond 2^31 by SETTINGS": (
        OPEN + window_update(1, LARGEST_WINDOW - 70_000) + settings({4: 100_000}), Refused(FLOW)),
    # Sizes (4.2)
    "DATA above the frame size": (OPEN + frame(Kind.DATA, 0, 1, bytes(16_385)), Refused(FRAME_SIZE.codes)),
    "HEADERS above the frame size": (
        frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, BLOCK + literal("x-a", "b" * 16_384)), FRAME_SIZE),
    "frame of 2^24 - 1 bytes": (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(1000), FRAME_SIZE),
    "PING of 7 bytes": (frame(Kind.PING, payload=bytes(7)), FRAME_SIZE),
    "RST_STREAM of 3 bytes": (OPEN + frame(Kind.RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE),
    "WINDOW_UPDATE of 3 bytes": (frame(Kind.WINDOW_UPDATE, payload=bytes(3)), FRAME_SIZE),
    "PRIORITY of 4 bytes": (OPEN + frame(Kind.PRIORITY, 0, 1, bytes(4)), Refused(FRAME_SIZE.codes)),
    "SETTINGS of 5 bytes": (frame(Kind.SETTINGS, payload=bytes(5)), FRAME_SIZE),
    "SETTINGS acknowledgement with content": (frame(Kind.SETTINGS, ACK, 0, bytes(6)), FRAME_SIZE),
    "GOAWAY of 7 bytes": (frame(Kind.GOAWAY, payload=bytes(7)), FRAME_SIZE),
    "padding beyond the frame": (OPEN + frame(Kind.DATA, PADDED, 1, b"\x05data"), Ended()),
    "padding beyond the head": (frame(Kind.HEADERS, PADDED | END_HEADERS | END_STREAM, 1, b"\xff" + BLOCK), Ended()),
    # Order (6.10)
    "CONTINUATION of nothing": (frame(Kind.CONTINUATION, END_HEADERS, 1, BLOCK), Ended()),
    "PING inside a head": (frame(Kind.HEADERS, END_STREAM, 1, BLOCK) + frame(Kind.PING, payload=bytes(8)), Ended()),
    "other stream's CONTINUATION inside a head": (
        frame(Kind.HEADERS, END_STREAM, 1, BLOCK) + frame(Kind.CONTINUATION, END_HEADERS, 3, b""), Ended()),
    "unknown frame inside a head": (
        frame(Kind.HEADERS, END_STREAM, 1, BLOCK) + frame(0xFA, 0, 1) + frame(Kind.CONTINUATION, END_HEADERS, 1), Ended()),
    "PING on a stream": (frame(Kind.PING, 0, 1, bytes(8)), Ended()),
    "SETTINGS on a stream": (frame(Kind.SETTINGS, 0, 1), Ended()),
    "GOAWAY on a stream": (frame(Kind.GOAWAY, 0, 1, bytes(8)), Ended()),
    # Compression (RFC 7541)
    "index 0": (frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, b"\x80"), COMPRESSION),
    "index beyond the tables": (frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\x7f"), COMPRESSION),
    "integer without end": (frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, b"\xff" * 20), COMPRESSION),
    "string beyond the block": (frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x7f\x10a"), COMPRESSION),
    "bad Huffman code": (frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x84\xff\xff\xff\xff\x01a"), COMPRESSION),
    "table above the limit": (frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, b"\x3f\xe1\xff\x7f" + BLOCK), COMPRESSION),
    # Heads that are too large; what comes after must still be understood, for both tables must stay the same
    "head of 200 KB": (
        frame(Kind.HEADERS, END_STREAM, 1, BLOCK)
        + b"".join(frame(Kind.CONTINUATION, 0, 1, literal("x-large", "l" * 10_000)) for _ in range(20))
        + frame(Kind.CONTINUATION, END_HEADERS, 1), TOO_LARGE),
    "head of 40 MB in 16 KB": (
        frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, BLOCK + b"\x40\x03x-a" + h2wire.string("b" * 4000) + b"\xbe" * 10_000),
        TOO_LARGE),
    "head of 10,000 fields": (
        frame(Kind.HEADERS, END_STREAM, 1, BLOCK) + frame(Kind.CONTINUATION, END_HEADERS, 1, literal("a", "") * 4000),
        TOO_LARGE),
    **{f"SETTINGS {name}": (settings(values), Ended()) for name, values in BAD_SETTINGS.items()},
    # Unusual, but allowed
    "unknown setting": (settings({0xFA: 1}), Served()),
    "unknown frame": (frame(0xFA, 0xFF, 0, b"grease") + OPEN + frame(0xFA, 0xFF, 1, b"grease"), Served()),
    "unknown error code": (OPEN + rst_stream(1, 0xFFFF), Served()),
    "PRIORITY on idle stream": (frame(Kind.PRIORITY, 0, 99, b"\0\0\0\0\0"), Served()),
    "window of 0": (settings({4: 0}) + settings({4: 65_535}), Served()),
    "table of 0": (settings({1: 0}), Served()),
}

# Instead of the preface

HIDDEN_REQUEST = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
OPENINGS: dict[str, bytes] = {
    "garbage": b"\x16\x03\x01 this is no preface at all",
    "HTTP/1.1": HIDDEN_REQUEST,
    "almost the preface": b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + HIDDEN_REQUEST,
    "preface of another version": b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n" + settings({}),
    "request first": PREFACE + headers(GET),
    "PING first": PREFACE + frame(Kind.PING, payload=bytes(8)),
    "acknowledgement first": PREFACE + frame(Kind.SETTINGS, ACK),
}

# Floods: generator, whether the attacker reads what comes back, whether the server must have had enough

FLOODS: dict[str, tuple] = {
    "rapid reset": (lambda: h2flood.rapid_reset(100_000), True, True),
    "rapid reset, unread": (lambda: h2flood.rapid_reset(100_000), False, True),
    "made you reset": (lambda: h2flood.made_you_reset(20_000), True, False),
    "SETTINGS": (lambda: h2flood.settings(100_000), True, False),
    "SETTINGS, unread": (lambda: h2flood.settings(1_000_000), False, True),
    "PING": (lambda: h2flood.ping(100_000), True, False),
    "PING, unread": (lambda: h2flood.ping(1_000_000), False, True),
    "empty DATA": (lambda: h2flood.empty_data(100_000), True, False),
    "CONTINUATION": (lambda: h2flood.continuation(20_000), True, True),
    "empty CONTINUATION": (lambda: h2flood.empty_continuation(1_000_000), True, True),
    "PRIORITY": (lambda: h2flood.priority(100_000), True, False),
    "WINDOW_UPDATE": (lambda: h2flood.window_updates(100_000), True, False),
    "unknown frames": (lambda: h2flood.unknown_frames(100_000), True, False),
}


@pytest.fixture(scope="module")
def victims(proxies):
    """The shared proxies, with what they used in memory before the first vector."""
    for proxy in proxies.values():
        for _ in range(3):
            with h2wire.connect(proxy) as client:
                client.request("/bytes/1000000")
    return {version: (proxy, proxy.process.rss_bytes()) for version, proxy in proxies.items()}


def harm_done(proxy) -> int:
    """Asked by another client: how many requests reached the application that should not, and how many it could not read."""
    with h2wire.connect(proxy) as client:
        record = client.request("/seen").json
    return sum("smuggled" in target for target in record["targets"]) + len(record.get("violations", []))


@pytest.fixture(params=VERSIONS)
def victim(request, victims):
    """By its application's version. Whatever the test did: it lives, serves others, uses little, told the application nothing."""
    proxy, before = victims[request.param]
    known = harm_done(proxy)
    yield proxy
    assert proxy.process.is_running, proxy.process.output_tail()
    assert harm_done(proxy) <= known, "the application got a malformed request"
    wait_until(
        lambda: proxy.process.rss_bytes() - before < GROWTH, f"memory is bounded: {proxy.process.rss_bytes() - before}", 5)


def attack(proxy, data: bytes, **options) -> h2wire.Client:
    """A connection over which the bytes were sent; stream 1 is known to it, whether they open it or not."""
    client = h2wire.connect(proxy, **options)
    client.streams[1] = h2wire.Stream(1, 0)
    client.streams[3] = h2wire.Stream(3, 0)
    client.next_number = 5
    client.reply(data)
    return client


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_and_the_application_never_sees_it(victim, name):
    with attack(victim, headers(MALFORMED[name])) as client:
        Refused().check(client)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_out_of_order_or_size_ends_what_it_must(victim, name):
    data, expected = FRAMES[name]
    with attack(victim, data) as client:
        expected.check(client)


@pytest.mark.parametrize("name", OPENINGS)
def test_a_bad_preface_ends_the_connection(victim, name):
    with attack(victim, OPENINGS[name], greet=False) as client:
        Ended(silently=True).check(client)


@pytest.mark.parametrize("name", ["DATA", "HEADERS", "WINDOW_UPDATE", "RST_STREAM"])
def test_frames_for_a_stream_that_has_ended_are_refused_or_passed_over(victim, name):
    with h2wire.connect(victim) as client:
        client.request("/echo")
        client.streams[1].ended = False
        client.send({
            "DATA": frame(Kind.DATA, END_STREAM, 1, b"late"), "HEADERS": headers([("x-a", "late")]),
            "WINDOW_UPDATE": window_update(1, 1), "RST_STREAM": rst_stream(1),
        }[name])
        if name in ("WINDOW_UPDATE", "RST_STREAM"):
            Served().check(client)  # They may have been on their way when the stream ended (RFC 9113, 5.1).
        else:
            Tolerated().check(client)


def test_a_malformed_request_leaves_its_neighbours_alone(victim):
    """One stream is refused, not the connection (RFC 9113, 8.1.1)."""
    with h2wire.connect(victim) as client:
        neighbour = client.open("/slow/0.5")
        refused = client.wait_done(client.start([*GET, ("connection", "close")]))
        assert refused.reset == Code.PROTOCOL_ERROR or refused.status == 400
        assert client.wait_done(neighbour).status == 200
        assert client.request("/echo").status == 200


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_or_is_borne_and_costs_nobody_else(victim, name):
    pieces, reads, must_end = FLOODS[name]
    client = h2wire.connect(victim)
    outcome = h2flood.pour(client.stream, pieces(), reads=reads)
    client.close()
    assert not must_end or outcome != "sent", "the server took in the whole flood"


def test_the_end_comes_late_for_a_client_that_floods(victim):
    """Who waits for it before coming again comes seldom."""
    with h2wire.connect(victim) as client:
        client.settle(0.1)
        started = time.monotonic()
        client.send(b"".join(h2flood.rapid_reset(2_000)))
        client.wait_over(5)
        assert time.monotonic() - started > 0.2
        assert any(code != Code.NO_ERROR for _, code in client.goaways), client.goaways


def test_a_request_that_runs_when_its_client_floods_is_still_answered(victim):
    with h2wire.connect(victim) as client:
        running = client.open("/slow/1")
        client.send(b"".join(h2flood.rapid_reset(2_000, first=101)))
        assert client.wait_done(running, 5).status == 200
        client.wait_over(5)
