"""Writes the seeds of the HTTP/2 fuzz target: one small connection each, as Corpus/http2/NAME.

http2_corpus.py FOLDER; hpack and hyperframe are among the packages of the end-to-end tests. The layout of a seed is
HTTP2Fuzz.swift's: mode, count of actions, actions, bytes off the wire.
"""

import sys
from pathlib import Path

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame, DataFrame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame, PushPromiseFrame,
    RstStreamFrame, SettingsFrame, WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REQUEST = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")]
POST = [(":method", "POST"), *REQUEST[1:]]

# Actions: the low three bits say what, the next two how much; the high three how many bytes come before.
ALL, SOME = 7 << 5, 3 << 5
CONSUME, BEGIN, SEND, END, RESET, INTERIM, PING, FLUSH = range(8)
SHUT, LEAVE, TERMINATE = PING | 8, PING | 16, PING | 24
WHOLE = BEGIN | 8
SMALL_HEADS, HEADS, TO_HEAD = 0, 8, 64

encoder = Encoder()


def packed(fields, huffman=False):
    global encoder
    encoder = Encoder()
    encoder.header_table_size = 0  # seeds can be cut and joined when no block needs another
    return encoder.encode(fields, huffman=huffman)


def headers(stream, fields, *flags, **options):
    frame = HeadersFrame(stream, packed(fields), **options)
    frame.flags |= {"END_HEADERS", *flags}
    return frame.serialize()


def data(stream, content, *flags, **options):
    frame = DataFrame(stream, content, **options)
    frame.flags |= set(flags)
    return frame.serialize()


def settings(values=None, ack=False):
    frame = SettingsFrame(0, settings=values or {})
    if ack:
        frame.flags.add("ACK")
    return frame.serialize()


def seed(mode, actions, *wire):
    return bytes([mode, len(actions), *actions]) + b"".join(wire)


def server(*wire, actions=(ALL | WHOLE,), mode=HEADS):
    return seed(mode, actions, PREFACE, settings({3: 100, 4: 65_535}), settings(ack=True), *wire)


def client(*wire, actions=(ALL,), mode=HEADS):
    return seed(mode | 2, actions, settings(), settings(ack=True), *wire)


def hop(request, answer=b"HTTP/1.1 200 OK\r\n\r\n", mode=0):
    return seed(mode | 3, answer, request)


def in_pieces(stream, fields):
    block = packed(fields)
    first = HeadersFrame(stream, block[:10], flags={"END_STREAM"}).serialize()
    middle = ContinuationFrame(stream, block[10:20]).serialize()
    return first + middle + ContinuationFrame(stream, block[20:], flags={"END_HEADERS"}).serialize()


ACCEPTED = [(":status", "200"), ("content-type", "text/plain")]
MANY = b"".join(headers(2 * n + 1, REQUEST, "END_STREAM") for n in range(110))
LONG = ("x-long", "v" * 300)

