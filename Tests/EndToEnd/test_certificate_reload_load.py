"""A hundred rotations under load: no request fails, every new handshake shows the newest leaf, memory stays flat."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest
from kit.load import Load, client_shim
from kit.pki import Authority, Pair
from kit.process import Process, wait_until
from kit.proxy import Proxy, free_port
from kit.reload import log_lines, shown_serial
from kit.volume import Volume, pair_files
from kit.wire import connect_plain

ROTATIONS = 100
#: One rotation in so many seconds; kubelets take a minute.
PACE = 0.2


class Fleet:
    """Two sidecars that share their certificates: one serves, the other is the forward proxy of its clients."""

    def __init__(self, start_proxy, directory: Path, upstream_port: int):
        self.authorities = (Authority("First CA"), Authority("Second CA"))
        bundle = b"".join(authority.pem for authority in self.authorities)
        (trust := directory / "trust").mkdir()
        trust.chmod(0o755)
        self.bundle = trust / "ca.crt"
        self.bundle.write_bytes(bundle)
        self.bundle.chmod(0o644)
        self.caller = self.authorities[0].client("caller").write(directory / "caller")
        self.server_volume = Volume(directory / "server", pair_files(self.leaf(0)))
        self.client_volume = Volume(directory / "client", pair_files(self.authorities[0].client("near")))
        self.forward_port = free_port()
        settings = {
            "CA_DIR": str(trust), "SERVER_CERT_DIR": str(self.server_volume.path),
            "CLIENT_CERT_DIR": str(self.client_volume.path), "ACCESS_LOG": "errors"}
        self.far: Proxy = start_proxy(upstream_port=upstream_port, **settings)
        self.near: Proxy = start_proxy(OUTBOUND_PROXY_PORT=str(self.forward_port), **settings)

    def leaf(self, number: int) -> Pair:
        return self.authorities[number % 2].server(f"server-{number}")

    def rotate(self, number: int) -> Pair:
        """Both leaves, by the authority whose turn it is."""
        pair = self.leaf(number)
        self.server_volume.swap(pair_files(pair))
        self.client_volume.swap(pair_files(self.authorities[number % 2].client(f"near-{number}")))
        return pair


class ForwardLoad:
    """Requests through the forward proxy, so that its pools change certificates under load."""

    def __init__(self, fleet: Fleet, rate: int):
        self.fleet, self.rate = fleet, rate
        self.succeeded = 0
        self.faults: list[str] = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self) -> None:
        authority = f"localhost:{self.fleet.far.port}"
        try:
            with connect_plain(("127.0.0.1", self.fleet.forward_port)) as connection:
                while not self.stopping.is_set():
                    answer = connection.request(f"http://{authority}/", host=authority)
                    if answer.status == 200:
                        self.succeeded += 1
                    else:
                        self.faults.append(f"{answer.status} {answer.body!r}")
                    time.sleep(1 / self.rate)
        except Exception as error:
            self.faults.append(repr(error))

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()


@pytest.fixture
def canned(directory: Path):
    process = Process([sys.executable, str(Path(__file__).parent / "kit/cannedapp.py"), "0"], directory / "canned")
    yield json.loads(process.wait_for_line("http"))["http"]
    process.stop()


@pytest.mark.slow
def test_a_hundred_rotations_under_load(start_proxy, directory, canned):
    shim = client_shim(directory)
    fleet = Fleet(start_proxy, directory, canned)
    url = f"https://localhost:{fleet.far.port}/"
    loads = [
        Load(shim, url, fleet.caller, clients=8, rate=1000, options=("--h1",)),
        Load(shim, url, fleet.caller, clients=4, rate=1000, options=("--npn-list=h2", "-m", "10")),
        ForwardLoad(fleet, rate=200),
    ]
    delays: list[float] = []
    memory: list[tuple[int, int]] = []
    started = time.monotonic()
    try:
        time.sleep(1)
        for number in range(1, ROTATIONS + 1):
            swapped = time.monotonic()
            serial = fleet.rotate(number).certificate.serial_number
            # Three in a row: whichever worker answers.
            wait_until(
                lambda: all(shown_serial(fleet.far, fleet.caller, fleet.bundle) == serial for _ in range(3)),
                f"rotation {number} shows its leaf within a second", 1)
            delays.append(time.monotonic() - swapped)
            time.sleep(max(0.0, PACE - (time.monotonic() - swapped)))
            if number % 20 == 0:
                memory.append((fleet.far.process.rss_bytes(), fleet.near.process.rss_bytes()))
    finally:
        for load in loads:
            load.stop()
    seconds = time.monotonic() - started
    done = sum(load.succeeded for load in loads)
    print(
        f"{done} requests in {seconds:.0f} s; newest leaf after {max(delays):.2f} s at most; memory "
        + " → ".join(f"{far >> 10}+{near >> 10} KiB" for far, near in memory))
    assert [fault for load in loads for fault in load.faults] == []
    assert loads[0].succeeded == loads[0].total and loads[1].succeeded == loads[1].total
    assert done / seconds >= 1000, "that was no load"
    for proxy in (fleet.far, fleet.near):
        wait_until(lambda: len(log_lines(proxy, "certificates reloaded")) >= ROTATIONS * 0.9, "each rotation is taken")
        assert not log_lines(proxy, "certificates not reloaded, the old ones stay in force")
    for first, last in zip(memory[0], memory[-1]):
        assert last - first < 2 << 20, "memory grows with the rotations"
