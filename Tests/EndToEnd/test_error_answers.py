"""What the client is told when something is wrong: a status and one plain line."""

import pytest
from kit.proxy import free_port


def assert_error(answer, status: int) -> None:
    assert answer.status == status
    assert answer.body.strip() and answer.body.count(b"\n") <= 1, f"one line of text, not {answer.body!r}"
    assert (answer.header("content-type") or "").startswith("text/plain")


def test_400_for_a_bad_request_and_the_connection_ends(proxy):
    with proxy.connect() as client:
        client.send(b"GET /\r\n\r\n")
        assert_error(client.response(), 400)
        assert client.is_closed()


def test_400_without_host(proxy):
    with proxy.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert_error(client.response(), 400)


def test_408_when_the_head_does_not_come(proxy):
    with proxy.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: loc")
        assert_error(client.response(), 408)
        assert client.is_closed()


def test_431_for_too_many_header_bytes(proxy):
    with proxy.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Big: " + b"x" * 40_000 + b"\r\n\r\n")
        assert_error(client.response(), 431)
        assert client.is_closed()


def test_431_limit_is_the_setting(start_proxy):
    proxy = start_proxy(MAX_HEADER_BYTES="4096")
    with proxy.connect() as client:
        assert client.request("/echo", headers=(("X-Fits", "x" * 3000),)).status == 200
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Big: " + b"x" * 5000 + b"\r\n\r\n")
        assert client.response().status == 431


def test_414_or_431_for_an_endless_target(proxy):
    with proxy.connect() as client:
        client.send(b"GET /" + b"a" * 60_000)
        assert client.response().status in (414, 431)


def test_502_when_the_upstream_refuses(start_proxy):
    proxy = start_proxy(upstream_port=free_port())
    with proxy.connect() as client:
        assert_error(client.request("/"), 502)
        assert_error(client.request("/"), 502)


@pytest.mark.parametrize("path", ["/reset", "/nonsense"])
def test_502_when_the_upstream_resets_or_speaks_nonsense(proxy, path):
    with proxy.connect() as client:
        assert_error(client.request(path), 502)
    with proxy.connect() as client:
        assert client.request("/echo").status == 200


def test_504_when_the_upstream_does_not_answer(start_proxy):
    proxy = start_proxy(RESPONSE_TIMEOUT_SECS="1")
    with proxy.connect() as client:
        assert_error(client.request("/slow/5"), 504)


def test_a_truncated_answer_ends_the_connection_and_is_never_completed(proxy):
    with proxy.connect() as client:
        client.send(b"GET /truncated HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.head().header("content-length") == "100"
        assert len(client.until_close()) < 100


def test_a_request_that_may_have_been_seen_is_not_sent_twice(proxy):
    with proxy.connect() as client:
        client.request("/echo")
        assert client.request("/reset?once", method="POST", body=b"pay").status == 502
    with proxy.connect() as client:
        targets = client.request("/seen").json["targets"]
    assert targets.count("/reset?once") == 1
