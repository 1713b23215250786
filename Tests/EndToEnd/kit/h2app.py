#!/usr/bin/env python3
"""An application that speaks HTTP/2 with prior knowledge, has every habit, and remembers what it saw.

    h2app.py PORT [--uid N] [--streams N]

Port 0 takes a free one. Prints one JSON line with the port. Its routes that have the names of app.py's do the same.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import socket
import struct
import sys
from collections.abc import Callable, Coroutine

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated, DataReceived, RemoteSettingsChanged, RequestReceived, StreamEnded, StreamReset,
    TrailersReceived, WindowUpdated)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pattern  # noqa: E402

GOAWAY = 7
END = None


class Application:
    """What the server remembers over all connections; `/seen` tells it."""

    def __init__(self, stream_limit: int | None):
        self.stream_limit = stream_limit
        self.connections = 0
        self.targets: list[str] = []
        #: Streams that the client ended, and connections that it said goodbye to: target or connection, and the code.
        self.resets: list[tuple[str, int]] = []
        self.goaways: list[tuple[int, int]] = []
        #: Whatever broke RFC 9113 on its way here.
        self.violations: list[str] = []
        self.once: set[str] = set()

    def is_first(self, key: str) -> bool:
        """Whether the key was never asked for before."""
        first = key not in self.once
        self.once.add(key)
        return first


class Exchange:
    """One request, and the answer that its route gives it."""

    def __init__(self, connection: "Connection", number: int, fields: list[tuple[str, str]]):
        self.connection, self.number, self.fields = connection, number, fields
        self.pseudo = {name: value for name, value in fields if name.startswith(":")}
        self.target = self.pseudo.get(":path", "")
        self.body: asyncio.Queue[tuple[bytes, int] | None] = asyncio.Queue()
        self.trailers: list[tuple[str, str]] = []

    @property
    def is_head(self) -> bool:
        return self.pseudo[":method"] == "HEAD"

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.fields if key == name)

    # Reading

    def happened(self, event: DataReceived | TrailersReceived | StreamEnded) -> None:
        match event:
            case DataReceived():
                self.body.put_nowait((event.data, event.flow_controlled_length))
            case TrailersReceived():
                self.trailers = list(event.headers)
            case StreamEnded():
                self.body.put_nowait(END)

    async def digest(self) -> tuple[str, int]:
        """Reads the whole body, and only as it is read the client's window opens."""
        if "100-continue" in self.header("expect"):
            await self.send_head("100")
        digest, length = hashlib.sha256(), 0
        while (piece := await self.body.get()) is not END:
            digest.update(piece[0])
            length += len(piece[0])
            if piece[1]:
                self.connection.h2.acknowledge_received_data(piece[1], self.number)
                await self.connection.flush()
        return digest.hexdigest(), length

    # Answering

    async def answer(self) -> None:
        """By the first part of the path; what has no route of its own is reported back as JSON."""
        name, *arguments = self.target.partition("?")[0].strip("/").split("/")
        routes: dict[str, Callable[..., Coroutine]] = {
            "bytes": self.bytes, "chunked": self.chunked, "slow": self.slow, "drip": self.drip, "status": self.status,
            "early": self.early, "refuse": self.refuse, "seen": self.seen, "never": self.never, "cookies": self.cookies,
            "reset": self.reset, "reset-body": self.reset_body, "refused": self.refused, "goaway": self.goaway,
            "drop": self.drop, "garbage": self.garbage, "malformed": self.malformed, "trailers-only": self.trailers_only,
            "end-apart": self.end_apart,
        }
        await routes.get(name, self.report)(*arguments)

    async def send_head(self, status: str, *fields: tuple[str, str], end: bool = False) -> None:
        self.connection.h2.send_headers(self.number, [(":status", status), *fields], end_stream=end)
        await self.connection.flush()

    async def send_trailers(self, *fields: tuple[str, str]) -> None:
        self.connection.h2.send_headers(self.number, list(fields), end_stream=True)
        await self.connection.flush()

    async def send_body(self, content, end: bool = True) -> None:
        await self.connection.send(self.number, content, end)

    async def send_json(self, value: object, *fields: tuple[str, str]) -> None:
        content = json.dumps(value).encode()
        await self.send_head(
            "200", ("content-type", "application/json"), ("content-length", str(len(content))), *fields,
            end=self.is_head)
        if not self.is_head:
            await self.send_body(content)

    async def report(self, *_: str) -> None:
        """Everything about the request, as this application saw it."""
        digest, length = await self.digest()
        await self.send_json({
            "method": self.pseudo[":method"], "target": self.target, "version": "HTTP/2", "pseudo": self.pseudo,
            "headers": [field for field in self.fields if not field[0].startswith(":")],
            "body_sha256": digest, "body_length": length, "trailers": self.trailers,
            "connection": self.connection.number, "stream": self.number,
        })

    async def bytes(self, length: str) -> None:
        await self.digest()
        await self.send_head("200", ("content-length", length), end=self.is_head)
        if not self.is_head:
            for piece in pattern.pieces(int(length)):
                await self.send_body(piece, end=False)
            await self.send_body(b"")

    async def chunked(self, length: str) -> None:
        """No length, but a trailer."""
        await self.digest()
        await self.send_head("200", ("trailer", "x-checksum"), end=self.is_head)
        if not self.is_head:
            for piece in pattern.pieces(int(length)):
                await self.send_body(piece, end=False)
            await self.send_trailers(("x-checksum", pattern.checksum(int(length))))

    async def slow(self, seconds: str) -> None:
        await self.digest()
        await asyncio.sleep(float(seconds))
        await self.send_json({"slept": float(seconds)})

    async def drip(self, count: str, seconds: str) -> None:
        await self.digest()
        await self.send_head("200")
        for number in range(int(count)):
            await self.send_body(b"line %d\n" % number, end=False)
            await asyncio.sleep(float(seconds))
        await self.send_body(b"")

    async def status(self, code: str) -> None:
        await self.digest()
        if code in ("204", "304"):
            await self.send_head(code, ("x-answer", "yes"), end=True)
        else:
            await self.send_head(code, ("x-answer", "yes"), ("content-length", "7"), end=self.is_head)
            if not self.is_head:
                await self.send_body(b"status\n")

    async def early(self) -> None:
        await self.digest()
        await self.send_head("103", ("link", "</style.css>; rel=preload"))
        await self.send_json({"early": True})

    async def cookies(self) -> None:
        await self.digest()
        await self.send_json({}, ("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2; Path=/"))

    async def trailers_only(self) -> None:
        """As gRPC servers tell an error: one HEADERS frame that is both head and end."""
        await self.digest()
        await self.send_head(
            "200", ("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "no such thing"), end=True)

    async def end_apart(self, code: str, *length: str) -> None:
        """No body, and its end in a DATA frame of its own, as servers do that find out late."""
        await self.digest()
        await self.send_head(code, ("x-answer", "yes"), *(("content-length", count) for count in length))
        await self.send_body(b"")

    async def refuse(self) -> None:
        """A whole answer before the body was read, which then is not wanted any more (RFC 9113, 8.1)."""
        await self.send_head("417", end=True)
        if self.connection.is_open(self.number):
            self.connection.h2.reset_stream(self.number, ErrorCodes.NO_ERROR)
            await self.connection.flush()

    async def never(self) -> None:
        """Neither reads nor answers."""
        await asyncio.Event().wait()

    async def reset(self, code: str) -> None:
        self.connection.h2.reset_stream(self.number, int(code))
        await self.connection.flush()

    async def reset_body(self, code: str) -> None:
        await self.digest()
        await self.send_head("200")
        await self.send_body(b"only this", end=False)
        await asyncio.sleep(0.2)
        await self.reset(code)

    async def refused(self, key: str, always: str = "") -> None:
        """Not processed, please try again: the first time, or each time."""
        if self.connection.application.is_first(f"refused {key}") or always:
            await self.reset(str(int(ErrorCodes.REFUSED_STREAM)))
        else:
            await self.report()

    async def goaway(self, kind: str, key: str) -> None:
        """`processed`: the goodbye counts this stream in. `unprocessed`: this one came too late, the first time."""
        if not self.connection.application.is_first(f"goaway {kind} {key}"):
            return await self.report()
        if kind == "unprocessed":
            return await self.connection.say_goodbye(self.number - 2)
        await self.connection.say_goodbye(self.number)
        await asyncio.sleep(0.2)
        await self.report()

    async def drop(self) -> None:
        """No answer, but a TCP reset."""
        await self.digest()
        stream = self.connection.writer.get_extra_info("socket")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.writer.transport.abort()

    async def garbage(self) -> None:
        await self.digest()
        self.connection.writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        self.connection.writer.close()

    async def malformed(self, kind: str) -> None:
        """Answers that RFC 9113, 8.1.1 and 8.2 forbid."""
        await self.digest()
        long = ("content-length", "100")
        heads = {
            "no-status": [("x-answer", "yes")],
            "upper-case": [(":status", "200"), ("X-Answer", "yes")],
            "line-break": [(":status", "200"), ("x-answer", "yes\r\nx-injected: yes")],
            "connection": [(":status", "200"), ("connection", "x-answer"), ("x-answer", "yes")],
            "request-field": [(":status", "200"), (":path", "/")],
            "short": [(":status", "200"), long],
            "empty": [(":status", "200"), long],
        }
        # Past h2, which would refuse some of these.
        block = self.connection.h2.encoder.encode(heads[kind])
        body = b"only this" if kind == "short" else b""
        end_stream, end_headers = 1, 4
        self.connection.writer.write(
            frame(1, end_headers | (end_stream if kind == "empty" else 0), self.number, block)
            + (b"" if kind == "empty" else frame(0, end_stream, self.number, body)))

    async def seen(self) -> None:
        await self.digest()
        application = self.connection.application
        await self.send_json({
            name: getattr(application, name) for name in ("targets", "resets", "goaways", "violations", "connections")})


class Connection:
    """One connection: frames to exchanges, and answers as the client's windows allow."""

    def __init__(self, application: Application, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.application, self.reader, self.writer = application, reader, writer
        application.connections += 1
        self.number = application.connections
        self.h2 = H2Connection(H2Configuration(
            client_side=False, header_encoding="latin-1", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.exchanges: dict[int, Exchange] = {}
        self.tasks: dict[int, asyncio.Task] = {}
        self.window_changed = asyncio.Event()

    async def serve(self) -> None:
        try:
            self.announce_limit()
            # One stream that is not read must not stop the others.
            self.h2.increment_flow_control_window(16 << 20)
            await self.flush()
            while data := await self.reader.read(262_144):
                for event in self.h2.receive_data(data):
                    self.happened(event)
                await self.flush()
        except ProtocolError as error:
            self.application.violations.append(f"connection {self.number}: {error!r}")
            await self.flush()
        except OSError:
            pass
        finally:
            for number, task in self.tasks.items():
                if not task.done():
                    self.application.resets.append((self.exchanges[number].target, -1))
                    task.cancel()
            self.writer.close()

    def announce_limit(self) -> None:
        """The client hears of it by SETTINGS; until then it is right to send more, which h2 alone would not forgive."""
        ordinary = self.h2.local_settings
        if limit := self.application.stream_limit:
            self.h2.local_settings = Settings(client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: limit})
        self.h2.initiate_connection()
        self.h2.local_settings = ordinary

    @property
    def is_full(self) -> bool:
        limit = self.application.stream_limit
        return limit is not None and sum(not task.done() for task in self.tasks.values()) >= limit

    def happened(self, event: object) -> None:
        match event:
            case RequestReceived() if self.is_full:
                self.h2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            case RequestReceived():
                exchange = Exchange(self, event.stream_id, list(event.headers))
                self.exchanges[event.stream_id] = exchange
                self.application.targets.append(exchange.target)
                del self.application.targets[:-2000]
                self.tasks[event.stream_id] = asyncio.create_task(self.run(exchange))
            case StreamReset():
                if exchange := self.exchanges.get(event.stream_id):
                    self.application.resets.append((exchange.target, int(event.error_code)))
                    self.tasks[event.stream_id].cancel()
            case DataReceived() | TrailersReceived() | StreamEnded():
                if exchange := self.exchanges.get(event.stream_id):
                    exchange.happened(event)
            case ConnectionTerminated():
                self.application.goaways.append((self.number, int(event.error_code)))
            case WindowUpdated() | RemoteSettingsChanged():
                self.window_changed.set()

    async def run(self, exchange: Exchange) -> None:
        try:
            await exchange.answer()
        except (ProtocolError, OSError):
            pass  # The stream or the connection went away meanwhile.

    def is_open(self, number: int) -> bool:
        stream = self.h2.streams.get(number)
        return stream is not None and not stream.closed

    async def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.writer.write(data)
            await self.writer.drain()

    async def window(self, number: int) -> int:
        """What may be sent now; waits until that is something."""
        while (room := min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)) <= 0:
            self.window_changed.clear()
            await self.window_changed.wait()
        return room

    async def send(self, number: int, content, end: bool) -> None:
        view = memoryview(content)
        while view:
            room = await self.window(number)
            piece, view = view[:room], view[room:]
            self.h2.send_data(number, bytes(piece), end_stream=end and not view)
            await self.flush()
        if not content and end:
            self.h2.end_stream(number)
            await self.flush()

    async def say_goodbye(self, last: int) -> None:
        """GOAWAY past h2, which would not let running streams go on."""
        self.writer.write(frame(GOAWAY, 0, 0, struct.pack("!II", last, ErrorCodes.NO_ERROR)))
        await self.writer.drain()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!IBI", len(payload) << 8 | kind, flags, stream) + payload


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--streams", type=int, help="the most at a time on one connection")
    options = parser.parse_args()
    if options.uid is not None:
        os.setgroups([])
        os.setgid(options.uid)
        os.setuid(options.uid)
    application = Application(options.streams)
    listener = socket.create_server(("::", options.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await Connection(application, reader, writer).serve()

    server = await asyncio.start_server(serve, sock=listener)
    print(json.dumps({"h2": listener.getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
