"""Servers of a test's own making, and requests read as strictly as no real server reads them."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[!-~]*|\*) HTTP/1\.1")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")


class Upstream:
    """A server on loopback that runs `serve(stream)` in a thread for each connection."""

    def __init__(self, serve: Callable[[socket.socket], object]):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.serve = serve
        self.connections = 0
        threading.Thread(target=self.accept_forever, daemon=True).start()

    def accept_forever(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.guarded, args=(stream,), daemon=True).start()

    def guarded(self, stream: socket.socket) -> None:
        with stream, contextlib.suppress(OSError):
            self.serve(stream)

    def close(self) -> None:
        # Closing alone would leave the thread in `accept`.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@dataclass
class Request:
    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]


class Malformed(Exception):
    """A request that leaves anything to interpretation."""


class RequestReader:
    """Reads requests from a stream; what is not exactly as RFC 9112 has it is `Malformed`."""

    def __init__(self, stream: socket.socket):
        self.stream = stream
        self.buffer = b""

    def next(self) -> Request | None:
        """A whole request; nil when the peer ended, be it in the middle of one."""
        request = self.head()
        return request if request and self.read_body(request) else None

    def head(self) -> Request | None:
        lines = []
        while (line := self.line()) != b"":
            if line is None:
                return None
            lines.append(line)
        if not lines or not (start := REQUEST_LINE.fullmatch(lines[0])):
            raise Malformed(f"request line of {lines!r}")
        request = Request(start[1].decode(), start[2].decode(), [self.field(line) for line in lines[1:]])
        if len(request.all("host")) != 1:
            raise Malformed(f"{len(request.all('host'))} host fields: {lines!r}")
        lengths, codings = request.all("content-length"), request.all("transfer-encoding")
        if len(lengths + codings) > 1 or not all(re.fullmatch("[0-9]+", length) for length in lengths):
            raise Malformed(f"lengths {lengths}, codings {codings}")
        if codings not in ([], ["chunked"]):
            raise Malformed(f"codings {codings}")
        return request

    def read_body(self, request: Request) -> bool:
        if lengths := request.all("content-length"):
            body = self.exactly(int(lengths[0]))
            request.body = body or b""
            return body is not None
        return not request.all("transfer-encoding") or self.read_chunks(request)

    def read_chunks(self, request: Request) -> bool:
        while (line := self.line()) is not None:
            if not re.fullmatch(rb"[0-9A-Fa-f]+", line):
                raise Malformed(f"chunk size {line!r}")
            if int(line, 16) == 0:
                break
            piece, end = self.exactly(int(line, 16)), self.exactly(2)
            if end is None:
                return False
            if end != b"\r\n":
                raise Malformed(f"chunk ends with {end!r}")
            request.body += piece
        while line := self.line():
            request.trailers.append(self.field(line))
        return line is not None

    @staticmethod
    def field(line: bytes) -> tuple[str, str]:
        if not (parts := FIELD_LINE.fullmatch(line)):
            raise Malformed(f"field line {line!r}")
        return parts[1].decode(), parts[2].decode("latin-1").rstrip(" \t")

    def line(self) -> bytes | None:
        """Up to CRLF; a CR or LF alone does not end a line, and no pattern above allows one."""
        while b"\r\n" not in self.buffer:
            if not self.fill():
                if b"\n" in self.buffer:
                    raise Malformed(f"a bare LF in {self.buffer!r}")
                return None
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def exactly(self, count: int) -> bytes | None:
        while len(self.buffer) < count:
            if not self.fill():
                return None
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        return piece

    def fill(self) -> bool:
        try:
            piece = self.stream.recv(262_144)
        except OSError:
            return False
        self.buffer += piece
        return bool(piece)


class Recorder(Upstream):
    """Answers every whole request with 200, and remembers it, or why it was no request at all."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nrecorded"

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.malformed: list[str] = []
        #: Targets of all heads, of requests that never became whole too.
        self.begun: list[str] = []
        super().__init__(self.record)

    def record(self, stream: socket.socket) -> None:
        reader = RequestReader(stream)
        try:
            while request := reader.head():
                self.begun.append(request.target)
                if not reader.read_body(request):
                    return
                self.requests.append(request)
                stream.sendall(self.ANSWER if request.method != "HEAD" else self.ANSWER.removesuffix(b"recorded"))
        except Malformed as error:
            self.malformed.append(str(error))

    def forget(self) -> None:
        self.requests, self.malformed, self.begun = [], [], []
