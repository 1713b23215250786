"""The kinds of load, in groups that `--rows` selects."""

from __future__ import annotations

from dataclasses import dataclass

FIXED_RATE = 1000
IN_FLIGHT = 64
STREAMS = 16


@dataclass(frozen=True)
class Scenario:
    """One kind of load; 64 requests are in flight at most, whatever the protocol."""

    group: str
    load: str
    path: str
    total_rate: float | None = None

    @property
    def title(self) -> str:
        return f"{GROUPS[self.group]}, {self.load}"

    @property
    def http2(self) -> bool:
        return self.group != "h1"

    @property
    def grpc(self) -> bool:
        return self.group == "grpc"

    @property
    def connections(self) -> int:
        return IN_FLIGHT // STREAMS if self.http2 else IN_FLIGHT


GROUPS = {"h1": "HTTP/1.1", "h2": "HTTP/2", "grpc": "gRPC unary"}

SMALL, LARGE = "/64", "/65536"
# nghttpd takes the content type from the extension.
UNARY = "/bench.Echo/Unary.grpc"

SCENARIOS = [
    Scenario("h1", "64 B, saturation", SMALL),
    Scenario("h1", "64 KiB, saturation", LARGE),
    Scenario("h1", f"64 B, {FIXED_RATE}/s", SMALL, FIXED_RATE),
    Scenario("h1", f"64 KiB, {FIXED_RATE}/s", LARGE, FIXED_RATE),
    Scenario("h2", "64 B, saturation", SMALL),
    Scenario("h2", "64 KiB, saturation", LARGE),
    Scenario("h2", f"64 B, {FIXED_RATE}/s", SMALL, FIXED_RATE),
    Scenario("grpc", "64 B, saturation", UNARY),
    Scenario("grpc", f"64 B, {FIXED_RATE}/s", UNARY, FIXED_RATE),
]
