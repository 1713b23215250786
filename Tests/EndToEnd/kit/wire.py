"""A raw HTTP/1.1 client that shows exactly what came over the wire, and TLS clients of every kind."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


class Closed(Exception):
    """The peer ended the connection where more bytes were due."""


@dataclass
class Response:
    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    informational: list[int] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """The one value of a field; more than one line of it is a failure of the test."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        return (self.header("connection") or "").lower() == "close"


class Connection:
    """One connection, read with a strict little parser; every wait has a deadline."""

    def __init__(self, stream: socket.socket, seconds: float = 10):
        self.stream = stream
        self.stream.settimeout(seconds)
        self.buffer = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.stream.close()

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def request(
        self, target: str = "/", method: str = "GET", headers: tuple[tuple[str, str], ...] = (), body: bytes = b"",
        host: str = "localhost",
    ) -> Response:
        """A well-formed request and its answer."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return self.response(method)

    def fill(self) -> None:
        piece = self.stream.recv(262_144)
        if not piece:
            raise Closed(f"connection ended after {self.buffer[-200:]!r}")
        self.buffer += piece

    def line(self) -> str:
        while b"\r\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode("latin-1")

    def exactly(self, count: int) -> bytes:
        pieces, missing = [], count
        while missing > 0:
            if not self.buffer:
                self.fill()
            piece, self.buffer = self.buffer[:missing], self.buffer[missing:]
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def until_close(self) -> bytes:
        try:
            while True:
                self.fill()
        except (Closed, ssl.SSLEOFError):
            rest, self.buffer = self.buffer, b""
            return rest

    def fields(self) -> list[tuple[str, str]]:
        fields = []
        while line := self.line():
            name, colon, value = line.partition(":")
            assert colon, f"not a field line: {line!r}"
            fields.append((name, value.strip()))
        return fields

    def head(self) -> Response:
        """A status line and fields, informational answers left as they come."""
        version, _, rest = self.line().partition(" ")
        status, _, reason = rest.partition(" ")
        return Response(version, int(status), reason, self.fields())

    def response(self, method: str = "GET") -> Response:
        """The next final answer with its whole body."""
        informational = []
        while (response := self.head()).status < 200 and response.status != 101:
            informational.append(response.status)
        response.informational = informational
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        if (response.header("transfer-encoding") or "").lower() == "chunked":
            response.body, response.trailers = self.chunks()
        elif (length := response.header("content-length")) is not None:
            response.body = self.exactly(int(length))
        else:
            response.body = self.until_close()
        return response

    def chunks(self) -> tuple[bytes, list[tuple[str, str]]]:
        pieces = []
        while size := int(self.line().partition(";")[0], 16):
            pieces.append(self.exactly(size))
            assert self.line() == "", "a chunk ends with CRLF"
        return b"".join(pieces), self.fields()

    def is_closed(self) -> bool:
        """Waits for the end of the connection; an answer instead is a no."""
        try:
            return self.stream.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True
        except TimeoutError:
            return False


class HalfClosableTLS:
    """The client side of TLS on a socket; like one it can end its half, which `ssl.SSLSocket` does only with both."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, server_name: str = "localhost"):
        self.plain = plain
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name)
        self.settimeout, self.close = plain.settimeout, plain.close
        self.perform(self.session.do_handshake)

    def perform(self, act: Callable[[], Value]) -> Value:
        """Does `act` with as many bytes from the peer as it takes."""
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                self.flush()
                piece = self.plain.recv(65_536)
                self.incoming.write(piece) if piece else self.incoming.write_eof()
            finally:
                self.flush()

    def flush(self) -> None:
        self.plain.sendall(self.outgoing.read())

    def sendall(self, data: bytes) -> None:
        self.perform(lambda: self.session.write(data))

    def recv(self, count: int) -> bytes:
        try:
            return self.perform(lambda: self.session.read(count))
        except ssl.SSLZeroReturnError:
            return b""

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        with contextlib.suppress(ssl.SSLWantReadError):
            self.session.unwrap()  # close_notify goes out; the peer's is not waited for
        self.flush()


def client_context(authority: Path, pair: Path | None, *, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
    """A TLS client that trusts `authority` and presents the pair in the directory `pair`, if any."""
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(list(alpn))
    if pair:
        context.load_cert_chain(pair / "tls.crt", pair / "tls.key")
    return context


def connect_tls(
    address: tuple[str, int], context: ssl.SSLContext, *, server_name: str = "localhost", seconds: float = 10,
) -> Connection:
    plain = socket.create_connection(address, timeout=seconds)
    try:
        return Connection(context.wrap_socket(plain, server_hostname=server_name), seconds)
    except BaseException:
        plain.close()
        raise


def connect_plain(address: tuple[str, int], seconds: float = 10) -> Connection:
    return Connection(socket.create_connection(address, timeout=seconds), seconds)
