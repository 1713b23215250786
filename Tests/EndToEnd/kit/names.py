"""A name server of one pod: answers from a table that the test may change, and remembers what it was asked."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from pathlib import Path

from .namespace import inside

A, AAAA, NO_SUCH_NAME = 1, 28, 3


class NameServer:
    """On 127.0.0.1:53 of a network namespace. A name whose addresses are None gets no answer at all."""

    def __init__(self, namespace: str, addresses: dict[str, list[str] | None]):
        self.addresses = addresses
        self.questions: list[tuple[str, int]] = []
        self.socket = inside(namespace, self.open)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    @staticmethod
    def open() -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("127.0.0.1", 53))
        return listener

    @staticmethod
    def resolv_conf(directory: Path) -> Path:
        path = directory / "resolv.conf"
        path.write_text("nameserver 127.0.0.1\n")
        path.chmod(0o644)
        return path

    def asked(self, name: str) -> int:
        """How often for its IPv4 addresses."""
        return self.questions.count((name, A))

    def serve(self) -> None:
        while True:
            query, client = self.socket.recvfrom(4096)
            if len(query) < 12:
                return
            if answer := self.answer(query):
                self.socket.sendto(answer, client)

    def answer(self, query: bytes) -> bytes | None:
        """RFC 1035, section 4: one question, its name written without compression."""
        labels, position = [], 12
        while length := query[position]:
            labels.append(query[position + 1:position + 1 + length].decode())
            position += 1 + length
        end = position + 5
        name, kind = ".".join(labels).lower(), struct.unpack_from("!H", query, position + 1)[0]
        self.questions.append((name, kind))
        known = self.addresses.get(name, [])
        if known is None:
            return None
        packed = [ipaddress.ip_address(address).packed for address in known]
        packed = [address for address in packed if len(address) == (4 if kind == A else 16)]
        code = 0 if name in self.addresses else NO_SUCH_NAME
        head = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(packed), 0, 0)
        records = (struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(address)) + address for address in packed)
        return head + query[12:end] + b"".join(records)

    def stop(self) -> None:
        # A datagram too short to be a question ends the thread.
        self.socket.sendto(b"end", ("127.0.0.1", 53))
        self.thread.join()
        self.socket.close()
