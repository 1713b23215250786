"""Answers without a body that an HTTP/2 application ends in its own ways: HTTP/1.1 clients must be able to tell."""

import pytest
from kit import h2wire


@pytest.mark.parametrize("method, status, length", [
    ("HEAD", 200, []), ("HEAD", 200, ["1234"]), ("HEAD", 404, []), ("GET", 204, []), ("POST", 204, []), ("GET", 304, []),
    ("GET", 304, ["1234"]),
])
def test_an_end_in_a_frame_of_its_own_adds_nothing_to_an_answer_without_body(proxies, method, status, length):
    with proxies["h2"].connect() as client:
        for _ in range(3):
            answer = client.request("/".join(["/end-apart", str(status), *length]), method)
            assert (answer.status, answer.header("x-answer")) == (status, "yes")
            assert answer.all("transfer-encoding") == []
            assert answer.all("content-length") == length
            # A chunk that nobody expects would be read as the next answer.
            assert client.buffer == b""
            assert client.request("/echo").json["method"] == "GET"


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_http2_client_gets_the_same_answer_and_one_end(proxies, method, status):
    with h2wire.connect(proxies["h2"]) as client:
        stream = client.request(f"/end-apart/{status}", method)
        assert (stream.status, bytes(stream.body), stream.trailers) == (status, b"", [])
        assert client.request("/echo").status == 200


def test_an_empty_body_that_ends_in_a_frame_of_its_own_is_a_body(proxies):
    with proxies["h2"].connect() as client:
        for _ in range(3):
            answer = client.request("/end-apart/200")
            assert (answer.status, answer.body) == (200, b"")
            assert client.request("/echo").status == 200


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
def test_an_answer_that_ends_with_its_head_has_length_0_in_http1(proxies, method):
    """As gRPC servers tell an error. Without a length the client would wait for the end of the connection."""
    with proxies["h2"].connect() as client:
        for _ in range(3):
            answer = client.request("/trailers-only", method, headers=(("Content-Type", "application/grpc"),), body=b"hello")
            assert (answer.status, answer.header("grpc-status"), answer.body) == (200, "5", b"")
            assert answer.all("content-length") == ["0"] and answer.all("transfer-encoding") == []
            assert not answer.closes
            assert client.request("/echo").status == 200
