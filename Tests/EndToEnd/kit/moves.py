"""Cases of "this makes these metrics move": an action, and by how much each series is to grow through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .forward import ForwardProxy
from .process import wait_until
from .proxy import Identities, Proxy
from .upstream import Upstream

#: What a series must do: grow by exactly so much, or whatever is asked of the values before and after.
Growth = float | Callable[[float, float], bool]


@dataclass(frozen=True)
class Case:
    """An action, and by how much each of these series grows through it.

    The action is a generator. It yields the proxy when all is prepared: then the page is read the first time. What it does
    next is what counts. Gauges that fall again it shows by yielding once more, in the middle.
    """

    action: Callable[["Bench"], Iterator]
    expected: dict[str, Growth]

    def run(self, bench: "Bench") -> None:
        running = self.action(bench)
        proxy = next(running)
        before = series(proxy)
        try:
            next(running, None)
            wait_until(
                lambda: not self.missing(before, series(proxy)), Lazy(lambda: self.missing(before, series(proxy))), 8)
        finally:
            running.close()

    def missing(self, before: dict[str, float], after: dict[str, float]) -> list[str]:
        """What has not come to pass: of the named series, and of those beside them in their families, which must rest."""
        problems = []
        for name, growth in self.expected.items():
            was, now = before.get(name, 0), after.get(name, 0)
            if not (growth(was, now) if callable(growth) else now - was == growth):
                problems.append(f"{name}: {was} → {now}, expected {'more' if callable(growth) else growth}")
        families = {name.partition("{")[0] for name in self.expected}
        for name, now in after.items():
            if name.partition("{")[0] in families and name not in self.expected and now != before.get(name, 0):
                problems.append(f"{name}: {before.get(name, 0)} → {now}, expected to rest")
        return problems


class Lazy:
    """A text that is made when it is asked for."""

    def __init__(self, make: Callable[[], object]):
        self.make = make

    def __str__(self) -> str:
        return str(self.make())

    def __format__(self, _: str) -> str:
        return str(self)


class Cases(list[Case]):
    """The cases of one file. Their expectations are what the page is compared with, to see that none is missing."""

    def moves(self, expected: dict[str, Growth]) -> Callable:
        def register(action: Callable[["Bench"], Iterator]) -> Callable:
            self.append(Case(action, expected))
            return action

        return register

    def parametrize(self):
        return pytest.mark.parametrize("case", self, ids=lambda case: case.action.__name__)


@dataclass
class Bench:
    """What actions need."""

    start_proxy: Callable[..., Proxy]
    start_upstream: Callable[..., Upstream]
    identities: Identities
    directory: Path
    app: dict[str, int]
    get: Callable[[str], object]

    def proxy(self, **settings) -> Proxy:
        return self.start_proxy(**{"ENABLE_METRICS": "true", "WORKER_THREADS": "1"} | settings)

    def forward(self, **settings) -> ForwardProxy:
        return ForwardProxy(self.proxy, **settings)


def series(proxy) -> dict[str, float]:
    """Each series of the page as it is written there, histograms by their counts."""
    status, text = proxy.monitor("/metrics")
    assert status == 200, (status, text)
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in rows if "_bucket{" not in name and not is_sum(name)}


def is_sum(name: str) -> bool:
    return name.partition("{")[0].endswith("_seconds_sum")
