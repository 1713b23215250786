#!/usr/bin/env python3
"""Makes every kind of gRPC call once and prints, as one JSON line, what came of each.

    grpccalls.py TARGET [--ca FILE --pair DIRECTORY] [--only NAME]

A process of its own, so that it can be an application in a pod.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from grpcapp import MEGABYTE, SERVICE, STREAMED  # noqa: E402

SECONDS = 15


def content(index: int) -> bytes:
    return bytes([index]) * MEGABYTE


class Caller:
    def __init__(self, channel: grpc.Channel):
        self.channel = channel

    def method(self, kind: str, name: str):
        return getattr(self.channel, kind)(f"/{SERVICE}/{name}")

    # Each answers what a test may compare.

    def unary(self) -> dict:
        answer, call = self.method("unary_unary", "unary").with_call(
            content(7), timeout=SECONDS, metadata=(("x-test", "kept"), ("x-test-bin", b"\x00\x01\xfe")))
        return {
            "same": answer == content(7), "code": call.code().name,
            "initial": readable(call.initial_metadata()), "trailing": readable(call.trailing_metadata())}

    def empty(self) -> dict:
        return {"length": len(self.method("unary_unary", "unary")(b"", timeout=SECONDS))}

    def client_stream(self) -> dict:
        requests = (content(index) for index in range(STREAMED))
        return json.loads(self.method("stream_unary", "client_stream")(requests, timeout=SECONDS))

    def server_stream(self) -> dict:
        return summary(self.method("unary_stream", "server_stream")(b"", timeout=SECONDS))

    def bidirectional(self) -> dict:
        """Each message is sent when the one before came back: nobody may wait for the end of a side."""
        turn = threading.Semaphore(1)

        def requests():
            for index in range(STREAMED):
                turn.acquire()
                yield content(index)

        def answers():
            for message in self.method("stream_stream", "bidirectional")(requests(), timeout=SECONDS):
                turn.release()
                yield message

        return summary(answers())

    def many(self) -> dict:
        calls = [self.method("unary_unary", "unary").future(b"%d" % index, timeout=SECONDS) for index in range(300)]
        return {"same": all(call.result() == b"%d" % index for index, call in enumerate(calls))}

    def fail(self) -> dict:
        return failure(lambda: self.method("unary_unary", "fail")(b"", timeout=SECONDS))

    def fail_late(self) -> dict:
        received: list[bytes] = []

        def read() -> None:
            for message in self.method("unary_stream", "fail_late")(b"", timeout=SECONDS):
                received.append(message)

        return failure(read) | {"received": [message.decode() for message in received]}

    def unknown(self) -> dict:
        return failure(lambda: self.method("unary_unary", "no_such_method")(b"", timeout=SECONDS))

    def cancel(self) -> dict:
        name = f"cancel {time.monotonic_ns()}"
        call = self.method("unary_stream", "hang")(name.encode(), timeout=SECONDS)
        next(call)
        call.cancel()
        return {"code": call.code().name, "server heard": self.heard(name)}

    def deadline(self) -> dict:
        name = f"deadline {time.monotonic_ns()}"
        remaining: list[float] = []

        def wait() -> None:
            for message in self.method("unary_stream", "hang")(name.encode(), timeout=1):
                remaining.append(float(message))

        return failure(wait) | {"server knew": bool(remaining) and remaining[0] < 2, "server heard": self.heard(name)}

    def heard(self, name: str) -> bool:
        return self.method("unary_unary", "seen_cancelled")(name.encode(), timeout=SECONDS) == b"yes"


def readable(metadata) -> dict[str, str]:
    return {key: value if isinstance(value, str) else value.hex() for key, value in metadata}


def summary(messages) -> dict:
    digest, count = hashlib.sha256(), 0
    for message in messages:
        digest.update(message)
        count += 1
    return {"count": count, "sha256": digest.hexdigest()}


def failure(work: Callable[[], object]) -> dict:
    try:
        work()
    except grpc.RpcError as error:
        return {"code": error.code().name, "message": error.details(), "trailing": readable(error.trailing_metadata())}
    return {"code": "OK"}


NAMES = [name for name in vars(Caller) if not name.startswith("_") and name not in ("method", "heard")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--pair", type=Path)
    parser.add_argument("--only")
    options = parser.parse_args()
    if options.ca:
        credentials = grpc.ssl_channel_credentials(
            options.ca.read_bytes(), (options.pair / "tls.key").read_bytes(), (options.pair / "tls.crt").read_bytes())
        channel = grpc.secure_channel(options.target, credentials)
    else:
        channel = grpc.insecure_channel(options.target)
    caller, outcomes = Caller(channel), {}
    for name in [options.only] if options.only else NAMES:
        try:
            outcomes[name] = getattr(caller, name)()
        except grpc.RpcError as error:
            outcomes[name] = {"error": error.code().name, "message": error.details()}
    print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    main()
