"""A hundred rotations under load: no request fails, every new handshake shows the newest leaf, memory stays flat."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit.load import Background, Load, client_shim
from kit.pki import Authority, Pair
from kit.process import Process, wait_until
from kit.proxy import Proxy, free_port
from kit.reload import log_lines, shown_serial
from kit.volume import Volume, pair_files
from kit.wire import connect_plain

ROTATIONS = 100
#: One rotation in so many seconds at most; kubelets take a minute.
PACE = 0.2
#: Successes a second that the load must come to, and what is offered by each protocol: rounds of load begin and end.
RATE = 2_000
OFFERED = 1_150
#: Memory is looked at every so many rotations. The heap has found its size after so many; what a rotation leaves behind
#: after that is less than a tenth of what one TLS context holds.
SAMPLE, WARM_UP, MOST_GROWTH = 20, 40, 512 << 10


class Fleet:
    """Sidecars that share their certificates: `far` serves, `near` is the forward proxy of its clients.

    `witness` serves too, and its application tells whom it was called by: the leaf that `near` shows.
    """

    def __init__(self, start_proxy, directory: Path, canned_port: int, echo_port: int):
        self.authorities = (Authority("First CA"), Authority("Second CA"))
        (trust := directory / "trust").mkdir()
        trust.chmod(0o755)
        self.bundle = trust / "ca.crt"
        self.bundle.write_bytes(b"".join(authority.pem for authority in self.authorities))
        self.bundle.chmod(0o644)
        self.caller = self.authorities[0].client("caller").write(directory / "caller")
        self.server_volume = Volume(directory / "server", pair_files(self.leaf(0)))
        self.client_volume = Volume(directory / "client", pair_files(self.authorities[0].client("near-0")))
        self.forward_port = free_port()
        settings = {
            "CA_DIR": str(trust), "SERVER_CERT_DIR": str(self.server_volume.path),
            "CLIENT_CERT_DIR": str(self.client_volume.path), "ACCESS_LOG": "errors", "WORKER_THREADS": "2"}
        self.far: Proxy = start_proxy(upstream_port=canned_port, **settings)
        self.witness: Proxy = start_proxy(upstream_port=echo_port, INJECT_CLIENT_HEADERS="cn", **settings)
        self.near: Proxy = start_proxy(OUTBOUND_PROXY_PORT=str(self.forward_port), **settings)
        self.proxies = (self.far, self.witness, self.near)
        #: When each leaf came: just before its swap.
        self.swaps: list[float] = [time.monotonic()]

    def leaf(self, number: int) -> Pair:
        """Its serial number says which it is."""
        return self.authorities[number % 2].server(f"server-{number}", serial=1_000_000 + number)

    def rotate(self, number: int) -> None:
        """Both leaves, by the authority whose turn it is."""
        server, client = self.leaf(number), self.authorities[number % 2].client(f"near-{number}")
        self.swaps.append(time.monotonic())
        self.server_volume.swap(pair_files(server))
        self.client_volume.swap(pair_files(client))

    def shown_by_far(self) -> int:
        return shown_serial(self.far, self.caller, self.bundle) - 1_000_000

    def shown_by_near(self) -> int:
        """As the application behind `witness` sees it: it echoes the fields of a request over a connection of now."""
        authority = f"localhost:{self.witness.port}"
        with connect_plain(("127.0.0.1", self.forward_port)) as connection:
            answer = connection.request(f"http://{authority}/echo", host=authority)
            assert answer.status == 200, answer
        found = re.search(rb"near-(\d+)", answer.body)
        assert found, answer.body
        return int(found[1])


@dataclass
class Sight:
    """Which leaf was shown to a handshake or a request that began then."""

    began: float
    number: int

    def staleness(self, swaps: list[float]) -> float:
        """How long before it began the leaf had been replaced; 0 for the newest."""
        return max(0.0, self.began - swaps[self.number + 1]) if self.number + 1 < len(swaps) else 0.0


class Prober(Background):
    """Looks again and again which leaf is shown."""

    def __init__(self, look: Callable[[], int]):
        super().__init__(pause=0.03)
        self.look = look
        self.sights: list[Sight] = []
        self.thread.start()

    def work(self) -> None:
        while self.goes_on():
            began = time.monotonic()
            self.sights.append(Sight(began, self.look()))

    def has_seen(self, number: int) -> bool:
        return bool(self.faults) or any(sight.number >= number for sight in self.sights[-3:])


class ForwardLoad(Background):
    """HTTP/1.1 requests through the forward proxy, so that its pools change certificates under load."""

    def __init__(self, fleet: Fleet, rate: int):
        super().__init__(pause=1 / rate)
        self.fleet = fleet
        self.thread.start()

    def work(self) -> None:
        authority = f"localhost:{self.fleet.far.port}"
        with connect_plain(("127.0.0.1", self.fleet.forward_port)) as connection:
            while self.goes_on():
                self.count(connection.request(f"http://{authority}/", host=authority))


@pytest.fixture
def canned(directory: Path) -> Iterator[int]:
    process = Process([sys.executable, str(Path(__file__).parent / "kit/cannedapp.py"), "0"], directory / "canned")
    yield json.loads(process.wait_for_line("http"))["http"]
    process.stop()


def taken(proxy: Proxy, field: str) -> int:
    """How many reloads have replaced a pair. (A look between the two swaps of a rotation makes two reloads of one.)"""
    return sum(field in line for line in log_lines(proxy, "certificates reloaded"))


@pytest.mark.slow
def test_a_hundred_rotations_under_load(start_proxy, directory, app, canned):
    shim = client_shim(directory)
    fleet = Fleet(start_proxy, directory, canned, app["http"])
    url = f"https://localhost:{fleet.far.port}/"
    http1 = Load(shim, url, fleet.caller, clients=8, rate=OFFERED, options=("--h1",))
    http2 = Load(shim, url, fleet.caller, clients=4, rate=OFFERED, options=("--npn-list=h2", "-m", "10"))
    # In the clear to the forward proxy, whose own connections are mutual TLS.
    forward2 = Load(
        shim, f"http://localhost:{fleet.far.port}/", fleet.caller, clients=2, rate=100,
        options=(f"--connect-to=127.0.0.1:{fleet.forward_port}", "-m", "10"))
    forward1 = ForwardLoad(fleet, rate=100)
    # The kernel spreads connections over the workers by the client's port, so both are asked.
    probers = [Prober(fleet.shown_by_far), Prober(fleet.shown_by_far), Prober(fleet.shown_by_near)]
    memory: list[list[int]] = []
    low = [sys.maxsize] * len(fleet.proxies)
    try:
        time.sleep(1)
        for number in range(1, ROTATIONS + 1):
            fleet.rotate(number)
            # Else two swaps might be one look, which is all that a burst of changes gets.
            wait_until(
                lambda: all(prober.has_seen(number) for prober in probers), f"rotation {number} is seen everywhere", 5)
            time.sleep(max(0.0, fleet.swaps[-1] + PACE - time.monotonic()))
            # The least of each sample: rounds of load begin and end.
            low = [min(least, proxy.process.rss_bytes()) for least, proxy in zip(low, fleet.proxies)]
            if number % SAMPLE == 0:
                memory.append(low)
                low = [sys.maxsize] * len(fleet.proxies)
    finally:
        for part in (*probers, http1, http2, forward1, forward2):
            part.stop()

    seconds = fleet.swaps[-1] - fleet.swaps[1]
    sights = [sight for prober in probers for sight in prober.sights]
    stalest = max(sight.staleness(fleet.swaps) for sight in sights)
    growth = [last - first for first, last in zip(memory[WARM_UP // SAMPLE - 1], memory[-1])]
    print(
        f"{ROTATIONS} rotations in {seconds:.0f} s; {http1.rate:.0f} + {http2.rate:.0f} requests/s of HTTP/1.1 and HTTP/2, "
        f"{forward1.succeeded} and {forward2.succeeded} forwarded; {len(sights)} looks, an old leaf at most "
        f"{stalest:.2f} s after its swap; memory "
        + " → ".join("+".join(str(least >> 10) for least in sample) for sample in memory) + " KiB")

    # Zero failed requests, of as many as were promised.
    parts = (http1, http2, forward1, forward2, *probers)
    assert [fault for part in parts for fault in part.faults] == []
    for load in (http1, http2, forward2):
        assert load.succeeded == load.total
    assert http1.rate + http2.rate >= RATE, "that was too little load"
    assert min(http1.rate, http2.rate) >= 0.45 * RATE, "both protocols have their share"
    assert min(forward1.succeeded, forward2.succeeded) > 40 * seconds

    # Each new handshake shows the newest leaf within a second, and so does each connection that is made.
    assert stalest < 1
    assert min(len(prober.sights) for prober in probers) >= 2 * ROTATIONS

    # Each rotation was taken, none of them twice, and nothing was refused.
    for proxy in fleet.proxies:
        assert taken(proxy, "server_certificate") == taken(proxy, "client_certificate") == ROTATIONS
        assert not log_lines(proxy, "certificates not reloaded, the old ones stay in force")
    assert max(growth) < MOST_GROWTH, "memory grows with the rotations"
