"""How long one client's requests take while others do something else."""

from __future__ import annotations

import time
from collections.abc import Callable

from .wire import Connection


def percentile_99(client: Connection, goes_on: Callable[[], bool]) -> tuple[float, int]:
    """Of requests one after the other, in seconds, as long as `goes_on` says; and their number."""
    times: list[float] = []
    while goes_on():
        started = time.perf_counter()
        assert client.request("/status/200").status == 200
        times.append(time.perf_counter() - started)
    return sorted(times)[int(len(times) * 0.99)], len(times)
