"""Fixtures. A test that cannot run here is skipped with the reason, never passed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.monitor import metrics
from kit.moves import Bench
from kit.process import Process, wait_until
from kit.proxy import Identities, Proxy, shared_binary
from kit.transparent import PodPair
from kit.upstream import Upstream

KIT = Path(__file__).parent / "kit"


def pytest_configure() -> None:
    # A terminated run tears down as an interrupted one does: no namespace or process stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory that every user of the test may read; pytest's own are closed to all but its owner."""
    directory = Path(tempfile.mkdtemp(prefix="sidecar-e2e-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def directory(scratch: Path) -> Iterator[Path]:
    """A fresh directory of one test."""
    fresh = Path(tempfile.mkdtemp(dir=scratch))
    fresh.chmod(0o755)
    yield fresh


@pytest.fixture(scope="session")
def binary(scratch: Path) -> Path:
    copy = shared_binary(scratch)
    if copy is None:
        pytest.skip("no sidecar binary: runs where SIDECAR_BIN is set, as `make test` does, or after `swift build -c release`")
    return copy


@pytest.fixture(scope="session")
def identities(scratch: Path) -> Identities:
    return Identities(scratch / "identities")


@pytest.fixture(scope="session")
def app(scratch: Path) -> Iterator[dict[str, int]]:
    """The applications on loopback: name → port."""
    process = Process(
        [sys.executable, str(KIT / "app.py"), "--http", "0", "--echo", "0", "--banner", "0", "--eof", "0"],
        scratch / "app")
    try:
        yield json.loads(process.wait_for_line("http"))
    finally:
        process.stop()


@pytest.fixture(scope="session")
def h2app(scratch: Path) -> Iterator[int]:
    """The port of the application on loopback that speaks HTTP/2 only."""
    process = Process([sys.executable, str(KIT / "h2app.py"), "0"], scratch / "h2app")
    try:
        yield json.loads(process.wait_for_line("h2"))["h2"]
    finally:
        process.stop()


@pytest.fixture
def start_proxy(
    binary: Path, identities: Identities, app: dict[str, int], directory: Path,
) -> Iterator[Callable[..., Proxy]]:
    """Starts proxies with settings of the test's own; ends them all afterwards."""
    started: list[Proxy] = []

    def start(*, upstream_port: int | None = None, wait: bool = True, **settings: str) -> Proxy:
        proxy = Proxy(binary, identities, directory, upstream_port or app["http"], **settings)
        started.append(proxy)
        return proxy.wait_ready() if wait else proxy

    yield start
    for proxy in started:
        proxy.stop()


@pytest.fixture
def start_upstream() -> Iterator[Callable[..., Upstream]]:
    """Starts servers that run a function for each connection; stops their listening afterwards."""
    started: list[Upstream] = []

    def start(serve: Callable[[socket.socket], object]) -> Upstream:
        started.append(Upstream(serve))
        return started[-1]

    yield start
    for upstream in started:
        upstream.close()


@pytest.fixture
def bench(start_proxy, start_upstream, identities, directory, app, request) -> Bench:
    """What makes metrics move."""
    return Bench(start_proxy, start_upstream, identities, directory, app, request.getfixturevalue)


@pytest.fixture(scope="session")
def proxy(binary: Path, identities: Identities, app: dict[str, int], scratch: Path) -> Iterator[Proxy]:
    """One proxy with default settings that many tests share; it must survive all of them."""
    shared = Proxy(
        binary, identities, scratch, app["http"],
        INJECT_CLIENT_HEADERS="tls-info,cn,subject,xfcc,client-cert", HEADER_TIMEOUT_SECS="2", ENABLE_METRICS="true")
    try:
        yield shared.wait_ready()
        assert shared.process.is_running, f"the shared proxy died:\n{shared.process.output_tail()}"
        assert_all_requests_ended(shared)
    finally:
        shared.stop()


@pytest.fixture(scope="session")
def proxies(proxy: Proxy, h2app: int, binary: Path, identities: Identities, scratch: Path) -> Iterator[dict[str, Proxy]]:
    """The shared proxy by the version that its application speaks; the one for HTTP/2 must survive all tests too."""
    shared = Proxy(
        binary, identities, scratch, h2app, UPSTREAM_URL=f"h2c://127.0.0.1:{h2app}",
        INJECT_CLIENT_HEADERS="tls-info,cn,subject,xfcc,client-cert", ENABLE_METRICS="true")
    try:
        yield {"http1": proxy, "h2": shared.wait_ready()}
        assert shared.process.is_running, f"the shared proxy died:\n{shared.process.output_tail()}"
        assert_all_requests_ended(shared)
    finally:
        shared.stop()


def assert_all_requests_ended(proxy: Proxy) -> None:
    """Whatever the tests did to it, the proxy has told of each request how it ended."""
    wait_until(
        lambda: metrics(proxy).value("sidecar_requests_in_flight") == 0, "no request is left in flight", seconds=30)


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("network namespaces: runs as root (`make test` as root on Linux, as CI does)")


@pytest.fixture(scope="session")
def pods(binary: Path, scratch: Path) -> Iterator[PodPair]:
    """Two pods with default settings that many tests share; their sidecars must survive all of them."""
    needs_root()
    pair = PodPair(scratch, binary)
    try:
        pair.start(pair.a, INJECT_CLIENT_HEADERS="true")
        pair.start(pair.b, INJECT_CLIENT_HEADERS="true")
        yield pair
        for pod in (pair.a, pair.b):
            assert pod.sidecar and pod.sidecar.is_running, f"a shared sidecar died:\n{pod.sidecar.output_tail()}"
    finally:
        pair.remove()


@pytest.fixture
def fresh_pods(binary: Path, directory: Path) -> Iterator[PodPair]:
    """Pods of one test's own, nothing started yet."""
    needs_root()
    pair = PodPair(directory, binary)
    try:
        yield pair
    finally:
        pair.remove()
