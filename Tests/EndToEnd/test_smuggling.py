"""Requests whose end is a matter of opinion are refused, never interpreted (RFC 9112, 6.3 and 11.2)."""

import pytest
from kit.wire import Closed

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"POST /outer HTTP/1.1\r\nHost: a\r\n"

REFUSED = {
    "length and chunked": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 36\r\n\r\n" + HIDDEN,
    "length list that differs": HEAD + b"Content-Length: 0, 36\r\n\r\n" + HIDDEN,
    "signed length": HEAD + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "negative length": HEAD + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "hexadecimal length": HEAD + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "length with blank inside": HEAD + b"Content-Length: 1 0\r\n\r\n" + HIDDEN,
    "empty length": HEAD + b"Content-Length: \r\n\r\n" + HIDDEN,
    "huge length": HEAD + b"Content-Length: 18446744073709551616\r\n\r\n" + HIDDEN,
    "unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "identity coding": HEAD + b"Transfer-Encoding: identity\r\n\r\n" + HIDDEN,
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked not last": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two coding fields": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "vertical tab before chunked": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "blank before colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked in HTTP/1.0": b"POST /outer HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "folded field": HEAD + b"X-Fold: a\r\n Transfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "first field begins with blank": b"GET /outer HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n",
    "bare LF after field": b"GET /outer HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
    "bare LF everywhere": b"GET /outer HTTP/1.1\nHost: a\n\n",
    "bare CR in value": b"GET /outer HTTP/1.1\r\nHost: a\r\nX-A: b\rTransfer-Encoding: chunked\r\n\r\n",
    "NUL in value": b"GET /outer HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
    "control in name": b"GET /outer HTTP/1.1\r\nHost: a\r\nX\x01A: b\r\n\r\n",
    "empty name": b"GET /outer HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "no colon": b"GET /outer HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
    "two hosts": b"GET /outer HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "invalid host": b"GET /outer HTTP/1.1\r\nHost: a b\r\n\r\n",
    "blank in target": b"GET /outer /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "control in target": b"GET /ou\x01ter HTTP/1.1\r\nHost: a\r\n\r\n",
    "tab for blank": b"GET\t/outer\tHTTP/1.1\r\nHost: a\r\n\r\n",
    "invalid method": b"GE(T /outer HTTP/1.1\r\nHost: a\r\n\r\n",
    "version 2.0 in text": b"GET /outer HTTP/2.0\r\nHost: a\r\n\r\n",
    "version 1.10": b"GET /outer HTTP/1.10\r\nHost: a\r\n\r\n",
    "lower-case version": b"GET /outer http/1.1\r\nHost: a\r\n\r\n",
}

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

BAD_CHUNKS = {
    "size not hexadecimal": b"zz\r\n",
    "size with prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
    "size overflows": b"FFFFFFFFFFFFFFFFF\r\n",
    "largest size": b"FFFFFFFFFFFFFFFF\r\n",
    "blank before size": b" 5\r\nhello\r\n0\r\n\r\n",
    "bare LF after size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF in extension": b"5;x\nhello\r\n0\r\n\r\n",
    "chunk longer than its size": b"3\r\nhello\r\n0\r\n\r\n",
    "chunk without CRLF": b"5\r\nhello0\r\n\r\n" + HIDDEN,
    "bad trailer": b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    "endless extension": b"5;" + b"x" * 70_000 + b"\r\nhello\r\n0\r\n\r\n",
}


def marked(content: bytes, name: str) -> tuple[bytes, str]:
    """The bytes with a hidden target of their own, so that one leak does not fail the other tests."""
    hidden = "/smuggled-" + name.replace(" ", "-").replace("/", "-")
    return content.replace(b"/smuggled", hidden.encode()), hidden


def assert_unseen(proxy, hidden: str) -> None:
    with proxy.connect() as client:
        targets = client.request("/seen").json["targets"]
    assert not any(hidden in target for target in targets), "the application got the hidden request"


@pytest.mark.parametrize("name", REFUSED)
def test_an_ambiguous_head_is_answered_400_and_closed(proxy, name):
    content, hidden = marked(REFUSED[name], name)
    with proxy.connect() as client:
        client.send(content)
        answer = client.response()
        assert answer.status in ({400, 501} if "coding" in name else {400, 505} if "version" in name else {400})
        assert client.is_closed()
    assert_unseen(proxy, hidden)


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_bad_chunk_ends_the_connection_and_the_request_never_completes(proxy, name):
    content, hidden = marked(BAD_CHUNKS[name], name)
    with proxy.connect() as client:
        client.send(CHUNKED)
        client.send(content)
        try:
            assert client.response().status in (400, 413, 431, 502)
            assert client.is_closed()
        except (Closed, ConnectionError):
            pass
    assert_unseen(proxy, hidden)


def test_equal_repeated_lengths_are_not_two_opinions(proxy):
    with proxy.connect() as client:
        client.send(HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello")
        answer = client.response()
        assert answer.status in (200, 400)
        if answer.status == 200:
            lengths = [value for name, value in answer.json["headers"] if name.lower() == "content-length"]
            assert lengths == ["5"]


def test_a_body_is_never_read_as_the_next_request(proxy):
    content, hidden = marked(HIDDEN, "as body")
    with proxy.connect() as client:
        report = client.request("/outer", method="POST", body=content).json
        assert report["body_length"] == len(content)
        assert client.request("/echo").json["target"] == "/echo"
    assert_unseen(proxy, hidden)


def test_absolute_form_is_served_by_its_authority(start_proxy):
    proxy = start_proxy(PRESERVE_HOST="true")
    with proxy.connect() as client:
        client.send(b"GET http://real.example/echo HTTP/1.1\r\nHost: other.example\r\n\r\n")
        answer = client.response()
        assert answer.status in (200, 400)
        if answer.status == 200:
            hosts = [value for name, value in answer.json["headers"] if name.lower() == "host"]
            assert hosts == ["real.example"]
