"""Prints what TCP carried between two addresses, as this network namespace sees it, until standard input ends.

    nsenter -t PID -n python3 wire_capture.py ADDRESS ADDRESS

First a line `recording`, at the end one JSON object: each direction of each connection with its bytes in hexadecimal.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Tests/EndToEnd"))
from kit.capture import ETH_P_ALL, SO_RCVBUFFORCE, Capture  # noqa: E402


class NodeCapture(Capture):
    """All interfaces of the namespace that this process is in; a packet that crosses several counts once."""

    def __init__(self) -> None:
        super().__init__(namespace="", interface="")

    def __enter__(self) -> "NodeCapture":
        self.socket = self.open()
        self.thread = threading.Thread(target=self.record)
        self.thread.start()
        return self

    def open(self) -> socket.socket:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        raw.setblocking(False)
        return raw


def main(addresses: set[str]) -> None:
    with NodeCapture() as capture:
        print("recording", flush=True)
        sys.stdin.read()
    found = {
        f"{flow.source}:{flow.source_port} → {flow.destination}:{flow.destination_port}": content.hex()
        for flow, content in capture.contents().items() if {flow.source, flow.destination} == addresses}
    print(json.dumps(found))


if __name__ == "__main__":
    main(set(sys.argv[1:]))
