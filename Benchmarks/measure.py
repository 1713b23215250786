"""What a process costs: CPU from the scheduler, memory from the page tables."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path


def process_tree(root: int) -> list[int]:
    """The process and all its descendants: nginx and haproxy may fork workers."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The command name may hold blanks and parentheses: the fields start after the last ")".
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(entry.name))
    tree, todo = [], [root]
    while todo:
        process = todo.pop()
        tree.append(process)
        todo.extend(children.get(process, []))
    return tree


def cpu_seconds(root: int) -> float:
    """CPU time, user and system, of all threads of a process tree.

    schedstat counts nanoseconds where /proc/PID/stat counts ticks of 10 ms; a thread that has
    ended is missing from it, which no contender does under steady load.
    """
    total = 0
    for process in process_tree(root):
        for task in Path(f"/proc/{process}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def pss_bytes(root: int) -> int:
    """Proportional memory of a process tree: pages shared with others count in part."""
    total = 0
    for process in process_tree(root):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def busy_cores(seconds: float = 0.5) -> float:
    """How many cores the machine uses now, before anything of ours runs."""

    def ticks() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    (total_before, idle_before), _, (total_after, idle_after) = ticks(), time.sleep(seconds), ticks()
    busy = 1 - (idle_after - idle_before) / max(1, total_after - total_before)
    return busy * (os.cpu_count() or 1)


@dataclass
class Sample:
    """What a contender did and cost in one round of a scenario."""

    requests: int
    seconds: float
    cpu: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_per_request(self) -> float:
        """Microseconds."""
        return self.cpu / self.requests * 1e6

    @property
    def cpu_share(self) -> float:
        """Percent of one core."""
        return self.cpu / self.seconds * 100

    def latency(self, percentile: float) -> float:
        """Milliseconds."""
        ordered = self.latencies
        return ordered[min(len(ordered) - 1, int(len(ordered) * percentile / 100))]


def median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")
