#!/usr/bin/env python3
"""A gRPC server with every kind of call; messages are plain bytes, so no generated code is needed.

    grpcapp.py PORT [--uid N]

Port 0 takes a free one. Prints one JSON line with the port.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

SERVICE = "test.Calls"
DETAILS = b"\x08\x05\x12\x07details\x00\xff"
MESSAGE = "not found: naïve ☃, 100 %\nsecond line"
STREAMED = 8
MEGABYTE = 1 << 20


class Calls:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.cancelled: list[str] = []

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """The same bytes, and the metadata that came with them."""
        sent = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-test")]
        context.send_initial_metadata((("x-initial", "first"), *sent))
        context.set_trailing_metadata((("x-trailing", "last"), ("x-bytes-bin", b"\x00\xff")))
        return request

    def client_stream(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        digest, count = hashlib.sha256(), 0
        for message in requests:
            digest.update(message)
            count += 1
        return json.dumps({"count": count, "sha256": digest.hexdigest()}).encode()

    def server_stream(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for index in range(STREAMED):
            yield bytes([index]) * MEGABYTE

    def bidirectional(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests

    def fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("grpc-status-details-bin", DETAILS),))
        context.abort(grpc.StatusCode.NOT_FOUND, MESSAGE)

    def fail_late(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """After an answer has begun."""
        yield b"one"
        context.set_trailing_metadata((("grpc-status-details-bin", DETAILS),))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, MESSAGE)

    def hang(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Says how much time it has, then nothing until the client gives up."""
        ended = threading.Event()

        def given_up() -> None:
            with self.lock:
                self.cancelled.append(request.decode())
            ended.set()

        # Of a call that is given up quickly, what follows the `yield` is never run.
        context.add_callback(given_up)
        yield str(context.time_remaining()).encode()
        ended.wait(20)

    def seen_cancelled(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Waits a little for the call of this name to be given up."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with self.lock:
                if request.decode() in self.cancelled:
                    return b"yes"
            time.sleep(0.02)
        return b"no"

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        kinds: dict[str, Callable[..., grpc.RpcMethodHandler]] = {
            "unary": grpc.unary_unary_rpc_method_handler, "client_stream": grpc.stream_unary_rpc_method_handler,
            "server_stream": grpc.unary_stream_rpc_method_handler, "bidirectional": grpc.stream_stream_rpc_method_handler,
            "fail": grpc.unary_unary_rpc_method_handler, "fail_late": grpc.unary_stream_rpc_method_handler,
            "hang": grpc.unary_stream_rpc_method_handler, "seen_cancelled": grpc.unary_unary_rpc_method_handler,
        }
        return {name: kind(getattr(self, name)) for name, kind in kinds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--uid", type=int)
    options = parser.parse_args()
    if options.uid is not None:
        os.setgroups([])
        os.setgid(options.uid)
        os.setuid(options.uid)
    server = grpc.server(ThreadPoolExecutor(max_workers=32))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, Calls().handlers()),))
    port = server.add_insecure_port(f"[::]:{options.port}")
    server.start()
    print(json.dumps({"grpc": port}), flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
