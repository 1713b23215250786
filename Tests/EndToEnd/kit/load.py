"""Steady load by h2load, which has to be lent a client certificate."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from .proxy import REPOSITORY, Proxy
from .wire import Response

SUMMARY = re.compile(
    r"^requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
    re.MULTILINE)


def client_shim(directory: Path) -> Path:
    """What `LD_PRELOAD` gives h2load the certificate with; the benchmarks' own."""
    compiler = shutil.which("cc") or shutil.which("clang")
    if not shutil.which("h2load") or not compiler:
        pytest.skip("runs where h2load and a C compiler are: `make test` as root on Debian or Ubuntu installs them")
    library = directory / "h2load_shim.so"
    source = REPOSITORY / "Benchmarks/h2load_shim.c"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lssl"], check=True)
    return library


class Load:
    """h2load again and again, a few seconds each, in a thread, until it is stopped; counts what it says."""

    def __init__(self, shim: Path, url: str, pair: Path, *, clients: int, rate: int, options: tuple[str, ...] = ()):
        """`rate` is requests a second over all `clients`."""
        self.command = [
            "h2load", "-c", str(clients), "-n", str(rate * 4), f"--rps={rate / clients}", *options, url]
        self.environment = os.environ | {
            "LD_PRELOAD": str(shim), "BENCH_CLIENT_CERT": str(pair / "tls.crt"), "BENCH_CLIENT_KEY": str(pair / "tls.key")}
        self.total = self.succeeded = 0
        self.seconds = 0.0
        self.faults: list[str] = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self) -> None:
        started = time.monotonic()
        while not self.stopping.is_set():
            done = subprocess.run(
                self.command, env=self.environment, capture_output=True, text=True, timeout=120)
            found = SUMMARY.search(done.stdout)
            if not found:
                self.faults.append(done.stdout + done.stderr)
                return
            self.total += int(found[1])
            self.succeeded += int(found[2])
            self.seconds = time.monotonic() - started
            if found[1] != found[2]:
                self.faults.append(found[0])

    @property
    def rate(self) -> float:
        """Successes a second, with the time between rounds."""
        return self.succeeded / self.seconds

    def stop(self) -> None:
        """Waits for the round that runs."""
        self.stopping.set()
        self.thread.join()


class Background:
    """Requests in a thread, again and again until it is stopped; counts those that succeed and keeps what goes wrong."""

    def __init__(self, pause: float):
        """`pause` is seconds between two rounds."""
        self.pause = pause
        self.succeeded = 0
        self.faults: list[str] = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def work(self) -> None:
        """All of it, for as long as `goes_on`; what it raises is a fault, and the end."""
        raise NotImplementedError

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.faults.append(repr(error))

    def goes_on(self) -> bool:
        return not self.stopping.wait(self.pause)

    def count(self, answer: Response) -> None:
        if answer.status == 200:
            self.succeeded += 1
        else:
            self.faults.append(f"{answer.status} {answer.body!r}")

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()

    def __enter__(self) -> Background:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Trickle(Background):
    """A few requests at a time, over a connection that stays and over new ones."""

    def __init__(self, proxy: Proxy):
        super().__init__(pause=0.01)
        self.proxy = proxy

    def work(self) -> None:
        with self.proxy.connect() as standing:
            while self.goes_on():
                with self.proxy.connect() as fresh:
                    for client in (standing, fresh):
                        self.count(client.request("/status/200"))
