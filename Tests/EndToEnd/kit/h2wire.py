"""HTTP/2 frame by frame (RFC 9113): a client that keeps every rule, and the bytes to break each one of them."""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import Decoder, Encoder

from .wire import Closed

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULT_WINDOW = 65_535
LARGE_WINDOW = 1 << 30
LARGEST_WINDOW = (1 << 31) - 1
Fields = Iterable[tuple[str, str]]


class Kind(IntEnum):
    DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)


ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20


# Frames as bytes; nothing is checked.

def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("!IBI", len(payload) << 8 | kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    return frame(Kind.SETTINGS, payload=b"".join(struct.pack("!HI", *item) for item in values.items()))


def window_update(stream: int, increment: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, struct.pack("!I", increment))


def rst_stream(stream: int, code: int = ErrorCodes.CANCEL) -> bytes:
    return frame(Kind.RST_STREAM, 0, stream, struct.pack("!I", code))


def literal(name: bytes | str, value: bytes | str) -> bytes:
    """A field that needs no table and leaves none behind (RFC 7541, 6.2.2)."""
    return b"\x00" + string(name) + string(value)


def string(text: bytes | str) -> bytes:
    content = text.encode("latin-1") if isinstance(text, str) else text
    return integer(len(content), 7) + content


def integer(value: int, bits: int) -> bytes:
    """With a prefix of so many bits, all of the first byte's other bits 0 (RFC 7541, 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([value])
    encoded, value = bytearray([limit]), value - limit
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def headers(fields: Iterable[tuple], stream: int = 1, end: bool = True) -> bytes:
    """One HEADERS frame with exactly these fields."""
    block = b"".join(literal(name, value) for name, value in fields)
    return frame(Kind.HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)


@dataclass(eq=False)
class Stream:
    """One request as its client sees it: all that came back, and how it ended."""

    number: int
    credit: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    informational: list[int] = field(default_factory=list)
    hints: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    ungranted: int = 0

    @property
    def is_done(self) -> bool:
        return self.ended or self.reset is not None

    @property
    def status(self) -> int:
        return int(dict(self.headers).get(":status", 0))

    def header(self, name: str) -> str | None:
        """The one value of a field; more than one line of it is a failure of the test."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    @property
    def json(self):
        return json.loads(bytes(self.body))


class Client:
    """One connection. Every wait has a deadline; frames for any stream are taken in while waiting for one."""

    def __init__(
        self, stream: socket.socket, *, greet: bool = True, window: int = 1 << 20, grants: bool = True,
        seconds: float = 10, values: dict[int, int] | None = None,
    ):
        """`window` is what the peer may send per stream, and with `grants` it is refilled; in all it is next to no limit."""
        self.stream, self.seconds, self.window, self.grants = stream, seconds, window, grants
        self.stream.settimeout(seconds)
        self.buffer = bytearray()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.streams: dict[int, Stream] = {}
        self.next_number = 1
        self.credit = DEFAULT_WINDOW
        self.ungranted = 0
        self.peer: dict[int, int] = {}
        self.has_settings = False
        self.goaways: list[tuple[int, int]] = []
        self.pongs: list[bytes] = []
        self.is_over = False
        if greet:
            announced = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.INITIAL_WINDOW_SIZE: window} | (values or {})
            self.send(PREFACE + settings(announced) + window_update(0, LARGE_WINDOW - DEFAULT_WINDOW))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.stream.close()

    # Sending

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def request(self, path: str = "/", method: str = "GET", **options) -> Stream:
        """A well-formed request and its whole answer; less than that is a failure of the test."""
        stream = self.wait_done(self.open(path, method, **options))
        assert stream.ended, f"{method} {path} was reset: {ErrorCodes(stream.reset).name}"
        return stream

    def open(
        self, path: str = "/", method: str = "GET", *, headers: Fields = (), body: bytes | None = None,
        trailers: Fields = (), authority: str = "localhost", scheme: str = "https", end: bool = True,
    ) -> Stream:
        """Sends a request, whole unless `end` says that body and end come later."""
        pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
        stream = self.start([*pseudo, *headers], end=end and body is None and not trailers)
        if body is not None:
            self.send_body(stream, body, end=end and not trailers)
        if trailers:
            self.send_headers(stream, trailers, end=True)
        return stream

    def start(self, fields: Fields, end: bool = True) -> Stream:
        """A new stream with exactly these fields."""
        stream = Stream(self.next_number, self.peer.get(SettingCodes.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW))
        self.streams[stream.number] = stream
        self.next_number += 2
        self.send_headers(stream, fields, end)
        return stream

    def send_headers(self, stream: Stream, fields: Fields, end: bool) -> None:
        block = self.encoder.encode(list(fields))
        limit = self.peer.get(SettingCodes.MAX_FRAME_SIZE, 16_384)
        pieces = [block[start:start + limit] for start in range(0, len(block), limit)] or [b""]
        for index, piece in enumerate(pieces):
            kind = Kind.CONTINUATION if index else Kind.HEADERS
            flags = (END_STREAM if end and not index else 0) | (END_HEADERS if index == len(pieces) - 1 else 0)
            self.send(frame(kind, flags, stream.number, piece))

    def send_body(self, stream: Stream, body: bytes, end: bool = True) -> None:
        """As the peer's windows allow; stops when the stream is done for."""
        view = memoryview(body)
        while view:
            if not self.room(stream):
                self.wait(lambda: self.room(stream) or stream.is_done, "the peer opens its window")
            if stream.is_done:
                return
            piece, view = view[:self.room(stream)], view[self.room(stream):]
            self.send_data(stream, bytes(piece), end and not view)
        if not body and end:
            self.send_data(stream, b"", end)

    def room(self, stream: Stream) -> int:
        return max(0, min(self.credit, stream.credit, self.peer.get(SettingCodes.MAX_FRAME_SIZE, 16_384)))

    def send_data(self, stream: Stream, data: bytes, end: bool = False) -> None:
        """One DATA frame, window or not."""
        self.credit -= len(data)
        stream.credit -= len(data)
        self.send(frame(Kind.DATA, END_STREAM if end else 0, stream.number, data))

    def reset(self, stream: Stream, code: int = ErrorCodes.CANCEL) -> None:
        self.send(rst_stream(stream.number, code))

    def grant(self, stream: Stream, count: int) -> None:
        """Lets the peer send more on the stream."""
        self.send(window_update(stream.number, count))

    # Receiving

    def wait(self, condition: Callable[[], object], what: str, seconds: float | None = None) -> None:
        """Takes frames in until the condition holds; the end of the connection is one only if it makes it hold."""
        deadline = time.monotonic() + (seconds or self.seconds)
        while not condition():
            if self.is_over:
                raise Closed(f"connection ended before: {what}; GOAWAY: {self.goaways}")
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self.take(remaining):
                raise AssertionError(f"not within {seconds or self.seconds} s: {what}")

    def wait_done(self, stream: Stream, seconds: float | None = None) -> Stream:
        self.wait(lambda: stream.is_done, f"stream {stream.number} ends", seconds)
        return stream

    def wait_head(self, stream: Stream, seconds: float | None = None) -> Stream:
        self.wait(lambda: stream.headers or stream.is_done, f"stream {stream.number} is answered", seconds)
        return stream

    def wait_settings(self) -> dict[int, int]:
        self.wait(lambda: self.has_settings, "SETTINGS of the server")
        return self.peer

    def wait_over(self, seconds: float | None = None) -> None:
        self.wait(lambda: self.is_over, "the connection is closed", seconds)

    def settle(self, seconds: float) -> None:
        """Takes in whatever comes in this time."""
        deadline = time.monotonic() + seconds
        while not self.is_over and (remaining := deadline - time.monotonic()) > 0:
            self.take(remaining)

    def take(self, seconds: float) -> bool:
        """The frames of one read; False when nothing came in time."""
        if not (isinstance(self.stream, ssl.SSLSocket) and self.stream.pending()):
            if not select.select([self.stream], [], [], seconds)[0]:
                return False
        try:
            piece = self.stream.recv(262_144)
        except OSError:
            piece = b""
        self.is_over = not piece
        self.buffer += piece
        while len(self.buffer) >= 9 and len(self.buffer) >= (size := 9 + int.from_bytes(self.buffer[:3], "big")):
            kind, flags, number = struct.unpack_from("!BBI", self.buffer, 3)
            payload = bytes(self.buffer[9:size])
            del self.buffer[:size]
            self.happened(kind, flags, number & LARGEST_WINDOW, payload)
        return True

    def happened(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        stream = self.streams.get(number)
        match kind:
            case Kind.DATA:
                assert not flags & PADDED, "nobody asked for padding"
                assert stream and stream.headers, "DATA before HEADERS"
                stream.body += payload
                stream.ended = stream.ended or bool(flags & END_STREAM)
                self.refill(stream, len(payload))
            case Kind.HEADERS | Kind.CONTINUATION:
                if kind == Kind.HEADERS:
                    self.block, self.block_flags = b"", flags
                self.block += payload[5:] if kind == Kind.HEADERS and flags & PRIORITY else payload
                if flags & END_HEADERS:
                    self.fields_came(stream, self.decoder.decode(self.block), bool(self.block_flags & END_STREAM))
            case Kind.RST_STREAM:
                if stream and stream.reset is None:
                    stream.reset = int.from_bytes(payload, "big")
            case Kind.SETTINGS:
                if not flags & ACK:
                    self.settings_came(dict(struct.iter_unpack("!HI", payload)))
            case Kind.PING:
                self.pongs.append(payload) if flags & ACK else self.reply(frame(Kind.PING, ACK, 0, payload))
            case Kind.GOAWAY:
                last, code = struct.unpack_from("!II", payload)
                self.goaways.append((last & LARGEST_WINDOW, code))
            case Kind.WINDOW_UPDATE:
                increment = int.from_bytes(payload, "big")
                if number == 0:
                    self.credit += increment
                elif stream:
                    stream.credit += increment
            case Kind.PUSH_PROMISE:
                raise AssertionError("PUSH_PROMISE although it is disabled")

    def fields_came(self, stream: Stream | None, fields: list[tuple[str, str]], end: bool) -> None:
        assert stream, "HEADERS on a stream that was never opened"
        fields = [(str(name), str(value)) for name, value in fields]
        for name, value in fields:
            assert name == name.lower(), f"upper-case field {name}"
            assert name not in ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"), name
            assert not any(character in value for character in "\r\n\0"), f"{name} holds a line break"
        status = dict(fields).get(":status", "")
        if status.startswith("1"):
            assert not end and not stream.headers, f"{status} out of place"
            stream.informational.append(int(status))
            stream.hints += fields[1:]
        elif not stream.headers:
            assert fields[0][0] == ":status" and [name for name, _ in fields].count(":status") == 1, fields
            stream.headers = fields
        else:
            assert end and not any(name.startswith(":") for name, _ in fields), f"not trailers: {fields}"
            stream.trailers = fields
        stream.ended = stream.ended or end

    def settings_came(self, values: dict[int, int]) -> None:
        name = SettingCodes.INITIAL_WINDOW_SIZE
        change = values.get(name, self.peer.get(name, DEFAULT_WINDOW)) - self.peer.get(name, DEFAULT_WINDOW)
        for stream in self.streams.values():
            stream.credit += change
        self.peer |= values
        if SettingCodes.HEADER_TABLE_SIZE in values:
            self.encoder.header_table_size = min(4096, values[SettingCodes.HEADER_TABLE_SIZE])
        self.has_settings = True
        self.reply(frame(Kind.SETTINGS, ACK))

    def refill(self, stream: Stream, count: int) -> None:
        """In halves of the window, as real clients do."""
        self.ungranted += count
        stream.ungranted += count
        if self.ungranted > LARGE_WINDOW // 2:
            self.reply(window_update(0, self.ungranted))
            self.ungranted = 0
        if self.grants and stream.ungranted > self.window // 2 and not stream.ended:
            self.reply(window_update(stream.number, stream.ungranted))
            stream.ungranted = 0

    def reply(self, data: bytes) -> None:
        """What the protocol asks for; a peer that is gone already does not need it."""
        try:
            self.send(data)
        except OSError:
            self.is_over = True


def connect(proxy, **options) -> Client:
    """To the mTLS port as the good caller, by ALPN."""
    stream = proxy.connect(alpn=("h2",)).stream
    assert stream.selected_alpn_protocol() == "h2", "the server does not speak HTTP/2"
    return Client(stream, **options)


def connect_plain(port: int, host: str = "127.0.0.1", **options) -> Client:
    """By prior knowledge, as plain TCP."""
    return Client(socket.create_connection((host, port), timeout=10), **options)