SEEDS = {
    "get": server(headers(1, REQUEST, "END_STREAM")),
    "get-twice": server(headers(1, REQUEST, "END_STREAM"), headers(3, REQUEST, "END_STREAM"), actions=(ALL | BEGIN, SEND, END, WHOLE)),
    "post": server(headers(1, POST), data(1, b"hello"), data(1, b"", "END_STREAM"), actions=(ALL | CONSUME, BEGIN, SEND | 16, END | 16)),
    "post-trailers": server(headers(1, POST), data(1, b"hello"), headers(1, [("grpc-status", "0")], "END_STREAM"), actions=(SOME, SOME | BEGIN, END)),
    "length": server(headers(1, [*POST, ("content-length", "5")]), data(1, b"hello", "END_STREAM")),
    "length-short": server(headers(1, [*POST, ("content-length", "6")]), data(1, b"hello", "END_STREAM")),
    "continued": server(in_pieces(1, [*REQUEST, LONG])),
    "trailers-too-large": server(headers(1, POST), data(1, b"hello"), headers(1, [LONG], "END_STREAM"), mode=SMALL_HEADS),
    "two-hosts": server(headers(1, [*REQUEST, ("host", "b")], "END_STREAM")),
    "host-only": server(headers(1, [*REQUEST[:2], REQUEST[3], ("host", "b")], "END_STREAM")),
    "cookies": server(headers(1, [*REQUEST, ("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")], "END_STREAM")),
    "options": server(headers(1, [(":method", "OPTIONS"), *REQUEST[1:3], (":path", "*")], "END_STREAM")),
    "connect": server(headers(1, [(":method", "CONNECT"), (":authority", "a:443")]), data(1, b"bytes")),
    "websocket": server(headers(1, [(":method", "CONNECT"), (":protocol", "websocket"), *REQUEST[1:], ("sec-websocket-version", "13")]), data(1, b"bytes"), actions=(ALL | BEGIN, SEND, END)),
    "grpc": server(headers(1, [*POST, ("te", "trailers"), ("content-type", "application/grpc")]), data(1, b"\0\0\0\0\0", "END_STREAM"), actions=(ALL | BEGIN, SEND, END | 16)),
    "line-feed": server(headers(1, [*REQUEST, ("x", "a\r\nhost: b")], "END_STREAM")),
    "upper-case": server(headers(1, [*REQUEST, ("X-Upper", "a")], "END_STREAM")),
    "pseudo-late": server(headers(1, [*REQUEST[:3], ("x", "y"), REQUEST[3]], "END_STREAM")),
    "many": server(MANY, actions=(ALL | WHOLE, RESET, END)),
    "reset-by-us": server(headers(1, POST), data(1, b"hello"), actions=(SOME, RESET, ALL)),
    "early-answer": server(headers(1, POST), data(1, b"hello"), actions=(SOME, WHOLE, SEND, END | 8, ALL)),
    "interim": server(headers(1, [*POST, ("expect", "100-continue")]), data(1, b"hello", "END_STREAM"), actions=(SOME, INTERIM, WHOLE)),
    "ping": server(PingFrame(0, b"12345678").serialize(), headers(1, REQUEST, "END_STREAM"), actions=(ALL | PING, WHOLE)),
    "priority": server(PriorityFrame(3, depends_on=1, stream_weight=5).serialize(), headers(1, REQUEST, "END_STREAM")),
    "window": server(headers(1, REQUEST, "END_STREAM"), WindowUpdateFrame(1, window_increment=1_000).serialize(), WindowUpdateFrame(0, window_increment=1_000_000).serialize(), actions=(SOME | BEGIN, SEND | 24, ALL | SEND | 8, END)),
    "window-zero": server(settings({4: 0}), headers(1, REQUEST, "END_STREAM"), actions=(ALL | BEGIN, SEND, END | 8, RESET)),
    "going-away": server(headers(1, REQUEST, "END_STREAM"), GoAwayFrame(0, last_stream_id=0).serialize(), actions=(SOME | SHUT, LEAVE, WHOLE, ALL | TERMINATE)),
    "wrong-preface": seed(HEADS, (ALL,), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "answers": client(headers(1, ACCEPTED), data(1, b"hello", "END_STREAM"), headers(3, ACCEPTED, "END_STREAM"), actions=(SOME, SEND, END, ALL | CONSUME)),
    "answer-interim": client(headers(1, [(":status", "103"), ("link", "x")]), headers(1, [(":status", "100")]), headers(1, ACCEPTED), data(1, b"x", "END_STREAM")),
    "answer-trailers": client(headers(1, ACCEPTED), data(1, b"hello"), headers(1, [("grpc-status", "0")], "END_STREAM")),
    "answer-length": client(headers(1, [*ACCEPTED, ("content-length", "5")]), data(1, b"hello", "END_STREAM")),
    "answer-too-large": client(headers(1, [*ACCEPTED, LONG], "END_STREAM"), mode=SMALL_HEADS),
    "answer-early": client(headers(3, ACCEPTED, "END_STREAM"), RstStreamFrame(3, error_code=0).serialize(), actions=(ALL | SEND, BEGIN, BEGIN | 8, END)),
    "answer-to-head": client(headers(1, ACCEPTED), data(1, b"", "END_STREAM"), headers(3, [(":status", "204")]), mode=HEADS | TO_HEAD),
    "push": client(PushPromiseFrame(1, promised_stream_id=2, data=packed(REQUEST), flags={"END_HEADERS"}).serialize()),
    "server-leaves": client(GoAwayFrame(0, last_stream_id=1).serialize(), headers(1, ACCEPTED, "END_STREAM"), actions=(ALL | BEGIN,)),
    "server-limits": client(settings({3: 1, 8: 1}), headers(1, ACCEPTED, "END_STREAM"), actions=(SOME | BEGIN, ALL | BEGIN)),
    "hop": hop(b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nCookie: a=b\r\nTE: trailers\r\n\r\n", mode=8),
    "hop-post": hop(b"POST http://a HTTP/1.1\r\nHost: A\r\nTransfer-Encoding: chunked\r\nConnection: x-y\r\nX-Y: 1\r\n\r\n", b"HTTP/1.1 404 Not Found\r\nServer: \xe9\r\nTransfer-Encoding: chunked\r\n\r\n", mode=4 | 16),
    "hop-identity": hop(b"OPTIONS * HTTP/1.0\r\nX-Client-CN: admin\r\nX_Forwarded_For: 1\r\nKeep-Alive: 5\r\n\r\n", b"HTTP/1.0 304 X\r\nContent-Length: 5\r\n\r\n", mode=32 | 64),
}

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, content in SEEDS.items():
    (folder / name).write_bytes(content)
