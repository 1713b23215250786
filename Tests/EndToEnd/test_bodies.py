"""Bodies of every framing arrive whole, in both directions."""

import hashlib
import time

import pytest
from kit import pattern

SIZES = [0, 1, 4095, 16_384, 65_537, 5_000_000]


def chunks(content: bytes, size: int, trailers: bytes = b"") -> bytes:
    pieces = [content[start:start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


@pytest.mark.parametrize("size", SIZES)
def test_a_download_with_a_length_is_the_same_bytes(proxy, size):
    with proxy.connect() as client:
        answer = client.request(f"/bytes/{size}")
    assert answer.header("content-length") == str(size)
    assert hashlib.sha256(answer.body).hexdigest() == pattern.checksum(size)


@pytest.mark.parametrize("size", SIZES)
def test_a_chunked_download_is_the_same_bytes_and_keeps_its_trailer(proxy, size):
    with proxy.connect() as client:
        answer = client.request(f"/chunked/{size}", headers=(("TE", "trailers"),))
        assert hashlib.sha256(answer.body).hexdigest() == pattern.checksum(size)
        assert answer.trailers == [("X-Checksum", pattern.checksum(size))]
        assert client.request("/echo").status == 200, "the connection goes on after the trailer"


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_with_a_length_is_the_same_bytes(proxy, size):
    content = b"".join(pattern.pieces(size))
    with proxy.connect() as client:
        report = client.request("/upload", method="POST", body=content).json
    assert (report["body_length"], report["body_sha256"]) == (size, pattern.checksum(size))


@pytest.mark.parametrize("size", [1, 65_537, 5_000_000])
@pytest.mark.parametrize("chunk", [1000, 100_000])
def test_a_chunked_upload_is_the_same_bytes(proxy, size, chunk):
    with proxy.connect() as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(chunks(b"".join(pattern.pieces(size)), chunk))
        report = client.response().json
    assert (report["body_length"], report["body_sha256"]) == (size, pattern.checksum(size))


def test_trailers_of_a_request_reach_the_application_or_are_dropped_but_never_become_headers(proxy):
    with proxy.connect() as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        client.send(chunks(b"content", 3, b"X-Sum: 42\r\nX-Client-CN: admin\r\n"))
        report = client.response().json
        assert client.request("/echo").status == 200
    assert ["X-Sum", "42"] not in report["headers"]
    assert not any(name.lower() == "x-client-cn" and value == "admin" for name, value in report["trailers"])


def test_answers_stream_while_the_upstream_still_writes(proxy):
    with proxy.connect() as client:
        started = time.monotonic()
        client.send(b"GET /drip/4/0.5 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.head()
        assert client.line() == "7" and client.exactly(7) == b"line 0\n"
        assert time.monotonic() - started < 1.0, "the first piece came with the last one"


def test_two_directions_at_once(start_proxy, app):
    """The upstream echoes while the client still sends: neither side may wait for the other to end."""
    proxy = start_proxy()
    with proxy.connect() as client:
        client.send(b"GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        assert client.response().status == 101
        for number in range(50):
            message = b"%04d" % number * 1000
            client.send(message)
            assert client.exactly(len(message)) == message
