"""Requests whose end or meaning is a matter of opinion are refused, never interpreted (RFC 9112, 6.3 and 11.2).

The application here reads more strictly than any real one and remembers every byte's meaning. Whatever a client
sends, the application sees either nothing or exactly one well-formed request; never the one hidden in it.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from dataclasses import dataclass, field

import pytest
from kit.process import wait_until
from kit.proxy import Proxy
from kit.upstream import Malformed, Recorder, RequestReader
from kit.wire import Connection

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
GET = b"GET /outer HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /outer HTTP/1.1\r\nHost: a\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
NUMBERS = itertools.count()

#: By the status that answers them. Each is followed by the hidden request.
REFUSED: dict[int, dict[str, bytes]] = {
    400: {
        # The request line
        "blank before method": b" " + GET + b"\r\n",
        "bare LF before method": b"\n" + GET + b"\r\n",
        "two empty lines before method": b"\r\n\r\n" + GET + b"\r\n",
        "no method": b"/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "invalid method": b"GE(T /outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "NUL in method": b"GE\0T /outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "two blanks after method": b"GET  /outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "tab for blank": b"GET\t/outer\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "vertical tab for blank": b"GET\x0b/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "blank in target": b"GET /outer /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "whole request line in target": b"GET /outer HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "control in target": b"GET /ou\x01ter HTTP/1.1\r\nHost: a\r\n\r\n",
        "NUL in target": b"GET /outer\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "DEL in target": b"GET /outer\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        "non-ASCII in target": b"GET /out\xe9r HTTP/1.1\r\nHost: a\r\n\r\n",
        "fragment in target": b"GET /outer#a HTTP/1.1\r\nHost: a\r\n\r\n",
        "target without slash": b"GET outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "authority as target": b"GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "asterisk for GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "HTTP/0.9": b"GET /outer\r\n",
        "HTTP/0.9 with a blank": b"GET /outer \r\n",
        "blank after version": b"GET /outer HTTP/1.1 \r\nHost: a\r\n\r\n",
        "text after version": b"GET /outer HTTP/1.1x\r\nHost: a\r\n\r\n",
        "blank in version": b"GET /outer HTTP /1.1\r\nHost: a\r\n\r\n",
        "version 1.10": b"GET /outer HTTP/1.10\r\nHost: a\r\n\r\n",
        "version without minor": b"GET /outer HTTP/1.\r\nHost: a\r\n\r\n",
        "lower-case version": b"GET /outer http/1.1\r\nHost: a\r\n\r\n",
        "another protocol": b"GET /outer ICAP/1.0\r\nHost: a\r\n\r\n",
        "bare LF after request line": b"GET /outer HTTP/1.1\nHost: a\r\n\r\n",
        "bare CR after request line": b"GET /outer HTTP/1.1\rHost: a\r\n\r\n",
        "CR CR LF after request line": b"GET /outer HTTP/1.1\r\r\nHost: a\r\n\r\n",
        # Host, and what else could name one
        "no host": b"GET /outer HTTP/1.1\r\n\r\n",
        "two hosts": b"GET /outer HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "the same host twice": b"GET /outer HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
        "host list": b"GET /outer HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "blank in host": b"GET /outer HTTP/1.1\r\nHost: a b\r\n\r\n",
        "userinfo in host": b"GET /outer HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "path in host": b"GET /outer HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "query in host": b"GET /outer HTTP/1.1\r\nHost: a?b\r\n\r\n",
        "backslash in host": b"GET /outer HTTP/1.1\r\nHost: a\\b\r\n\r\n",
        "non-ASCII in host": b"GET /outer HTTP/1.1\r\nHost: \xe9\r\n\r\n",
        "port that is no number": b"GET /outer HTTP/1.1\r\nHost: a:b\r\n\r\n",
        "two ports": b"GET /outer HTTP/1.1\r\nHost: a:80:81\r\n\r\n",
        "six-digit port": b"GET /outer HTTP/1.1\r\nHost: a:100000\r\n\r\n",
        "unclosed bracket in host": b"GET /outer HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "text after bracket in host": b"GET /outer HTTP/1.1\r\nHost: [::1]b\r\n\r\n",
        "absolute-form with another host": b"GET http://b/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "absolute-form with another port": b"GET http://a:81/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "absolute-form without host": b"GET http://a/outer HTTP/1.1\r\n\r\n",
        "absolute-form without authority": b"GET http:///outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "absolute-form with one slash": b"GET http:/a/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "absolute-form of another scheme": b"GET ftp://a/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "userinfo in target": b"GET http://b@a/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "password in target": b"GET http://b:c@a/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "userinfo in both": b"GET http://b@a/outer HTTP/1.1\r\nHost: b@a\r\n\r\n",
        "backslash in authority": b"GET http://a\\@b/outer HTTP/1.1\r\nHost: a\\@b\r\n\r\n",
        # Content-Length
        "two lengths": POST + LENGTH + b"Content-Length: 0\r\n\r\n",
        "the same length twice": POST + LENGTH + LENGTH + b"\r\n",
        "length list": POST + b"Content-Length: 0, 35\r\n\r\n",
        "list of equal lengths": POST + b"Content-Length: 35, 35\r\n\r\n",
        "length with comma": POST + b"Content-Length: 35,\r\n\r\n",
        "signed length": POST + b"Content-Length: +35\r\n\r\n",
        "negative length": POST + b"Content-Length: -1\r\n\r\n",
        "hexadecimal length": POST + b"Content-Length: 0x23\r\n\r\n",
        "length with blank inside": POST + b"Content-Length: 3 5\r\n\r\n",
        "length with underscore": POST + b"Content-Length: 3_5\r\n\r\n",
        "length with fraction": POST + b"Content-Length: 35.0\r\n\r\n",
        "length with exponent": POST + b"Content-Length: 35e0\r\n\r\n",
        "quoted length": POST + b'Content-Length: "35"\r\n\r\n',
        "length in superscript": POST + b"Content-Length: \xb3\r\n\r\n",
        "length then NUL": POST + b"Content-Length: 35\0\r\n\r\n",
        "length then vertical tab": POST + b"Content-Length: 35\x0b\r\n\r\n",
        "empty length": POST + b"Content-Length: \r\n\r\n",
        "length of 2^64": POST + b"Content-Length: 18446744073709551616\r\n\r\n",
        "length of 2^63": POST + b"Content-Length: 9223372036854775808\r\n\r\n",
        # Transfer-Encoding
        "length and chunked": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
        "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + LAST,
        "chunked and a length of zero": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + LAST,
        "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + LAST,
        "identity": POST + b"Transfer-Encoding: identity\r\n\r\n" + LAST,
        "empty coding": POST + b"Transfer-Encoding:\r\n\r\n" + LAST,
        "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + LAST,
        "chunked not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + LAST,
        "gzip before chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST,
        "chunked in two fields": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
        "chunked and identity": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + LAST,
        "comma before chunked": POST + b"Transfer-Encoding: ,chunked\r\n\r\n" + LAST,
        "comma after chunked": POST + b"Transfer-Encoding: chunked,\r\n\r\n" + LAST,
        "chunked with parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n" + LAST,
        "quoted chunked": POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + LAST,
        "chunked with blank inside": POST + b"Transfer-Encoding: chun ked\r\n\r\n" + LAST,
        "vertical tab before chunked": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + LAST,
        "vertical tab after chunked": POST + b"Transfer-Encoding: chunked\x0b\r\n\r\n" + LAST,
        "NUL after chunked": POST + b"Transfer-Encoding: chunked\0\r\n\r\n" + LAST,
        "non-ASCII before chunked": POST + b"Transfer-Encoding: \xa0chunked\r\n\r\n" + LAST,
        "blank before colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + LAST,
        "tab before colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + LAST,
        "NUL before colon": POST + b"Transfer-Encoding\0: chunked\r\n\r\n" + LAST,
        "coding on a folded line": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + LAST,
        "coding after a bare LF": POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
        "coding after a bare CR": POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n" + LAST,
        "chunked in HTTP/1.0": b"POST /outer HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
        "chunked in HTTP/1.0 with keep-alive":
            b"POST /outer HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
        # Field lines and their ends
        "folded field": GET + b"X-Fold: a\r\n Transfer-Encoding: chunked\r\n\r\n",
        "field folded by tab": GET + b"X-Fold: a\r\n\tb\r\n\r\n",
        "fold of nothing": GET + b"X-Fold: a\r\n \r\n\r\n",
        "first field begins with blank": b"GET /outer HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n",
        "bare LF after field": GET + b"X-A: b\nX-B: c\r\n\r\n",
        "bare LF everywhere": b"GET /outer HTTP/1.1\nHost: a\n\n",
        "bare LF for the empty line": GET + b"\n",
        "LF CR LF": GET + b"X-A: b\n\r\n",
        "CR CR LF after field": GET + b"X-A: b\r\r\n\r\n",
        "CR before the empty line": GET + b"\r\r\n",
        "CR and text for the empty line": GET + b"\rX: y\r\n\r\n",
        "bare CR in value": GET + b"X-A: b\rTransfer-Encoding: chunked\r\n\r\n",
        "NUL in value": GET + b"X-A: b\0c\r\n\r\n",
        "escape in value": GET + b"X-A: \x1b[31m\r\n\r\n",
        "DEL in value": GET + b"X-A: \x7f\r\n\r\n",
        "form feed in value": GET + b"X-A: b\x0cc\r\n\r\n",
        "control in name": GET + b"X\x01A: b\r\n\r\n",
        "non-ASCII in name": GET + b"X\xe9: b\r\n\r\n",
        "quote in name": GET + b'"X": b\r\n\r\n',
        "blank in name": GET + b"X A: b\r\n\r\n",
        "empty name": GET + b": b\r\n\r\n",
        "no colon": GET + b"nonsense\r\n\r\n",
        "request line among the fields": GET + b"GET /smuggled HTTP/1.1\r\n\r\n",
    },
    501: {
        "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "CONNECT with a body": b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n" + LENGTH + b"\r\n",
    },
    505: {
        "version with leading zero": b"GET /outer HTTP/01.1\r\nHost: a\r\n\r\n",
        "version 1.2": b"GET /outer HTTP/1.2\r\nHost: a\r\n\r\n",
        "version 2.0 in text": b"GET /outer HTTP/2.0\r\nHost: a\r\n\r\n",
        "version 0.9 in text": b"GET /outer HTTP/0.9\r\nHost: a\r\n\r\n",
    },
}

#: Bodies after a good head. Each is followed by the hidden request.
BROKEN: dict[str, bytes] = {
    "size not hexadecimal": b"zz\r\n",
    "size with prefix": b"0x5\r\nhello\r\n" + LAST,
    "signed size": b"+5\r\nhello\r\n" + LAST,
    "negative size": b"-1\r\nhello\r\n" + LAST,
    "empty size": b"\r\nhello\r\n" + LAST,
    "size with underscore": b"0_5\r\nhello\r\n" + LAST,
    "size list": b"5,5\r\nhello\r\n" + LAST,
    "quoted size": b'"5"\r\nhello\r\n' + LAST,
    "size of 2^64": b"10000000000000000\r\nhello\r\n" + LAST,
    "size that wraps around to 5": b"10000000000000005\r\nhello\r\n" + LAST,
    "largest size": b"FFFFFFFFFFFFFFFF\r\n",
    "blank before size": b" 5\r\nhello\r\n" + LAST,
    "blank after size": b"5 \r\nhello\r\n" + LAST,
    "tab before extension": b"5\t;a\r\nhello\r\n" + LAST,
    "NUL after size": b"5\0\r\nhello\r\n" + LAST,
    "text after size": b"5h\r\nhello\r\n" + LAST,
    "bare LF after size": b"5\nhello\r\n" + LAST,
    "bare CR after size": b"5\rhello\r\n" + LAST,
    "CR CR LF after size": b"5\r\r\nhello\r\n" + LAST,
    "bare LF in extension": b"5;x\nhello\r\n" + LAST,
    "bare CR in extension": b"5;a\rb\r\nhello\r\n" + LAST,
    "NUL in extension": b"5;a\0\r\nhello\r\n" + LAST,
    "line end in quoted extension": b'5;a="\r\nhello"\r\n' + LAST,
    "chunk longer than its size": b"3\r\nhello\r\n" + LAST,
    "chunk without CRLF": b"5\r\nhello" + LAST,
    "bare LF after chunk": b"5\r\nhello\n" + LAST,
    "bare CR after chunk": b"5\r\nhello\r" + LAST,
    "any two bytes after chunk": b"5\r\nhelloXX" + LAST,
    "bare LF after last size": b"5\r\nhello\r\n0\n\r\n",
    "bare LF for the end": b"5\r\nhello\r\n0\r\n\n",
    "request for trailer": b"5\r\nhello\r\n0\r\n",
    "trailer without colon": b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    "blank before a trailer's colon": b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
    "bare LF in trailer": b"5\r\nhello\r\n0\r\nX: y\nZ: z\r\n\r\n",
    "NUL in trailer": b"5\r\nhello\r\n0\r\nX: \0\r\n\r\n",
    "last chunk as a size too long": b"5\r\nhello\r\n" + b"0" * 20 + b"\r\n\r\n",
    "endless extension": b"5;" + b"x" * 70_000 + b"\r\nhello\r\n" + LAST,
}


@dataclass(frozen=True)
class Served:
    """What a client sends and the one request that the application sees."""

    content: bytes
    body: bytes = b""
    fields: dict[str, list[str]] = field(default_factory=dict)
    method: str = "POST"
    target: str = "/outer"


def get(content: bytes, **fields: list[str]) -> Served:
    return Served(content, method="GET", fields={name.replace("_", "-"): value for name, value in fields.items()})


def with_body(head: bytes, method: str = "POST", **fields: list[str]) -> Served:
    """The hidden request as the body of the outer one."""
    lines = {name.replace("_", "-"): value for name, value in fields.items()}
    return Served(head + LENGTH + b"\r\n" + HIDDEN, HIDDEN, lines, method)


def chunks(content: bytes, body: bytes = b"hello", **fields: list[str]) -> Served:
    lines = {name.replace("_", "-"): value for name, value in fields.items()}
    return Served(CHUNKED + content, body, {"content-length": []} | lines)


SERVED: dict[str, Served] = {
    # Framing that is allowed is written anew
    "body that looks like a request": with_body(POST),
    "GET with a body": with_body(GET, "GET"),
    "TRACE with a body": with_body(b"TRACE /outer HTTP/1.1\r\nHost: a\r\n", "TRACE"),
    "unknown method with a body": with_body(b"PURGE /outer HTTP/1.1\r\nHost: a\r\n", "PURGE"),
    "lower-case method with a body": with_body(b"post /outer HTTP/1.1\r\nHost: a\r\n", "post"),
    "length with leading zeros": Served(
        POST + b"Content-Length: 00005\r\n\r\nhello", b"hello", {"content-length": ["5"]}),
    "length with blanks around": Served(
        POST + b"Content-Length: \t5 \r\n\r\nhello", b"hello", {"content-length": ["5"]}),
    "POST without length": Served(POST + b"Connection: close\r\n\r\n" + HIDDEN),
    "chunked in mixed case": Served(
        POST + b"TRANSFER-encoding: CHUNKED\r\n\r\n" + b"5\r\nhello\r\n" + LAST, b"hello",
        {"transfer-encoding": ["chunked"], "content-length": []}),
    "hidden request as a chunk": chunks(b"%x\r\n%s\r\n" % (len(HIDDEN), HIDDEN) + LAST, HIDDEN),
    "size in both cases": chunks(b"a\r\n0123456789\r\nA\r\n0123456789\r\n" + LAST, b"0123456789" * 2),
    "size with leading zeros": chunks(b"0005\r\nhello\r\n000\r\n\r\n"),
    "chunk extensions": chunks(b'5;a;b=c;d="e f"\r\nhello\r\n0;g\r\n\r\n'),
    "hidden request in an extension": chunks(b"5;GET /smuggled HTTP/1.1\r\nhello\r\n" + LAST),
    "trailers": chunks(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", x_sum=[]),
    "framing, routing and identity in trailers": chunks(
        b"5\r\nhello\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: b\r\nX-Client-CN: admin\r\n"
        b"Connection: close\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"),
    "empty line before the request": get(b"\r\n" + GET + b"\r\n"),
    "empty fields": get(GET + b"X-A:\r\nX-B: \t \r\n\r\n", x_a=[""], x_b=[""]),
    "non-ASCII in value": get(GET + b"X-A: \xe9\x85\r\n\r\n", x_a=["\xe9\x85"]),
    # Targets
    "absolute-form": get(b"GET http://a/outer HTTP/1.1\r\nHost: a\r\n\r\n"),
    "absolute-form in upper case": get(b"GET HTTP://A/outer HTTP/1.1\r\nHost: a\r\n\r\n"),
    "absolute-form with query only": Served(
        b"GET http://a?/../smuggled HTTP/1.1\r\nHost: a\r\n\r\n", method="GET", target="/?/../smuggled"),
    "asterisk-form": Served(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", method="OPTIONS", target="*"),
    "empty host": get(b"GET /outer HTTP/1.1\r\nHost:\r\n\r\n"),
    # What follows a request that ends the connection is never read
    "request after Connection: close": get(GET + b"Connection: close\r\n\r\n" + HIDDEN),
    "request after close among others": get(GET + b"Connection: keep-alive, Close\r\n\r\n" + HIDDEN),
    "request after HTTP/1.0": get(b"GET /outer HTTP/1.0\r\nHost: a\r\n\r\n" + HIDDEN),
    "request after HTTP/1.0 without host": get(b"GET /outer HTTP/1.0\r\n\r\n" + HIDDEN),
    # Connection and what it names
    "Connection names host": get(GET + b"Connection: Host\r\n\r\n"),
    "Connection names content-length": with_body(POST + b"Connection: Content-Length\r\n"),
    "Connection names transfer-encoding": Served(
        POST + b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + LAST, b"hello"),
    "Connection names identity": get(GET + b"Connection: X-Client-CN, X-Client-Subject\r\n\r\n"),
    "Connection names forged identity": get(GET + b"Connection: X-Client-CN\r\nX-Client-CN: admin\r\n\r\n"),
    "Connection names forwarding": get(
        GET + b"Connection: X-Forwarded-For, X-Real-IP\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
        x_forwarded_for=["127.0.0.1"], x_real_ip=["127.0.0.1"]),
    "Connection names an end-to-end field": get(
        GET + b"Connection: ,, X-Private ,\r\nX-PRIVATE: a\r\nX-Public: b\r\n\r\n", x_private=[], x_public=["b"]),
    "two Connection fields": get(
        GET + b"Connection: X-One\r\nX-One: a\r\nX-Two: b\r\nConnection: X-Two\r\n\r\n", x_one=[], x_two=[]),
    "Connection names itself": get(GET + b"Connection: Connection\r\n\r\n"),
    "hop-by-hop fields without Connection": get(
        GET + b"Keep-Alive: timeout=9\r\nProxy-Connection: close\r\nProxy-Authorization: Basic eA==\r\n\r\n",
        proxy_authorization=[]),
    "TE": get(GET + b"TE: trailers, chunked;q=0.5\r\n\r\n"),
    # Expect never changes where the body ends
    "Expect with the body at once": with_body(POST + b"Expect: 100-continue\r\n"),
    "Expect in upper case": with_body(POST + b"EXPECT: 100-CONTINUE\r\n"),
    "two Expect fields": with_body(POST + b"Expect: 100-continue\r\nExpect: 100-continue\r\n"),
    "unknown expectation": with_body(POST + b"Expect: y 100-continue\r\n"),
    "Expect and chunks": Served(
        POST + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + LAST, b"hello"),
    "Expect in HTTP/1.0": with_body(b"POST /outer HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n"),
    "Expect named by Connection": with_body(POST + b"Expect: 100-continue\r\nConnection: Expect\r\n", expect=[]),
    # Another protocol is begun by nobody but a request without body that the application agrees with
    "upgrade with a body": with_body(POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    "upgrade with chunks": Served(
        POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + LAST,
        b"hello"),
    "upgrade without Connection": get(GET + b"Upgrade: websocket\r\n\r\n"),
    "upgrade in HTTP/1.0": get(
        b"GET /outer HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + HIDDEN),
    "upgrade to h2c": get(
        GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        http2_settings=[]),
}

#: Fields that belong to the client's connection.
HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "te", "upgrade")


@pytest.fixture(scope="module")
def recorder():
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture(scope="module")
def strict(binary, identities, scratch, recorder):
    """A proxy before the recorder."""
    proxy = Proxy(binary, identities, scratch, recorder.port, INJECT_CLIENT_HEADERS="cn", ACCESS_LOG="off")
    yield proxy.wait_ready()
    assert proxy.process.is_running, f"the proxy died:\n{proxy.process.output_tail()}"
    proxy.stop()


@pytest.fixture(params=["whole", "byte by byte"])
def send(request):
    """A verdict must not depend on how the bytes come."""
    def whole(client: Connection, content: bytes) -> None:
        client.send(content)

    def byte_by_byte(client: Connection, content: bytes) -> None:
        client.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The proxy may have answered and gone before the last byte.
        with contextlib.suppress(ConnectionError):
            for index in range(min(len(content), 1000)):
                client.send(content[index:index + 1])
            if content[1000:]:
                client.send(content[1000:])

    return whole if request.param == "whole" else byte_by_byte


def seen(proxy, recorder) -> list:
    """All that the application has seen, up to a last request that shows that nothing is under way any more."""
    with proxy.connect() as client:
        assert client.request("/last").status == 200
    assert recorder.malformed == []
    recorder.begun.remove("/last")
    assert recorder.requests.pop().target == "/last"
    return recorder.requests


@pytest.mark.parametrize("status, name", [(status, name) for status in REFUSED for name in REFUSED[status]])
def test_an_ambiguous_head_is_refused_and_the_application_sees_nothing(strict, recorder, send, status, name):
    recorder.forget()
    with strict.connect() as client:
        send(client, REFUSED[status][name] + HIDDEN)
        assert client.response().status == status
        assert client.is_closed()
    assert seen(strict, recorder) == []
    assert recorder.begun == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_chunk_ends_the_connection_and_the_request_never_becomes_whole(strict, recorder, send, name):
    recorder.forget()
    # A head of its own: that of the test before may reach the application only now, its connection being another.
    target = f"/outer/{next(NUMBERS)}"
    with strict.connect() as client:
        send(client, CHUNKED.replace(b"/outer", target.encode()) + BROKEN[name] + HIDDEN)
        assert client.response().status == 400
        assert client.is_closed()
    assert seen(strict, recorder) == []
    assert recorder.begun.count(target) <= 1
    assert [begun for begun in recorder.begun if not begun.startswith("/outer/")] == []


@pytest.mark.parametrize("name", SERVED)
def test_an_odd_but_valid_request_is_exactly_one(strict, recorder, send, name):
    vector = SERVED[name]
    recorder.forget()
    with strict.connect() as client:
        send(client, vector.content)
        assert client.response().status == 200
    [request] = seen(strict, recorder)
    assert (request.method, request.target, request.body) == (vector.method, vector.target, vector.body)
    assert request.all("x-client-cn") == ["caller"]
    for name in HOP_BY_HOP:
        assert request.all(name) == [], name
    for name, values in vector.fields.items():
        assert request.all(name) == values, name
    assert all(name.lower().startswith("x-sum") for name, _ in request.trailers), request.trailers


@pytest.mark.parametrize("upgrade", [
    b"Upgrade: h2c, websocket\r\n", b"Upgrade: websocket, h2c\r\n", b"Upgrade: websocket\r\nUpgrade: h2c\r\n",
    b"Upgrade: h2c\r\nUpgrade: websocket\r\n", b"Upgrade: ,h2c\r\n",
], ids=repr)
def test_h2c_is_never_offered_to_the_application_behind_another_protocol(strict, recorder, upgrade):
    """An application that took the offer would serve requests that no rule has seen."""
    recorder.forget()
    with strict.connect() as client:
        client.send(GET + b"Connection: Upgrade\r\n" + upgrade + b"\r\n")
        assert client.response().status in (200, 400)
    assert not any("h2c" in value for request in seen(strict, recorder) for value in request.all("upgrade"))


@pytest.mark.parametrize("head", [LENGTH + b"\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
                         ids=["length", "chunks"])
def test_a_body_that_is_cut_off_is_never_completed(strict, recorder, head):
    recorder.forget()
    with strict.connect() as client:
        client.send(POST + head)
        wait_until(lambda: recorder.begun == ["/outer"], "the application has the head")
    assert seen(strict, recorder) == []


def test_an_error_after_an_answer_to_head_is_told_with_its_body(strict):
    """The answer to nonsense is not the answer to the HEAD before it: without its body it would be cut off."""
    with strict.connect() as client:
        assert client.request("/", method="HEAD").status == 200
        client.send(b"nonsense\r\n\r\n")
        answer = client.response()
    assert answer.status == 400
    assert len(answer.body) == int(answer.header("content-length"))


@pytest.mark.parametrize("content", [
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    POST + LENGTH + LENGTH + b"\r\n" + HIDDEN, POST + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + LAST,
    CHUNKED + b"5;a\r\nhello\r\n" + LAST, CHUNKED + b"5\r\nhello" + LAST, GET + b"X : y\r\n\r\n", GET + b" y\r\n\r\n",
    GET + b"X: \r\0\r\n\r\n",
])
def test_the_recorder_would_not_let_a_leak_pass(content):
    """What these tests trust: the strict reader tells the odd from the well-formed, and two requests from one."""
    client, server = socket.socketpair()
    with client, server:
        client.sendall(content)
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(Malformed):
            RequestReader(server).next()


def test_the_recorder_counts_two_requests_as_two(recorder):
    recorder.forget()
    with socket.create_connection(("127.0.0.1", recorder.port)) as client:
        client.sendall(GET + b"\r\n" + HIDDEN)
        wait_until(lambda: [request.target for request in recorder.requests] == ["/outer", "/smuggled"], "both came")
