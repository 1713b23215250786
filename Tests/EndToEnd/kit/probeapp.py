#!/usr/bin/env python3
"""An application with one health check of each kind, and a way to make each of them fail.

    probeapp.py --http PORT --https PORT --tcp PORT --grpc PORT --control PORT --certificate FILE --key FILE [--uid N]

Prints one JSON line when all of them listen. `PUT /<kind>/<state>` on the control port changes what a check says from
then on: a status for http and https, perhaps with `=` and a Location, `hang`, `large`, for grpc
a status' number; `closed` closes the port, `open` opens it again.
`GET /seen` tells the requests that the HTTP checks have seen, with their fields and the peer's address.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

HANG_SECONDS = 12


class Check:
    """A port with a state; `serve` handles one connection while the state is not `closed`."""

    def __init__(self, port: int, host: str):
        self.port, self.host, self.state = port, host, "open"
        self.seen: list[dict] = []
        self.listener: socket.socket | None = None

    def change(self, state: str) -> None:
        self.state = state
        if state == "closed":
            self.close()
        elif self.listener is None:
            self.open()

    def open(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((self.host, self.port))
        listener.listen(128)
        self.listener = listener
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        listener, self.listener = self.listener, None
        if listener:
            # A thread in accept() holds the socket open: this wakes it.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                stream, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.guarded, args=(stream, peer), daemon=True).start()

    def guarded(self, stream: socket.socket, peer: tuple) -> None:
        try:
            self.serve(stream, peer)
        except OSError:
            pass
        finally:
            stream.close()

    def serve(self, stream: socket.socket, peer: tuple) -> None:
        self.seen.append({"peer": peer[0].removeprefix("::ffff:")})


class HTTPCheck(Check):
    def __init__(self, port: int, host: str, context: ssl.SSLContext | None = None):
        super().__init__(port, host)
        self.context, self.state = context, "200"

    def change(self, state: str) -> None:
        super().change("200" if state == "open" else state)

    def serve(self, stream: socket.socket, peer: tuple) -> None:
        if self.context:
            stream = self.context.wrap_socket(stream, server_side=True)
        data = b""
        while b"\r\n\r\n" not in data:
            piece = stream.recv(65_536)
            if not piece:
                return
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        self.seen.append({
            "line": line, "fields": [field.split(": ", 1) for field in fields], "rest": rest.decode("latin-1"),
            "peer": peer[0].removeprefix("::ffff:"),
        })
        if self.state == "hang":
            time.sleep(HANG_SECONDS)
            return
        if self.state == "large":
            stream.sendall(b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n")
            return
        if self.state == "nonsense":
            stream.sendall(b"220 mail.example ESMTP\r\n\r\n")
            return
        # `302=/there` redirects, and fails at `/there` itself.
        status, _, location = self.state.partition("=")
        if location and line.split(" ")[1] == "/" + location.split("/")[-1]:
            status, location = "500", ""
        location = f"Location: {location}\r\n" if location else ""
        stream.sendall(
            f"HTTP/1.1 {status} Answer\r\n{location}Content-Length: 7\r\nConnection: close\r\n\r\nhealth\n".encode())


class GRPCCheck(Check):
    """grpc.health.v1.Health for the service `db` and for the server as a whole."""

    def __init__(self, port: int, host: str):
        super().__init__(port, host)
        self.state = "1"
        self.server: grpc.Server | None = None

    def open(self) -> None:
        server = grpc.server(ThreadPoolExecutor(max_workers=16))
        handler = grpc.unary_unary_rpc_method_handler(self.check)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),))
        host = f"[{self.host}]" if ":" in self.host else self.host
        server.add_insecure_port(f"{host}:{self.port}")
        server.start()
        self.server = server

    def change(self, state: str) -> None:
        self.state = "1" if state == "open" else state
        if state == "closed" and self.server:
            self.server.stop(0).wait()
            self.server = None
        elif state != "closed" and self.server is None:
            self.open()

    def check(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.seen.append({"request": request.hex(), "metadata": [list(item) for item in context.invocation_metadata()]})
        if request not in (b"", b"\x0a\x02db"):
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        if self.state == "hang":
            time.sleep(HANG_SECONDS)
        if self.state == "large":
            return b"\x08\x01\x12\xd0\x0f" + b"x" * 2_000
        return bytes([8, int(self.state)]) if self.state.isdigit() else b""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("http", "https", "tcp", "grpc", "control"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--host", default="::", help="the address that the checks listen on")
    parser.add_argument("--uid", type=int)
    options = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    "localhost".encode("idna")  # Python itself may lie where only root can read: what is loaded late, now
    if options.uid is not None:
        os.setgroups([])
        os.setgid(options.uid)
        os.setuid(options.uid)
    checks: dict[str, Check] = {
        "http": HTTPCheck(options.http, options.host), "https": HTTPCheck(options.https, options.host, context),
        "tcp": Check(options.tcp, options.host), "grpc": GRPCCheck(options.grpc, options.host),
    }
    for check in checks.values():
        check.open()

    class Control(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            kind, state = self.path[1:].split("/", 1)
            checks[kind].change(state)
            self.answer({})

        def do_GET(self) -> None:
            self.answer({kind: check.seen for kind, check in checks.items()})

        def answer(self, value: object) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    control = ThreadingHTTPServer(("127.0.0.1", options.control), Control)
    print(json.dumps({kind: check.port for kind, check in checks.items()}), flush=True)
    control.serve_forever()


if __name__ == "__main__":
    main()
