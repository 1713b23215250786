#!/usr/bin/env python3
"""The applications behind the sidecar: an HTTP/1.1 server with every habit, and three raw TCP servers.

    app.py --http PORT --echo PORT --banner PORT --eof PORT [--uid N]
    app.py --tls PORT --tls-echo PORT --tls-banner PORT --certificate FILE --key FILE [--client-ca FILE]

Port 0 takes a free one. Prints one JSON line with the ports when all of them listen. Needs only the
standard library and this directory, so it runs in any namespace as any user.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pattern  # noqa: E402

HEAD_LIMIT = 1 << 20
PIECE = 1 << 20


class Ended(Exception):
    """The connection is over, asked for or not."""


class Application:
    """What the server remembers over all connections; `/seen` tells it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connections = 0
        self.targets: list[str] = []
        self.block = os.memfd_create("pattern")
        for _ in range(64):
            os.write(self.block, pattern.BLOCK)

    def count_connection(self) -> int:
        with self.lock:
            self.connections += 1
            return self.connections

    def saw(self, target: str) -> None:
        with self.lock:
            self.targets.append(target)
            del self.targets[:-1000]


class HTTPConnection:
    """One connection of the HTTP server: reads requests until told to stop."""

    def __init__(self, application: Application, stream: socket.socket, peer: tuple):
        self.application, self.stream, self.peer = application, stream, peer
        self.number = application.count_connection()
        self.buffer = bytearray()
        self.keeps = True

    def serve(self) -> None:
        try:
            while self.keeps and self.read_head():
                self.application.saw(self.target)
                self.answer()
        except Ended:
            pass

    # Reading

    def fill(self) -> None:
        piece = self.stream.recv(PIECE)
        if not piece:
            raise Ended
        self.buffer += piece

    def read_head(self) -> bool:
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if len(self.buffer) > HEAD_LIMIT:
                raise Ended
            self.fill()
        lines = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
        del self.buffer[: end + 4]
        self.method, self.target, self.version = lines[0].split(" ")
        self.headers = [tuple(part.strip(" \t") for part in line.split(":", 1)) for line in lines[1:]]
        connection = self.header("connection").lower()
        self.keeps = "close" not in connection and (self.version != "HTTP/1.0" or "keep-alive" in connection)
        self.trailers: list[tuple[str, ...]] = []
        return True

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key.lower() == name)

    def line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            self.fill()
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        return line

    def take(self, count: int):
        """Pieces that together are the next `count` bytes, never held all at once."""
        if self.buffer and count:
            piece = bytes(self.buffer[:count])
            del self.buffer[: len(piece)]
            count -= len(piece)
            yield piece
        room = bytearray(PIECE)
        view = memoryview(room)
        while count:
            got = self.stream.recv_into(view[: min(count, PIECE)])
            if not got:
                raise Ended
            count -= got
            yield view[:got]

    def body(self):
        if "100-continue" in self.header("expect").lower():
            self.stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.header("transfer-encoding").lower() == "chunked":
            while size := int(self.line().split(b";")[0], 16):
                yield from self.take(size)
                self.line()
            while line := self.line():
                self.trailers.append(tuple(line.decode("latin-1").split(": ", 1)))
        elif length := self.header("content-length"):
            yield from self.take(int(length))

    def digest(self) -> tuple[str, int]:
        digest, length = hashlib.sha256(), 0
        for piece in self.body():
            digest.update(piece)
            length += len(piece)
        return digest.hexdigest(), length

    # Answering

    def answer(self) -> None:
        """By the first part of the path; what has no route of its own is reported back as JSON."""
        path = self.target.partition("?")[0]
        if "://" in path:
            path = "/" + path.split("://", 1)[1].partition("/")[2]
        name, *arguments = path.strip("/").split("/")
        routes: dict[str, Callable[..., None]] = {
            "bytes": self.bytes, "chunked": self.chunked, "slow": self.slow, "drip": self.drip, "status": self.status,
            "early": self.early, "until-close": self.until_close, "close": self.close, "reset": self.reset,
            "nonsense": self.nonsense, "truncated": self.truncated, "refuse": self.refuse, "hop": self.hop,
            "seen": self.seen, "upgrade": self.upgrade, "cookies": self.cookies,
        }
        routes.get(name, self.report)(*arguments)

    def send_head(self, status: str, *fields: str) -> None:
        if not self.keeps:
            fields += ("Connection: close",)
        self.stream.sendall("\r\n".join([f"HTTP/1.1 {status}", *fields]).encode("latin-1") + b"\r\n\r\n")

    def send_json(self, value: object, *fields: str) -> None:
        content = json.dumps(value).encode()
        close = () if self.keeps else ("Connection: close",)
        head = "\r\n".join([
            "HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(content)}", *fields, *close])
        self.stream.sendall(head.encode("latin-1") + b"\r\n\r\n" + (b"" if self.method == "HEAD" else content))

    def report(self, *_: str) -> None:
        """Everything about the request, as this application saw it."""
        digest, length = self.digest()
        self.send_json({
            "method": self.method, "target": self.target, "version": self.version, "headers": self.headers,
            "body_sha256": digest, "body_length": length, "trailers": self.trailers,
            "connection": self.number, "peer": self.peer[0], "peer_port": self.peer[1], "client": self.client(),
        })

    def client(self) -> str | None:
        """The common name in the client's certificate."""
        certificate = self.stream.getpeercert() if isinstance(self.stream, ssl.SSLSocket) else None
        return next((value for ((name, value),) in (certificate or {}).get("subject", ()) if name == "commonName"), None)

    def bytes(self, length: str) -> None:
        """A body of known length and checksum."""
        self.digest()
        remaining = int(length)
        self.send_head("200 OK", f"Content-Length: {remaining}")
        if self.method == "HEAD":
            return
        if isinstance(self.stream, ssl.SSLSocket):
            for piece in pattern.pieces(remaining):
                self.stream.sendall(piece)
            return
        size, done = 64 * len(pattern.BLOCK), 0
        while done < remaining:
            offset = done % size
            count = min(remaining - done, size - offset)
            done += os.sendfile(self.stream.fileno(), self.application.block, offset, count)

    def chunked(self, count: str) -> None:
        """The same bytes in chunks of odd sizes, with a trailer."""
        self.digest()
        self.send_head("200 OK", "Transfer-Encoding: chunked", "Trailer: X-Checksum")
        if self.method == "HEAD":
            return
        for whole in pattern.pieces(int(count)):
            for start in range(0, len(whole), 65_521):
                piece = whole[start:start + 65_521]
                self.stream.sendall(b"%x\r\n%s\r\n" % (len(piece), bytes(piece)))
        self.stream.sendall(b"0\r\nX-Checksum: %s\r\n\r\n" % pattern.checksum(int(count)).encode())

    def slow(self, seconds: str) -> None:
        self.digest()
        time.sleep(float(seconds))
        self.send_json({"slept": float(seconds)})

    def drip(self, count: str, seconds: str) -> None:
        """`count` lines with pauses: shows that a proxy streams."""
        self.digest()
        self.send_head("200 OK", "Transfer-Encoding: chunked")
        for number in range(int(count)):
            line = b"line %d\n" % number
            self.stream.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            time.sleep(float(seconds))
        self.stream.sendall(b"0\r\n\r\n")

    def status(self, code: str) -> None:
        self.digest()
        if code in ("204", "304"):
            self.send_head(f"{code} Answer", "X-Answer: yes")
        else:
            self.send_head(f"{code} Answer", "X-Answer: yes", "Content-Length: 7")
            if self.method != "HEAD":
                self.stream.sendall(b"status\n")

    def early(self) -> None:
        self.digest()
        self.stream.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        self.send_json({"early": True})

    def until_close(self) -> None:
        """A body that ends with the connection, as HTTP/1.0 servers send it."""
        self.digest()
        self.keeps = False
        self.stream.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"until the end\n" * 1000)

    def close(self) -> None:
        self.digest()
        self.keeps = False
        self.send_json({"closing": True})

    def reset(self) -> None:
        """No answer, but a TCP reset."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Ended

    def nonsense(self) -> None:
        self.digest()
        self.stream.sendall(b"220 mail.example ESMTP\r\n\r\n")
        raise Ended

    def truncated(self) -> None:
        self.digest()
        self.stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        raise Ended

    def refuse(self) -> None:
        """Answers at once and never reads the body: what Expect: 100-continue is for."""
        self.keeps = False
        self.send_head("417 Expectation Failed", "Content-Length: 0")

    def hop(self) -> None:
        """Fields that are about this connection only."""
        self.digest()
        self.send_json({}, "Connection: X-Hop, keep-alive", "X-Hop: private", "Keep-Alive: timeout=5", "X-End: kept")

    def cookies(self) -> None:
        self.digest()
        self.send_json({}, "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; Path=/")

    def seen(self) -> None:
        self.digest()
        with self.application.lock:
            targets = list(self.application.targets)
        self.send_json({"targets": targets, "connections": self.application.connections})

    def upgrade(self) -> None:
        """Switches to a protocol that echoes."""
        self.stream.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        self.stream.sendall(bytes(self.buffer))
        while piece := self.stream.recv(65_536):
            self.stream.sendall(piece)
        raise Ended


def serve_echo(stream: socket.socket) -> None:
    """Echoes until the other side is done, then is done too."""
    while piece := stream.recv(PIECE):
        stream.sendall(piece)
    stream.unwrap() if isinstance(stream, ssl.SSLSocket) else stream.shutdown(socket.SHUT_WR)


def serve_banner(stream: socket.socket) -> None:
    """Speaks first, as mail and database servers do, then echoes."""
    stream.sendall(b"220 this server speaks first\r\n")
    serve_echo(stream)


def serve_eof(stream: socket.socket) -> None:
    """Answers only when the other side has ended its half of the connection."""
    digest, length = hashlib.sha256(), 0
    while piece := stream.recv(PIECE):
        digest.update(piece)
        length += len(piece)
    stream.sendall(json.dumps({"sha256": digest.hexdigest(), "length": length}).encode())
    stream.shutdown(socket.SHUT_WR)


def listen(port: int) -> socket.socket:
    """Both address families; a deep backlog for tests with many new connections."""
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", port))
    listener.listen(4096)
    return listener


def accept_forever(listener: socket.socket, serve: Callable[[socket.socket, tuple], None]) -> None:
    def guarded(stream: socket.socket, peer: tuple) -> None:
        with stream:
            try:
                serve(stream, peer)
            except OSError:
                pass

    while True:
        stream, peer = listener.accept()
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=guarded, args=(stream, peer), daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("http", "echo", "banner", "eof", "tls", "tls-echo", "tls-banner"):
        parser.add_argument(f"--{name}", type=int, dest=name)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--client-ca", help="insist on a client certificate of this authority")
    parser.add_argument("--uid", type=int)
    options = parser.parse_args()
    if options.uid is not None:
        os.setgroups([])
        os.setgid(options.uid)
        os.setuid(options.uid)
    application = Application()

    def serve_http(stream: socket.socket, peer: tuple) -> None:
        HTTPConnection(application, stream, (peer[0].removeprefix("::ffff:"), *peer[1:])).serve()

    services: dict[str, Callable[[socket.socket, tuple], None]] = {
        "http": serve_http,
        "echo": lambda stream, peer: serve_echo(stream),
        "banner": lambda stream, peer: serve_banner(stream),
        "eof": lambda stream, peer: serve_eof(stream),
    }
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
        if options.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(options.client_ca)

        def inside_tls(serve: Callable[[socket.socket, tuple], None]) -> Callable[[socket.socket, tuple], None]:
            return lambda stream, peer: serve(context.wrap_socket(stream, server_side=True), peer)

        services |= {
            "tls": inside_tls(serve_http), "tls-echo": inside_tls(services["echo"]),
            "tls-banner": inside_tls(services["banner"]),
        }
    ports = {}
    for name, serve in services.items():
        if (port := getattr(options, name)) is not None:
            listener = listen(port)
            ports[name] = listener.getsockname()[1]
            threading.Thread(target=accept_forever, args=(listener, serve), daemon=True).start()
    print(json.dumps(ports), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
