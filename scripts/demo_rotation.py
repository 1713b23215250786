"""The part of the demo in which certificates are renewed while requests run."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kit.process import wait_until
from kit.volume import Volume
from kit.wire import Connection

ROTATIONS = 3
THREADS = 4
#: Requests on one connection before the next is opened.
REQUESTS_PER_CONNECTION = 50


class Load:
    """Requests from several threads until it is stopped; counts what was answered with 200 and keeps what was not."""

    def __init__(self, connect: Callable[[], socket.socket], host: str):
        self.connect, self.host = connect, host
        self.answered = [0] * THREADS
        self.connections = [0] * THREADS
        self.failures: list[str] = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(number,)) for number in range(THREADS)]
        self.began = time.monotonic()
        for thread in self.threads:
            thread.start()

    def work(self, number: int) -> None:
        while not self.stopping.is_set():
            try:
                self.use_one_connection(number)
            except Exception as error:
                self.failures.append(repr(error))
                return

    def use_one_connection(self, number: int) -> None:
        with Connection(self.connect()) as connection:
            self.connections[number] += 1
            for _ in range(REQUESTS_PER_CONNECTION):
                if self.stopping.is_set():
                    return
                answer = connection.request("/balance", host=self.host)
                if answer.status == 200:
                    self.answered[number] += 1
                else:
                    self.failures.append(f"{answer.status} {answer.body!r}")
                time.sleep(0.002)

    def stop(self) -> float:
        """Answers the seconds that it ran."""
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        return time.monotonic() - self.began


@dataclass
class Site:
    """A sidecar whose certificate is renewed."""

    volume: Volume
    #: Issues the next pair and answers its directory.
    issue: Callable[[], Path]
    #: A new TCP connection on which the sidecar speaks TLS.
    dial: Callable[[], socket.socket]
    context: ssl.SSLContext
    #: The text of the monitor port's `/certs`.
    certs: Callable[[], str]

    def shown(self) -> str:
        """The serial number in a new handshake."""
        with self.dial() as plain, self.context.wrap_socket(plain, server_hostname="localhost") as tls:
            der = tls.getpeercert(binary_form=True)
        return serial_number("-inform", "DER", content=der)

    def listed(self) -> str:
        return json.loads(self.certs())["server"]["serial"].removeprefix("0x").upper()


def secret(home: Path) -> dict[str, bytes]:
    """A pair as the files of a Secret."""
    return {name: (home / name).read_bytes() for name in ("tls.crt", "tls.key")}


def serial_number(*options: str, content: bytes) -> str:
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-serial", *options], input=content, capture_output=True, check=True)
    return done.stdout.decode().strip().removeprefix("serial=").lstrip("0")


def rotate(story, site: Site, load: Load) -> None:
    """`story` is the demo's."""
    before = site.shown()
    story.tell(f"serial number in a new handshake …{before[-8:]}, in /certs …{site.listed()[-8:]}")
    delays = []
    for _ in range(ROTATIONS):
        time.sleep(0.5)
        files = secret(site.issue())
        fresh = serial_number(content=files["tls.crt"])
        site.volume.swap(files)
        swapped = time.monotonic()
        wait_until(lambda: site.shown() == fresh, "a new handshake shows the new certificate", 5)
        delays.append(time.monotonic() - swapped)
        story.tell(
            f"..data swapped; after {delays[-1]:.2f} s in a new handshake …{site.shown()[-8:]}, "
            f"in /certs …{site.listed()[-8:]}")
    time.sleep(0.5)
    seconds = load.stop()
    story.check(
        max(delays) < 1 and site.listed() == fresh != before, "new handshakes show the new certificate within a second")
    answered = sum(load.answered)
    story.tell(
        f"{answered} requests on {sum(load.connections)} connections in {seconds:.1f} s, {len(load.failures)} failed")
    for failure in load.failures[:3]:
        story.tell(failure)
    story.check(answered > 100 and not load.failures, "no request failed")
