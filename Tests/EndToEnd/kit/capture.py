"""What really goes over the wire: every TCP payload byte that passes one interface."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from .namespace import inside

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_STATISTICS = 6
SO_RCVBUFFORCE = 33
CLIENT_HELLO = 1
HANDSHAKE = 22


@dataclass(frozen=True)
class Flow:
    """One direction of one TCP connection."""

    source: str
    source_port: int
    destination: str
    destination_port: int


@dataclass
class Stream:
    """The payload of a flow by sequence number; retransmitted bytes fall onto themselves."""

    segments: dict[int, bytes] = field(default_factory=dict)

    def add(self, sequence: int, payload: bytes) -> None:
        if len(payload) > len(self.segments.get(sequence, b"")):
            self.segments[sequence] = payload

    @property
    def content(self) -> bytes:
        """The bytes in order from the first one seen; stops at a gap. Flows that wrap 2^32 are out of scope."""
        content, position = bytearray(), None
        for sequence in sorted(self.segments):
            payload = self.segments[sequence]
            if position is None:
                position = sequence
            if sequence > position:
                break
            content += payload[position - sequence:]
            position = max(position, sequence + len(payload))
        return bytes(content)


class Capture:
    """Records an interface of a namespace from entering the block until leaving it."""

    def __init__(self, namespace: str, interface: str):
        self.namespace, self.interface = namespace, interface
        self.streams: dict[Flow, Stream] = {}
        self.dropped = 0
        self.stopping = threading.Event()

    def __enter__(self) -> "Capture":
        self.socket = inside(self.namespace, self.open)
        self.thread = threading.Thread(target=self.record)
        self.thread.start()
        return self

    def open(self) -> socket.socket:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        try:
            raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 128 << 20)
        except PermissionError:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        raw.bind((self.interface, ETH_P_ALL))
        raw.setblocking(False)
        return raw

    def __exit__(self, *_: object) -> None:
        time.sleep(0.1)  # What was sent just before is still on its way to the socket.
        self.stopping.set()
        self.thread.join()
        statistics = self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        self.dropped = struct.unpack("II", statistics)[1]
        self.socket.close()

    def record(self) -> None:
        while True:
            readable, _, _ = select.select([self.socket], [], [], 0.1)
            if not readable:
                if self.stopping.is_set():
                    return
                continue
            try:
                self.frame(self.socket.recv(1 << 17))
            except BlockingIOError:
                continue

    def frame(self, frame: bytes) -> None:
        """Ethernet, IPv4 or IPv6 without extension headers, TCP."""
        kind = frame[12:14]
        if kind == b"\x08\x00" and frame[23] == socket.IPPROTO_TCP:
            start = 14 + (frame[14] & 0x0F) * 4
            end = 14 + int.from_bytes(frame[16:18], "big")
            source, destination = (socket.inet_ntop(socket.AF_INET, frame[at:at + 4]) for at in (26, 30))
        elif kind == b"\x86\xdd" and frame[20] == socket.IPPROTO_TCP:
            start = 54
            end = start + int.from_bytes(frame[18:20], "big")
            source, destination = (socket.inet_ntop(socket.AF_INET6, frame[at:at + 16]) for at in (22, 38))
        else:
            return
        source_port, destination_port, sequence = struct.unpack_from("!HHI", frame, start)
        payload = frame[start + (frame[start + 12] >> 4) * 4:end]
        if payload:
            flow = Flow(source, source_port, destination, destination_port)
            self.streams.setdefault(flow, Stream()).add(sequence, payload)

    # Questions

    def contents(self) -> dict[Flow, bytes]:
        assert self.dropped == 0, f"the capture missed {self.dropped} packets"
        return {flow: stream.content for flow, stream in self.streams.items()}

    def holds(self, marker: bytes) -> bool:
        """Whether the marker crossed the wire in any segment or over a segment boundary."""
        return any(
            marker in content or any(marker in segment for segment in self.streams[flow].segments.values())
            for flow, content in self.contents().items())

    def client_hellos(self) -> int:
        """The number of TLS handshakes that were begun."""
        return sum(
            1 for content in self.contents().values()
            if len(content) > 5 and content[0] == HANDSHAKE and content[5] == CLIENT_HELLO)


def not_tls(content: bytes) -> str | None:
    """What is wrong with the bytes as a row of TLS records (RFC 8446, 5.1); the last one may be cut."""
    position = 0
    while len(content) - position >= 5:
        kind, version, length = struct.unpack_from("!BHH", content, position)
        if not 20 <= kind <= 23 or not 0x0301 <= version <= 0x0303 or length > 16_384 + 256:
            return f"no TLS record at byte {position}: {content[position:position + 40]!r}"
        position += 5 + length
    return None


def assert_only_tls(capture: Capture, marker: bytes) -> None:
    """Something crossed the wire, all of it was TLS records, and the marker was never readable."""
    contents = capture.contents()
    assert contents, "no TCP payload crossed the wire"
    for flow, content in contents.items():
        assert (problem := not_tls(content)) is None, f"{flow}: {problem}"
    assert not capture.holds(marker), f"{marker!r} crossed the wire in plain text"
