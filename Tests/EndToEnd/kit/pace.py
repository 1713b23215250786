"""How long one client's requests take while others do something else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .wire import Connection


@dataclass
class Pace:
    percentile_99: float  # seconds
    per_second: float

    def __str__(self) -> str:
        return f"{self.percentile_99 * 1000:.2f} ms, {self.per_second:.0f} a second"


def measure(client: Connection, goes_on: Callable[[], bool]) -> Pace:
    """Of requests one after the other, as long as `goes_on` says."""
    times: list[float] = []
    begin = time.perf_counter()
    while goes_on():
        started = time.perf_counter()
        assert client.request("/status/200").status == 200
        times.append(time.perf_counter() - started)
    return Pace(sorted(times)[int(len(times) * 0.99)], len(times) / (time.perf_counter() - begin))


def measure_for(client: Connection, seconds: float) -> Pace:
    end = time.perf_counter() + seconds
    return measure(client, lambda: time.perf_counter() < end)
